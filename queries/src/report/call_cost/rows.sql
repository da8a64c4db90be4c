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
LEFT JOIN call_costs_told AS told
    ON (told.system IS NOT DISTINCT FROM call.system)
    AND (told.account_id IS NOT DISTINCT FROM call.account_id)
    AND (told.call_id IS NOT DISTINCT FROM call.call_id)
    AND told.is_split
{rates}
{joins}
WHERE {filters}
