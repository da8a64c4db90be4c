-- What was billed against what was talked. Percentiles are by nearest rank: the value at place
-- ceil(share × n) of the sorted ones.
WITH picked AS (
    SELECT
        {values}
        call.bill_duration_seconds AS billed,
        call.talk_seconds AS talked
    FROM calls_current AS call
    {joins}
    WHERE {filters}
),
summed AS (
    SELECT
        {groups}
        count(*) AS calls,
        count(billed) AS billed_calls,
        coalesce(sum(billed), 0) AS billed_seconds,
        coalesce(sum(talked) FILTER (WHERE billed IS NOT NULL), 0) AS talked_seconds,
        max(billed) AS billed_max,
        array_agg(billed ORDER BY billed) FILTER (WHERE billed IS NOT NULL) AS sorted
    FROM picked
    GROUP BY {keys} true
)
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
FROM summed
ORDER BY {order} calls
