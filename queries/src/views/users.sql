-- The newest name that an event told of each user of the CRM.
SELECT system, account_id, user_id, name, event_time AS last_seen
FROM _users_newest
