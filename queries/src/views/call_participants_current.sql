-- The newest value of each column of each leg. An update without legs removes none.
WITH states AS (
    SELECT *, arrival_order(event_time, received_at, topic, "partition", "offset") AS arrival
    FROM call_participants
)
SELECT
    system,
    account_id,
    call_id,
    leg_id,
    last_value(participant_id ORDER BY arrival) IGNORE NULLS AS participant_id,
    last_value(participant_type ORDER BY arrival) IGNORE NULLS AS participant_type,
    last_value(connection_type ORDER BY arrival) IGNORE NULLS AS connection_type,
    last_value(call_status ORDER BY arrival) IGNORE NULLS AS call_status,
    last_value(caller_id ORDER BY arrival) IGNORE NULLS AS caller_id,
    last_value(caller_number ORDER BY arrival) IGNORE NULLS AS caller_number,
    last_value(caller_name ORDER BY arrival) IGNORE NULLS AS caller_name,
    last_value(duration_seconds ORDER BY arrival) IGNORE NULLS AS duration_seconds,
    last_value(cost ORDER BY arrival) IGNORE NULLS AS cost,
    upper(last_value(currency ORDER BY arrival) IGNORE NULLS) AS currency,
    last_value(enqueued_at ORDER BY arrival) IGNORE NULLS AS enqueued_at,
    last_value(created_at ORDER BY arrival) IGNORE NULLS AS created_at,
    last_value(updated_at ORDER BY arrival) IGNORE NULLS AS updated_at,
    max(event_time) AS last_event_time
FROM states
GROUP BY system, account_id, call_id, leg_id
