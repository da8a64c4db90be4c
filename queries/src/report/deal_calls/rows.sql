-- One row for each call, and currency that it cost something in, with people of a group's deals while one of
-- these was open. However many deals of the group were, the call is one row there.
SELECT
    {deal_columns}
    {call_values}
    call.system,
    call.account_id,
    call.call_id,
    call.extension,
    call.started_at,
    call.agent_id,
    call.direction,
    call."number",
    call.customer_number,
    call.currency_of AS currency,
    call.cost_of AS cost,
    call.told_currency,
    call.told_cost,
    call.day_of_rate,
    call.counts,
    call.bill_duration_seconds AS billed_seconds,
    call.talk_seconds AS talked_seconds,
    call.cost_source,
    call.tariff
FROM spans
INNER JOIN called AS call
    ON call.person = spans.person
    AND call.slot >= spans.first_slot
    AND call.slot < spans.slot_after
