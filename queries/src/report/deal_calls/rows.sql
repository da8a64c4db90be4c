-- One row for each call, and currency that it cost something in, with people of a deal while that was
-- open. A call that serves several deals of a group is one row there.
SELECT DISTINCT
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
    call.bill_duration_seconds AS billed_seconds,
    call.talk_seconds AS talked_seconds,
    call.cost_source,
    call.tariff
FROM deal_stays AS stay
INNER JOIN deals_current AS deal
    ON (deal.system IS NOT DISTINCT FROM stay.system)
    AND (deal.account_id IS NOT DISTINCT FROM stay.account_id)
    AND (deal.id = stay.deal_id)
LEFT JOIN deal_stages AS stage
    ON (stage.system IS NOT DISTINCT FROM deal.system)
    AND (stage.account_id IS NOT DISTINCT FROM deal.account_id)
    AND (stage.id = deal.deal_stage_id)
INNER JOIN deal_numbers AS people
    ON (people.system IS NOT DISTINCT FROM stay.system)
    AND (people.account_id IS NOT DISTINCT FROM stay.account_id)
    AND (people.deal_id = stay.deal_id)
INNER JOIN (
    -- What a call cost is joined before it meets the deals: each of its deals would else be held in memory.
    (
        SELECT
            calls_current.*,
            phone_e164(calls_current.customer_number, account_countries.country) AS e164
        FROM calls_current
        LEFT JOIN account_countries ON account_countries.account_id = calls_current.account_id
    ) AS call
    {told_costs}
    {rates}
)
    ON call.e164 = people."number"
    AND call.started_at >= stay.entered_at
    AND (stay.left_at IS NULL OR call.started_at < stay.left_at)
WHERE coalesce(stay.outcome, 'open') = 'open' AND {filters}
