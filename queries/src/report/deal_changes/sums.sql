-- What happened to the deals, summed: account by account first, whose ids of deals are then told apart by themselves.
-- `forecast_type` decides what is won or lost, never the stage's name; the old stage's is the one that the newest
-- event to show that stage told.
SELECT
    {groups}
    sum(changes) AS changes,
    sum(deals) AS deals,
    sum(amount_delta) AS amount_delta,
    sum(won) AS won,
    sum(won_amount) AS won_amount,
    sum(lost) AS lost,
    sum(lost_amount) AS lost_amount,
    sum(reopened) AS reopened
FROM (
    SELECT
        {parts}
        count(*) AS changes,
        count(DISTINCT deal_id) AS deals,
        coalesce(sum(amount_delta), 0) AS amount_delta,
        count(*) FILTER (WHERE outcome = 'won') AS won,
        coalesce(sum(amount) FILTER (WHERE outcome = 'won'), 0) AS won_amount,
        count(*) FILTER (WHERE outcome = 'lost') AS lost,
        coalesce(sum(amount) FILTER (WHERE outcome = 'lost'), 0) AS lost_amount,
        count(*) FILTER (WHERE outcome = 'open' AND old_outcome IN ('won', 'lost')) AS reopened
    FROM picked
    GROUP BY {keys} system, account_id
) AS part
GROUP BY {keys} true
ORDER BY {order} changes
