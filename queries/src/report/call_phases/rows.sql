-- One row for each phase of an agent's channel and day that it lasted in, cut at the period's ends.
WITH parts AS (
    SELECT *, unnest(day_parts(began_at, ended_at, '{zone}')) AS part
    FROM (
        SELECT
            system, account_id, call_id, channel_id, agent_id, state,
            greatest(began_at, {since}) AS began_at, least(ended_at, {until}) AS ended_at,
            topic, "partition", "offset", next_topic, next_partition, next_offset
        FROM channel_phases
    ) AS cut
),
told_of AS (
    SELECT
        system, account_id, call_id, channel_id, agent_id, state,
        began_at, ended_at, part['day'] AS day, part['seconds'] AS seconds,
        topic, "partition", "offset", next_topic, next_partition, next_offset
    FROM parts
    WHERE part IS NOT NULL
)
SELECT
    {values}
    told_of.*
FROM told_of
WHERE {filters}
