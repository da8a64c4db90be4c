-- What the agents' channels did.
SELECT
    {groups}
    count(DISTINCT concat_ws('/', system, account_id, call_id)) AS calls,
    coalesce(sum(seconds) FILTER (WHERE state = 'ringing'), 0) AS ringing_seconds,
    coalesce(sum(seconds) FILTER (WHERE state = 'talking'), 0) AS talking_seconds,
    coalesce(sum(seconds) FILTER (WHERE state = 'held'), 0) AS held_seconds,
    coalesce(sum(seconds) FILTER (WHERE state = 'parked'), 0) AS parked_seconds,
    coalesce(sum(seconds) FILTER (WHERE state = 'wrap'), 0) AS wrap_seconds
FROM picked
GROUP BY {keys} true
ORDER BY {order} calls
