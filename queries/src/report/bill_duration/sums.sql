-- What was billed against what was talked. Percentiles are by nearest rank. All that is told of billed seconds is told by
-- how often each length was billed.
SELECT
    {shown}
    calls,
    times_of(tallied) AS billed_calls,
    sum_of(tallied) AS billed_seconds,
    talked_seconds,
    sum_of(tallied) - talked_seconds AS rounding_seconds,
    rank_of(tallied, 50) AS billed_p50,
    rank_of(tallied, 90) AS billed_p90,
    rank_of(tallied, 100) AS billed_max,
    calls - times_of(tallied) AS unbilled_calls
FROM (
    SELECT
        {groups}
        sum(calls) AS calls,
        sum(talked_seconds) AS talked_seconds,
        flatten(array_agg(tallied)) AS tallied
    FROM (
        SELECT
            {parts}
            system,
            account_id,
            count(*) AS calls,
            coalesce(sum(talked_seconds) FILTER (WHERE billed_seconds IS NOT NULL), 0) AS talked_seconds,
            tally(billed_seconds) AS tallied
        FROM picked
        GROUP BY {keys} system, account_id
    ) AS part
    {agents}
    GROUP BY {keys} true
) AS summed
ORDER BY {order} calls
