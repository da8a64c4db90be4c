-- The changes behind a line.
SELECT
    {unpinned}
    system,
    account_id,
    arrow_cast(changed_at, 'Timestamp(Microsecond, Some("{zone}"))') AS changed_at,
    deal_id,
    deal_name,
    field,
    old,
    new,
    delta,
    amount_delta,
    CASE WHEN field = 'deal_stage_id' THEN outcome END AS outcome,
    old_outcome,
    CASE WHEN outcome IN ('won', 'lost') THEN amount END AS amount,
    changed_by,
    topic,
    "partition",
    "offset"
FROM items
ORDER BY changed_at, deal_id, field, topic, "partition", "offset"
