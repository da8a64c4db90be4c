-- One row for each call, and currency that it cost something in, with people of a group's deals while one of
-- these was open. However many deals of the group were, the call is one row there.
WITH called AS (
    SELECT
        call.*,
        arrow_cast(call.started_at, 'Int64') / 2764800000000 AS era,
        {currency} AS currency_of,
        {cost} AS cost_of,
        {told_currency} AS told_currency,
        {told_cost} AS told_cost,
        {day} AS day_of_rate,
        -- A call in two currencies is two rows, which conversion puts into one line.
        {counts} AS counts
    FROM (
        SELECT
            calls_current.*,
            phone_e164(calls_current.customer_number, account_countries.country) AS e164
        FROM calls_current
        LEFT JOIN account_countries ON account_countries.account_id = calls_current.account_id
    ) AS call
    {told_costs}
    {rates}
    WHERE {call_filters}
),
open AS (
    SELECT
        {deal_groups}
        people."number" AS e164,
        unnest(time_spans(stay.entered_at, stay.left_at)) AS span
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
    WHERE coalesce(stay.outcome, 'open') = 'open' AND {deal_filters}
    GROUP BY {deal_keys} people."number"
),
-- Numbers have many spans and many calls: a call meets those of its era alone, which is 32 days.
spans AS (
    SELECT
        * EXCEPT (span),
        span['began_at'] AS began_at,
        span['ended_at'] AS ended_at,
        unnest(range(
            greatest(arrow_cast(span['began_at'], 'Int64') / 2764800000000, first_era),
            least(coalesce(arrow_cast(span['ended_at'], 'Int64') / 2764800000000, last_era), last_era) + 1
        )) AS era
    FROM (
        SELECT
            arrow_cast(min(call.started_at), 'Int64') / 2764800000000 AS first_era,
            arrow_cast(max(call.started_at), 'Int64') / 2764800000000 AS last_era
        FROM calls_current AS call
        WHERE {call_filters}
    ) AS eras
    CROSS JOIN open
)
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
    ON call.e164 = spans.e164
    AND call.era = spans.era
    AND call.started_at >= spans.began_at
    AND (spans.ended_at IS NULL OR call.started_at < spans.ended_at)
