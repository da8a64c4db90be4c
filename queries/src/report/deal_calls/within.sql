-- Groups that tell no calls apart: each is given what the calls in its spans come to.
summed AS (
    SELECT
        currency_of AS currency,
        slot_sums(slot, counts, talk_seconds, cost_of) AS sums
    FROM called
    GROUP BY currency_of
),
sums AS (
    SELECT array_agg(named_struct('currency', currency, 'sums', sums)) AS sums
    FROM summed
),
lines AS (
    SELECT
        {deal_columns}
        unnest(met((SELECT sums FROM sums), spans)) AS met
    FROM held
)
SELECT
    {deal_shown}
    met['currency'] AS currency,
    met['calls'] AS calls,
    met['talked_seconds'] AS talked_seconds,
    met['cost'] AS cost
FROM lines
ORDER BY {order} currency NULLS LAST
