-- The phases behind a line.
SELECT
    {unpinned}
    system,
    account_id,
    call_id,
    channel_id,
    agent_id,
    state,
    arrow_cast(began_at, 'Timestamp(Microsecond, Some("{zone}"))') AS began_at,
    arrow_cast(ended_at, 'Timestamp(Microsecond, Some("{zone}"))') AS ended_at,
    day,
    seconds
FROM items
ORDER BY began_at, call_id, channel_id, day
