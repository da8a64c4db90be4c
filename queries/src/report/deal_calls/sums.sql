-- Calls with the people of the deals, summed by slot before they meet the deals. A call in two currencies counts
-- once in each one's row.
summed AS (
    SELECT
        {call_parts}
        currency_of AS currency,
        min(person) AS person,
        min(since) AS since,
        count(*) FILTER (WHERE counts) AS calls,
        sum(talk_seconds) FILTER (WHERE counts) AS talked_seconds,
        sum(cost_of) AS cost
    FROM (
        SELECT
            {call_values}
            call.*
        FROM met AS call
    ) AS valued
    GROUP BY {call_keys} slot, currency_of
)
SELECT
    {groups}
    currency,
    sum(calls) AS calls,
    coalesce(sum(talked_seconds), 0) AS talked_seconds,
    sum(cost) AS cost
FROM spans
INNER JOIN summed
    ON summed.person = spans.person
    AND summed.since >= spans.began_at
    AND summed.since < spans.ended_at
GROUP BY {keys} currency
ORDER BY {order} currency NULLS LAST
