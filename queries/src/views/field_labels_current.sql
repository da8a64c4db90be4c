-- One row per field: its newest label and type, when it was first and last seen.
WITH states AS (
    SELECT *, arrival_order(event_time, received_at, topic, "partition", "offset") AS arrival
    FROM field_labels
)
SELECT
    system,
    account_id,
    record_type,
    field,
    last_value(column_key ORDER BY arrival) IGNORE NULLS AS column_key,
    last_value(label ORDER BY arrival) IGNORE NULLS AS label,
    last_value("type" ORDER BY arrival) IGNORE NULLS AS "type",
    last_value(column_name ORDER BY arrival) IGNORE NULLS AS column_name,
    min(first_seen_at) AS first_seen_at,
    max(last_seen_at) AS last_seen_at
FROM states
GROUP BY system, account_id, record_type, field
