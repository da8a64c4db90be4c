-- One row for each call.
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
    call.bill_duration_seconds AS billed_seconds,
    call.talk_seconds AS talked_seconds,
    call.cost,
    call.currency,
    call.cost_source,
    call.tariff
FROM calls_current AS call
WHERE {filters}
