-- The states and calls behind a line.
SELECT
    {unpinned}
    system,
    account_id,
    agent_id,
    presence,
    is_offline,
    arrow_cast(began_at, 'Timestamp(Microsecond, Some("{zone}"))') AS began_at,
    arrow_cast(ended_at, 'Timestamp(Microsecond, Some("{zone}"))') AS ended_at,
    day,
    seconds,
    call_id,
    extension,
    talked_seconds
FROM items
ORDER BY began_at, agent_id, day, call_id, extension
