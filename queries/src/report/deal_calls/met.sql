-- What both answers of this report begin with: the calls, the spans in which any of a group's deals with somebody's
-- number were open, and the slot in which each call met them. A number's time is cut where any of its spans begins or
-- ends; within such a slot the same spans go on, so that a call meets but one slot, however many deals there are.
WITH called AS (
    SELECT
        call.*,
        phone_key(call.customer_number, account_country(call.account_id)) AS person,
        arrow_cast(call.started_at, 'Int64') / 1382400000000 AS era,
        {currency} AS currency_of,
        {cost} AS cost_of,
        {told_currency} AS told_currency,
        {told_cost} AS told_cost,
        {day} AS day_of_rate,
        -- A call in two currencies is two rows, which conversion puts into one line.
        {counts} AS counts
    FROM calls_current AS call
    {told_costs}
    {rates}
    WHERE {call_filters}
),
open AS (
    SELECT
        {deal_groups}
        phone_key(people."number", NULL) AS person,
        unnest(time_spans(stay.entered_at, coalesce(stay.left_at, {never}))) AS span
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
    GROUP BY {deal_keys} phone_key(people."number", NULL)
),
-- A scalar subquery is computed once, however often it is named, and the spans are needed thrice. Nothing in it may
-- be taken from a struct, or be an expression that stands there twice: the optimizer would name that anew in each of
-- them, and take them for others.
spans AS (
    SELECT
        {deal_held}
        held['person'] AS person,
        held['span']['began_at'] AS began_at,
        held['span']['ended_at'] AS ended_at
    FROM (
        SELECT unnest((
            SELECT array_agg(named_struct({deal_fields} 'person', person, 'span', span))
            FROM open
        )) AS held
    ) AS all_held
),
slots AS (
    SELECT
        slot,
        person,
        since,
        until,
        -- A number has many slots and many calls: a call meets those of its own era alone, which is 16 days.
        unnest(range(
            greatest(arrow_cast(since, 'Int64') / 1382400000000, first_era),
            least(arrow_cast(until, 'Int64') / 1382400000000, last_era) + 1
        )) AS era
    FROM (
        SELECT
            arrow_cast(min(call.started_at), 'Int64') / 1382400000000 AS first_era,
            arrow_cast(max(call.started_at), 'Int64') / 1382400000000 AS last_era
        FROM calls_current AS call
        WHERE {call_filters}
    ) AS eras
    CROSS JOIN (
        SELECT
            row_number() OVER cuts AS slot,
            person,
            at AS since,
            CASE WHEN lead(person) OVER cuts = person THEN lead(at) OVER cuts END AS until
        FROM (
            SELECT person, began_at AS at FROM spans
            UNION
            SELECT person, ended_at FROM spans
        ) AS cut
        WINDOW cuts AS (ORDER BY person, at ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
    ) AS between_cuts
    WHERE until IS NOT NULL
),
met AS (
    SELECT
        call.*,
        slots.slot,
        slots.since
    FROM slots
    INNER JOIN called AS call
        ON call.person = slots.person
        AND call.era = slots.era
        AND call.started_at >= slots.since
        AND call.started_at < slots.until
)
