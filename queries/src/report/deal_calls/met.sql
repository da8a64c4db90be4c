-- What all answers of this report begin with: the calls, and the spans in which any of a group's deals with somebody's
-- number were open. A number's time is cut where any of its spans begins or ends; within such a slot the same spans
-- go on, so that a call is in but one slot, however many deals there are.
WITH open AS (
    SELECT
        {deal_groups}
        person_spans(deal.phone_keys, deal.open_stays) AS spans
    FROM deal_openings AS deal
    WHERE {deal_filters}
    {deal_grouping}
),
-- As a scalar subquery it is computed once, however often it is named.
calendar AS (
    SELECT calendar(array_agg(named_struct({deal_fields} 'spans', spans))) AS calendar
    FROM open
),
held AS (
    SELECT
        {deal_held}
        held['spans'] AS spans
    FROM (SELECT unnest(get_field((SELECT calendar FROM calendar), 'groups')) AS held) AS all_held
),
spans AS (
    SELECT
        {deal_columns}
        span['person'] AS person,
        span['first_slot'] AS first_slot,
        span['slot_after'] AS slot_after
    FROM (SELECT {deal_columns} unnest(spans) AS span FROM held) AS all_spans
),
called AS (
    SELECT
        call.*,
        phone_key(call.customer_number, account_country(call.account_id)) AS person,
        slot_at(
            (SELECT calendar FROM calendar),
            phone_key(call.customer_number, account_country(call.account_id)),
            call.started_at
        ) AS slot,
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
)
