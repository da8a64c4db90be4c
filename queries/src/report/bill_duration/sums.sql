-- What was billed against what was talked. Percentiles are by nearest rank.
SELECT
    {shown}
    calls,
    billed_calls,
    billed_seconds,
    talked_seconds,
    billed_seconds - talked_seconds AS rounding_seconds,
    rank_of(tallied, 50) AS billed_p50,
    rank_of(tallied, 90) AS billed_p90,
    billed_max,
    calls - billed_calls AS unbilled_calls
FROM (
    SELECT
        {groups}
        sum(calls) AS calls,
        sum(billed_calls) AS billed_calls,
        sum(billed_seconds) AS billed_seconds,
        sum(talked_seconds) AS talked_seconds,
        flatten(array_agg(tallied)) AS tallied,
        max(billed_max) AS billed_max
    FROM (
        SELECT
            {parts}
            system,
            account_id,
            count(*) AS calls,
            count(billed_seconds) AS billed_calls,
            coalesce(sum(billed_seconds), 0) AS billed_seconds,
            coalesce(sum(talked_seconds) FILTER (WHERE billed_seconds IS NOT NULL), 0) AS talked_seconds,
            tally(billed_seconds) AS tallied,
            max(billed_seconds) AS billed_max
        FROM picked
        GROUP BY {keys} system, account_id
    ) AS part
    {agents}
    GROUP BY {keys} true
) AS summed
ORDER BY {order} calls
