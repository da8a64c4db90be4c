-- What the agents' channels did, summed call by call first, so that these are counted.
SELECT
    {groups}
    count(*) AS calls,
    sum(ringing_seconds) AS ringing_seconds,
    sum(talking_seconds) AS talking_seconds,
    sum(held_seconds) AS held_seconds,
    sum(parked_seconds) AS parked_seconds,
    sum(wrap_seconds) AS wrap_seconds
FROM (
    SELECT
        {parts}
        system,
        account_id,
        call_id,
        coalesce(sum(seconds) FILTER (WHERE state = 'ringing'), 0) AS ringing_seconds,
        coalesce(sum(seconds) FILTER (WHERE state = 'talking'), 0) AS talking_seconds,
        coalesce(sum(seconds) FILTER (WHERE state = 'held'), 0) AS held_seconds,
        coalesce(sum(seconds) FILTER (WHERE state = 'parked'), 0) AS parked_seconds,
        coalesce(sum(seconds) FILTER (WHERE state = 'wrap'), 0) AS wrap_seconds
    FROM picked
    GROUP BY {keys} system, account_id, call_id
) AS part
{agents}
GROUP BY {keys} true
ORDER BY {order} calls
