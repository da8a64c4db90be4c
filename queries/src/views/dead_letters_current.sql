-- One row a letter: what it is by its first row or its last refusal, and what came of it since. Of a
-- letter's rows the first has no `retried_at`.
SELECT
    id,
    system,
    min(received_at) AS received_at,
    last_value(route ORDER BY retried_at NULLS FIRST) IGNORE NULLS AS route,
    last_value(stage ORDER BY retried_at NULLS FIRST) IGNORE NULLS AS stage,
    last_value(cause ORDER BY retried_at NULLS FIRST) IGNORE NULLS AS cause,
    last_value(message ORDER BY retried_at NULLS FIRST) IGNORE NULLS AS message,
    last_value(body ORDER BY retried_at NULLS FIRST) IGNORE NULLS AS body,
    max(retried_at) AS retried_at,
    last_value(outcome ORDER BY retried_at NULLS FIRST) AS outcome,
    bool_and(outcome IS NULL OR outcome = 'refused') AS is_open
FROM dead_letters
GROUP BY id, system
