-- What the calls cost. A call whose legs bill in two currencies counts once in each one's row.
WITH picked AS (
    SELECT
        {values}
        cost.currency,
        cost.cost,
        coalesce(call.bill_duration_seconds, call.talk_seconds) AS billed_seconds
    FROM calls_current AS call
    LEFT JOIN call_costs AS cost
        ON (cost.system IS NOT DISTINCT FROM call.system)
        AND (cost.account_id IS NOT DISTINCT FROM call.account_id)
        AND (cost.call_id IS NOT DISTINCT FROM call.call_id)
    {joins}
    WHERE {filters}
),
summed AS (
    SELECT
        {groups}
        currency,
        count(*) AS calls,
        count(cost) AS costed_calls,
        coalesce(sum(billed_seconds) FILTER (WHERE cost IS NOT NULL), 0) AS billed_seconds,
        sum(cost) AS cost
    FROM picked
    GROUP BY {keys} currency
)
SELECT
    *,
    ratio(cost, costed_calls) AS cost_per_call,
    ratio(cost * 60, billed_seconds) AS cost_per_minute
FROM summed
ORDER BY {order} currency NULLS LAST
