-- What was billed against what was talked. Percentiles are by nearest rank: the value at place
-- ceil(share × n) of the sorted ones.
SELECT
    {shown}
    calls,
    billed_calls,
    billed_seconds,
    talked_seconds,
    billed_seconds - talked_seconds AS rounding_seconds,
    array_element(sorted, (billed_calls * 50 + 99) / 100) AS billed_p50,
    array_element(sorted, (billed_calls * 90 + 99) / 100) AS billed_p90,
    billed_max,
    calls - billed_calls AS unbilled_calls
FROM (
    SELECT
        {groups}
        count(*) AS calls,
        count(billed_seconds) AS billed_calls,
        coalesce(sum(billed_seconds), 0) AS billed_seconds,
        coalesce(sum(talked_seconds) FILTER (WHERE billed_seconds IS NOT NULL), 0) AS talked_seconds,
        max(billed_seconds) AS billed_max,
        array_agg(billed_seconds ORDER BY billed_seconds)
            FILTER (WHERE billed_seconds IS NOT NULL) AS sorted
    FROM picked
    GROUP BY {keys} true
) AS summed
ORDER BY {order} calls
