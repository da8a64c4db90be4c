-- The newest state of each call, and what the tariffs make of it where the vendor told no cost. Billed
-- seconds that the vendor told stay.
SELECT * EXCEPT (rating)
    REPLACE (
        coalesce(bill_duration_seconds, rating['billed_seconds']) AS bill_duration_seconds,
        coalesce(cost, rating['cost']) AS cost,
        CASE WHEN cost IS NULL THEN rating['currency'] ELSE currency END AS currency,
        CASE WHEN cost IS NULL AND rating['cost'] IS NOT NULL THEN 'tariff' ELSE cost_source END
            AS cost_source
    ),
    rating['tariff'] AS tariff
FROM (
    SELECT
        *,
        CASE WHEN cost IS NULL THEN tariff_rating(
            system, account_id, direction, customer_number, started_at,
            coalesce(talk_seconds, bill_duration_seconds)
        ) END AS rating
    FROM _calls_told
) AS rated
