-- Each time that an event told the name of a user of the CRM: owner, updater, or whoever did it.
SELECT
    system, account_id, CAST(owner_id AS VARCHAR) AS user_id, owner_name AS name, event_time,
    received_at, topic, "partition", "offset"
FROM deals
WHERE owner_id IS NOT NULL AND owner_name IS NOT NULL
UNION ALL
SELECT
    system, account_id, CAST(updater_id AS VARCHAR), updater_name, event_time,
    received_at, topic, "partition", "offset"
FROM deals
WHERE updater_id IS NOT NULL AND updater_name IS NOT NULL
UNION ALL
SELECT
    system, account_id, actor_id, actor_name, event_time,
    received_at, topic, "partition", "offset"
FROM deals
WHERE actor_id IS NOT NULL AND actor_name IS NOT NULL
UNION ALL
SELECT
    system, account_id, CAST(owner_id AS VARCHAR), owner_name, event_time,
    received_at, topic, "partition", "offset"
FROM contacts
WHERE owner_id IS NOT NULL AND owner_name IS NOT NULL
