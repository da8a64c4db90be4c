-- The calls behind a line, one row for each call and currency.
SELECT
    {unpinned}
    system,
    account_id,
    call_id,
    extension,
    arrow_cast(started_at, 'Timestamp(Microsecond, Some("{zone}"))') AS started_at,
    agent_id,
    direction,
    "number",
    customer_number,
    billed_seconds,
    talked_seconds,
    cost,
    currency,
    cost_source,
    tariff
FROM items
ORDER BY started_at, system, account_id, call_id, extension, currency
