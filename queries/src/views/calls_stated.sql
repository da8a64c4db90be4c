-- What the states of each call tell together. A column holds its newest value that is not null, since
-- updates are partial. One call of a system that reports phases (dial-in, dial-out, answer, hangup) is
-- one id at one extension.
WITH states AS (
    SELECT *, arrival_order(event_time, received_at, topic, "partition", "offset") AS arrival
    FROM calls
)
SELECT
    system,
    account_id,
    call_id,
    extension,
    last_value(root_call_id ORDER BY arrival) IGNORE NULLS AS root_call_id,
    last_value(parent_call_id ORDER BY arrival) IGNORE NULLS AS parent_call_id,
    last_value(direction ORDER BY arrival) IGNORE NULLS AS direction,
    last_value(number ORDER BY arrival) IGNORE NULLS AS number,
    last_value(number_id ORDER BY arrival) IGNORE NULLS AS number_id,
    last_value(customer_number ORDER BY arrival) IGNORE NULLS AS customer_number,
    last_value(customer_name ORDER BY arrival) IGNORE NULLS AS customer_name,
    last_value(customer_id ORDER BY arrival) IGNORE NULLS AS customer_id,
    last_value(agent_id ORDER BY arrival) IGNORE NULLS AS agent_id,
    last_value(agent_name ORDER BY arrival) IGNORE NULLS AS agent_name,
    last_value(team_id ORDER BY arrival) IGNORE NULLS AS team_id,
    last_value(team_name ORDER BY arrival) IGNORE NULLS AS team_name,
    last_value(queue_id ORDER BY arrival) IGNORE NULLS AS queue_id,
    last_value(queue_name ORDER BY arrival) IGNORE NULLS AS queue_name,
    last_value(started_at ORDER BY arrival) IGNORE NULLS AS started_at,
    last_value(answered_at ORDER BY arrival) IGNORE NULLS AS answered_at,
    last_value(ended_at ORDER BY arrival) IGNORE NULLS AS ended_at,
    last_value(bill_duration_seconds ORDER BY arrival) IGNORE NULLS AS bill_duration_seconds,
    last_value(talk_seconds ORDER BY arrival) IGNORE NULLS AS talk_seconds,
    last_value(notes ORDER BY arrival) IGNORE NULLS AS notes,
    last_value(recording_url ORDER BY arrival) IGNORE NULLS AS recording_url,
    last_value(is_deleted ORDER BY arrival) IGNORE NULLS AS is_deleted,
    coalesce(
        last_value(status ORDER BY arrival) FILTER (WHERE phase = 'hangup' AND status IS NOT NULL),
        last_value(status ORDER BY arrival) IGNORE NULLS
    ) AS status,
    last_value(cost ORDER BY arrival) IGNORE NULLS AS cost,
    last_value(currency ORDER BY arrival) IGNORE NULLS AS currency,
    last_value(created_at ORDER BY arrival) IGNORE NULLS AS created_at,
    min(event_time) FILTER (WHERE phase IN ('dial-in', 'dial-out')) AS dial_time,
    min(event_time) FILTER (WHERE phase = 'answer') AS answer_time,
    min(event_time) FILTER (WHERE phase = 'hangup') AS hangup_time,
    min(event_time) AS first_event_time,
    max(event_time) AS last_event_time
FROM states
GROUP BY system, account_id, call_id, extension
