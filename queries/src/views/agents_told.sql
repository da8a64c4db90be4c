-- Each time that an event told the name of an agent.
SELECT
    system, account_id, agent_id, agent_name AS name, event_time,
    received_at, topic, "partition", "offset"
FROM calls
WHERE agent_id IS NOT NULL AND agent_name IS NOT NULL
UNION ALL
SELECT
    system, account_id, participant_id, caller_name, event_time,
    received_at, topic, "partition", "offset"
FROM call_participants
WHERE participant_type = 'Agent' AND participant_id IS NOT NULL AND caller_name IS NOT NULL
UNION ALL
SELECT
    system, account_id, agent_id, actor_name, event_time,
    received_at, topic, "partition", "offset"
FROM calls
WHERE agent_id = actor_id AND actor_name IS NOT NULL
UNION ALL
SELECT
    system, account_id, agent_id, actor_name, event_time,
    received_at, topic, "partition", "offset"
FROM agent_events
WHERE agent_id = actor_id AND actor_name IS NOT NULL
