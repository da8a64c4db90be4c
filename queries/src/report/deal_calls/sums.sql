-- Calls with people of any deal. A call in two currencies counts once in each one's line.
SELECT
    {groups}
    currency,
    count(*) FILTER (WHERE counts) AS calls,
    coalesce(sum(talked_seconds) FILTER (WHERE counts), 0) AS talked_seconds,
    sum(cost) AS cost
FROM picked
GROUP BY {keys} currency
ORDER BY {order} currency NULLS LAST
