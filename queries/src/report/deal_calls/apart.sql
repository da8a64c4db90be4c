-- Calls of each slot, summed before they meet the deals. A call in two currencies counts once in each one's row.
summed AS (
    SELECT
        {call_parts}
        slot,
        min(person) AS person,
        currency_of AS currency,
        count(*) FILTER (WHERE counts) AS calls,
        sum(talk_seconds) FILTER (WHERE counts) AS talked_seconds,
        sum(cost_of) AS cost
    FROM (
        SELECT
            {call_values}
            call.*
        FROM called AS call
    ) AS valued
    GROUP BY {call_keys} slot, currency_of
)
SELECT
    {groups}
    currency,
    sum(calls) AS calls,
    coalesce(sum(talked_seconds), 0) AS talked_seconds,
    sum(cost) AS cost
FROM summed
INNER JOIN spans
    ON spans.person = summed.person
    AND summed.slot >= spans.first_slot
    AND summed.slot < spans.slot_after
GROUP BY {keys} currency
ORDER BY {order} currency NULLS LAST
