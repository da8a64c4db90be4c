-- What happened to the deals, summed. `forecast_type` decides what is won or lost, never the stage's
-- name; the old stage's is the one that the newest event to show that stage told.
SELECT
    {groups}
    count(*) AS changes,
    count(DISTINCT deal_key) AS deals,
    coalesce(sum(amount_delta), 0) AS amount_delta,
    count(*) FILTER (WHERE outcome = 'won') AS won,
    coalesce(sum(amount) FILTER (WHERE outcome = 'won'), 0) AS won_amount,
    count(*) FILTER (WHERE outcome = 'lost') AS lost,
    coalesce(sum(amount) FILTER (WHERE outcome = 'lost'), 0) AS lost_amount,
    count(*) FILTER (WHERE outcome = 'open' AND old_outcome IN ('won', 'lost')) AS reopened
FROM picked
GROUP BY {keys} true
ORDER BY {order} changes
