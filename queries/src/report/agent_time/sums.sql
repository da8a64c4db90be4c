-- How agents spent their time. Occupancy is talked time over the time that was not spent offline.
SELECT
    {shown}
    seconds,
    calls,
    talked_seconds,
    ratio(talked_seconds, working_seconds) AS occupancy
FROM (
    SELECT
        {groups}
        sum(seconds) AS seconds,
        sum(working_seconds) AS working_seconds,
        sum(calls) AS calls,
        sum(talked_seconds) AS talked_seconds
    FROM (
        SELECT
            {parts}
            system,
            account_id,
            coalesce(sum(seconds), 0) AS seconds,
            sum(seconds) FILTER (WHERE NOT is_offline) AS working_seconds,
            count(call_id) AS calls,
            coalesce(sum(talked_seconds), 0) AS talked_seconds
        FROM picked
        GROUP BY {keys} system, account_id
    ) AS part
    {agents}
    GROUP BY {keys} true
) AS summed
ORDER BY {order} seconds
