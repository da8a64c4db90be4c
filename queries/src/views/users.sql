-- The newest name that an event told of each user of the CRM: owner, updater, or whoever did it.
WITH told AS (
    SELECT
        system, account_id, CAST(owner_id AS VARCHAR) AS user_id, owner_name AS name, event_time,
        arrival_order(event_time, received_at, topic, "partition", "offset") AS arrival
    FROM deals
    WHERE owner_id IS NOT NULL AND owner_name IS NOT NULL
    UNION ALL
    SELECT
        system, account_id, CAST(updater_id AS VARCHAR), updater_name, event_time,
        arrival_order(event_time, received_at, topic, "partition", "offset") AS arrival
    FROM deals
    WHERE updater_id IS NOT NULL AND updater_name IS NOT NULL
    UNION ALL
    SELECT
        system, account_id, actor_id, actor_name, event_time,
        arrival_order(event_time, received_at, topic, "partition", "offset") AS arrival
    FROM deals
    WHERE actor_id IS NOT NULL AND actor_name IS NOT NULL
    UNION ALL
    SELECT
        system, account_id, CAST(owner_id AS VARCHAR), owner_name, event_time,
        arrival_order(event_time, received_at, topic, "partition", "offset") AS arrival
    FROM contacts
    WHERE owner_id IS NOT NULL AND owner_name IS NOT NULL
)
SELECT
    system,
    account_id,
    user_id,
    last_value(name ORDER BY arrival) AS name,
    max(event_time) AS last_seen
FROM told
GROUP BY system, account_id, user_id
