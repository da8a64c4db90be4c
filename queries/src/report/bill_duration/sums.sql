-- What was billed against what was talked. Percentiles are by nearest rank.
SELECT
    {groups}
    count(*) AS calls,
    count(billed_seconds) AS billed_calls,
    coalesce(sum(billed_seconds), 0) AS billed_seconds,
    coalesce(sum(talked_seconds) FILTER (WHERE billed_seconds IS NOT NULL), 0) AS talked_seconds,
    coalesce(sum(billed_seconds), 0)
        - coalesce(sum(talked_seconds) FILTER (WHERE billed_seconds IS NOT NULL), 0) AS rounding_seconds,
    nearest_rank(billed_seconds, 50) AS billed_p50,
    nearest_rank(billed_seconds, 90) AS billed_p90,
    max(billed_seconds) AS billed_max,
    count(*) - count(billed_seconds) AS unbilled_calls
FROM picked
GROUP BY {keys} true
ORDER BY {order} calls
