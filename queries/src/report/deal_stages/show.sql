-- The stays behind a line.
SELECT
    {unpinned}
    system,
    account_id,
    deal_id,
    deal_name,
    stage_id,
    stage_name,
    arrow_cast(entered_at, 'Timestamp(Microsecond, Some("{zone}"))') AS entered_at,
    arrow_cast(left_at, 'Timestamp(Microsecond, Some("{zone}"))') AS left_at,
    has_entered,
    has_left,
    is_open,
    stayed_seconds,
    amount_open
FROM items
ORDER BY entered_at, deal_id, left_at
