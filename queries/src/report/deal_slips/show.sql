-- The moves behind a line.
SELECT
    {unpinned}
    system,
    account_id,
    arrow_cast(changed_at, 'Timestamp(Microsecond, Some("{zone}"))') AS changed_at,
    deal_id,
    deal_name,
    old_close,
    new_close,
    days,
    amount,
    changed_by,
    topic,
    "partition",
    "offset"
FROM items
ORDER BY changed_at, deal_id, topic, "partition", "offset"
