-- The newest name that an event told of each agent.
WITH told AS (
    SELECT
        system, account_id, agent_id, agent_name AS name, event_time,
        arrival_order(event_time, received_at, topic, "partition", "offset") AS arrival
    FROM calls
    WHERE agent_id IS NOT NULL AND agent_name IS NOT NULL
    UNION ALL
    SELECT
        system, account_id, participant_id, caller_name, event_time,
        arrival_order(event_time, received_at, topic, "partition", "offset") AS arrival
    FROM call_participants
    WHERE participant_type = 'Agent' AND participant_id IS NOT NULL AND caller_name IS NOT NULL
    UNION ALL
    SELECT
        system, account_id, agent_id, actor_name, event_time,
        arrival_order(event_time, received_at, topic, "partition", "offset") AS arrival
    FROM calls
    WHERE agent_id = actor_id AND actor_name IS NOT NULL
    UNION ALL
    SELECT
        system, account_id, agent_id, actor_name, event_time,
        arrival_order(event_time, received_at, topic, "partition", "offset") AS arrival
    FROM agent_events
    WHERE agent_id = actor_id AND actor_name IS NOT NULL
)
SELECT
    system,
    account_id,
    agent_id,
    last_value(name ORDER BY arrival) AS name,
    max(event_time) AS last_seen
FROM told
GROUP BY system, account_id, agent_id
