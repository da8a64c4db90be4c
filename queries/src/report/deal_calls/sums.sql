-- Calls with the people of the deals. A call in two currencies counts once in each one's row.
SELECT
    {groups}
    currency,
    count(*) FILTER (WHERE counts) AS calls,
    coalesce(sum(talked_seconds) FILTER (WHERE counts), 0) AS talked_seconds,
    sum(cost) AS cost
FROM (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY {keys} currency, system, account_id, call_id, extension ORDER BY told_currency
        ) = 1 AS counts
    FROM picked
) AS counted
GROUP BY {keys} currency
ORDER BY {order} currency NULLS LAST
