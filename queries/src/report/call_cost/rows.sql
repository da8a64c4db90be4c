-- One row for each call and each currency that it cost something in, or one without.
SELECT
    {values}
    call.system,
    call.account_id,
    call.call_id,
    call.extension,
    call.started_at,
    call.agent_id,
    call.direction,
    call."number",
    call.customer_number,
    {currency} AS currency,
    {cost} AS cost,
    {told_currency} AS told_currency,
    {told_cost} AS told_cost,
    {day} AS day_of_rate,
    -- A call in two currencies is two rows, which conversion puts into one line.
    {counts} AS counts,
    CASE WHEN {told_cost} IS NOT NULL THEN coalesce(call.bill_duration_seconds, call.talk_seconds) END
        AS billed_seconds,
    call.talk_seconds AS talked_seconds,
    call.cost_source,
    call.tariff
FROM calls_current AS call
{told_costs}
{rates}
WHERE {filters}
