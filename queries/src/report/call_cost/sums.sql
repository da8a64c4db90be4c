-- What the calls cost. A call whose legs bill in two currencies counts once in each one's row.
SELECT
    *,
    ratio(cost, costed_calls) AS cost_per_call,
    ratio(cost * 60, billed_seconds) AS cost_per_minute
FROM (
    SELECT
        {groups}
        currency,
        sum(calls) AS calls,
        sum(costed_calls) AS costed_calls,
        sum(billed_seconds) AS billed_seconds,
        sum(cost) AS cost
    FROM (
        SELECT
            {parts}
            system,
            account_id,
            currency,
            count(*) FILTER (WHERE counts) AS calls,
            count(cost) FILTER (WHERE counts) AS costed_calls,
            coalesce(sum(billed_seconds) FILTER (WHERE counts), 0) AS billed_seconds,
            sum(cost) AS cost
        FROM picked
        GROUP BY {keys} system, account_id, currency
    ) AS part
    {agents}
    GROUP BY {keys} currency
) AS summed
ORDER BY {order} currency NULLS LAST
