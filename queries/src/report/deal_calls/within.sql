-- Groups that tell no calls apart: each is given what the calls in its spans come to.
summed AS (
    SELECT
        currency_of AS currency,
        slot_sums(slot, counts, talk_seconds, cost_of) AS sums
    FROM called
    GROUP BY currency_of
),
lines AS (
    SELECT
        currency,
        unnest(met((SELECT calendar FROM calendar), sums)) AS met
    FROM summed
)
SELECT
    {deal_met}
    currency,
    met['calls'] AS calls,
    met['talked_seconds'] AS talked_seconds,
    met['cost'] AS cost
FROM lines
ORDER BY {order} currency NULLS LAST
