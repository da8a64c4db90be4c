-- The newest name that an event told of each agent.
SELECT system, account_id, agent_id, name, event_time AS last_seen
FROM _agents_newest
