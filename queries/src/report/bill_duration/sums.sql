-- What was billed against what was talked. Percentiles are by nearest rank: the value at place
-- ceil(share × n) of the sorted ones. Durations are few, so they are counted and not sorted.
SELECT
    {regroups}
    sum(n) AS calls,
    max(billed_calls) AS billed_calls,
    coalesce(sum(billed_seconds * n), 0) AS billed_seconds,
    coalesce(sum(talked_seconds) FILTER (WHERE billed_seconds IS NOT NULL), 0) AS talked_seconds,
    coalesce(sum(billed_seconds * n), 0)
        - coalesce(sum(talked_seconds) FILTER (WHERE billed_seconds IS NOT NULL), 0) AS rounding_seconds,
    min(billed_seconds) FILTER (WHERE upto * 100 >= billed_calls * 50) AS billed_p50,
    min(billed_seconds) FILTER (WHERE upto * 100 >= billed_calls * 90) AS billed_p90,
    max(billed_seconds) AS billed_max,
    sum(n) - max(billed_calls) AS unbilled_calls
FROM (
    SELECT
        *,
        sum(billed) OVER (PARTITION BY {group_keys} true ORDER BY billed_seconds NULLS LAST) AS upto,
        sum(billed) OVER (PARTITION BY {group_keys} true) AS billed_calls
    FROM (
        SELECT
            {groups}
            billed_seconds,
            count(*) AS n,
            count(billed_seconds) AS billed,
            sum(talked_seconds) AS talked_seconds
        FROM picked
        GROUP BY {keys} billed_seconds
    ) AS durations
) AS ranked
GROUP BY {group_keys} true
ORDER BY {order} calls
