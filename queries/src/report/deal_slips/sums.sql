-- Deals whose expected close moved to a later day.
SELECT
    {groups}
    count(*) AS times,
    CAST(sum(days) AS BIGINT) AS days,
    coalesce(sum(amount), 0) AS amount
FROM picked
GROUP BY {keys} true
ORDER BY {order} times
