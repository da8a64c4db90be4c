-- One row for each state of an agent and day that it lasted in, cut at the period's ends, and one for
-- each call that the agent talked in, with the state in which it began. The newest state lasts as long
-- as its account's events tell of anything.
WITH told AS (
    SELECT
        *,
        coalesce(
            lower(category) IN ('loggedout', 'offline') OR available_on = 0
                OR lower(state) IN ('logged out', 'loggedout', 'offline'),
            false
        ) AS is_offline,
        arrival_order(event_time, received_at, topic, "partition", "offset") AS arrival
    FROM (
        SELECT
            *,
            CASE
                WHEN available_on = 0 THEN 'offline'
                ELSE coalesce(presence, status_name, category,
                    CASE available_on WHEN 1 THEN 'browser' WHEN 2 THEN 'mobile' END)
            END AS state
        FROM agent_events
        WHERE agent_id IS NOT NULL
    ) AS named
    WHERE state IS NOT NULL
),
states AS (
    SELECT
        *,
        coalesce(told_until, max(event_time) OVER (PARTITION BY system, account_id)) AS next_time
    FROM (
        SELECT
            *,
            lead(event_time) OVER agent AS told_until,
            lead(topic) OVER agent AS next_topic,
            lead("partition") OVER agent AS next_partition,
            lead("offset") OVER agent AS next_offset
        FROM told
        WINDOW agent AS (
            PARTITION BY system, account_id, agent_id ORDER BY arrival
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        )
    ) AS followed
),
parts AS (
    SELECT *, unnest(day_parts(began_at, ended_at, '{zone}')) AS part
    FROM (
        SELECT *, greatest(event_time, {since}) AS began_at, least(next_time, {until}) AS ended_at
        FROM states
    ) AS spans
),
talks AS (
    SELECT *, arrow_cast(started_at, 'Int64') / 86400000000 AS utc_day
    FROM calls_current
    WHERE agent_id IS NOT NULL AND talk_seconds > 0 AND started_at >= {since} AND started_at < {until}
),
-- Agents have many states and many calls: a call meets those of its day alone. The newest state goes on.
daily AS (
    SELECT
        states.*,
        unnest(range(
            greatest(arrow_cast(event_time, 'Int64') / 86400000000, first_day),
            least(coalesce(arrow_cast(told_until, 'Int64') / 86400000000, last_day), last_day) + 1
        )) AS utc_day
    FROM (
        SELECT
            arrow_cast(min(started_at), 'Int64') / 86400000000 AS first_day,
            arrow_cast(max(started_at), 'Int64') / 86400000000 AS last_day
        FROM calls_current
        WHERE started_at >= {since} AND started_at < {until}
    ) AS days
    CROSS JOIN states
),
handled AS (
    SELECT
        talks.system, talks.account_id, talks.agent_id, talks.started_at, talks.call_id, talks.extension,
        talks.talk_seconds, daily.state, daily.is_offline
    FROM daily
    RIGHT JOIN talks
        ON (daily.system IS NOT DISTINCT FROM talks.system)
        AND (daily.account_id IS NOT DISTINCT FROM talks.account_id)
        AND (daily.agent_id IS NOT DISTINCT FROM talks.agent_id)
        AND (daily.utc_day IS NOT DISTINCT FROM talks.utc_day)
        AND talks.started_at >= daily.event_time
        AND (daily.told_until IS NULL OR talks.started_at < daily.told_until)
),
told_of AS (
    SELECT
        system, account_id, agent_id, state AS presence, is_offline, began_at, ended_at,
        part['day'] AS day, part['seconds'] AS seconds,
        CAST(NULL AS VARCHAR) AS call_id, CAST(NULL AS VARCHAR) AS extension,
        CAST(NULL AS DECIMAL(18, 6)) AS talked_seconds,
        topic, "partition", "offset", next_topic, next_partition, next_offset
    FROM parts
    WHERE part IS NOT NULL
    UNION ALL
    SELECT
        system, account_id, agent_id, state, is_offline, started_at, NULL,
        CAST(arrow_cast(started_at, 'Timestamp(Microsecond, Some("{zone}"))') AS DATE), NULL,
        call_id, extension, talk_seconds, NULL, NULL, NULL, NULL, NULL, NULL
    FROM handled
)
SELECT
    {values}
    told_of.*
FROM told_of
WHERE {filters}
