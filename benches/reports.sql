-- The reports in DuckDB's words, by docs/reports.md, over the files that the program reads: first views, then the
-- measures that several queries have, then for each report a query of its groups and measures. Numbers of simulated
-- people are in E.164 as they are, and no currency is configured, so neither is asked for here.

CREATE VIEW agents AS FROM folded_agents;

CREATE VIEW calls AS FROM folded_calls WHERE is_deleted IS NOT TRUE;

CREATE VIEW costs AS
SELECT system, account_id, call_id, upper(currency) AS currency, sum(cost) AS cost
FROM folded_lines
GROUP BY ALL;

CREATE VIEW costed AS
SELECT calls.* EXCLUDE (cost, currency), costs.currency, costs.cost
FROM calls
LEFT JOIN costs
    ON costs.system = calls.system
    AND costs.account_id IS NOT DISTINCT FROM calls.account_id
    AND costs.call_id = calls.call_id;

CREATE VIEW deals AS
SELECT
    *,
    coalesce(is_deleted, false) OR event_type LIKE '%Delete' AS gone,
    coalesce(base_currency_amount, amount) AS worth
FROM folded_deals;

CREATE VIEW stages AS
SELECT
    account_id,
    CAST(id AS VARCHAR) AS stage_id,
    name,
    CASE
        WHEN lower(forecast_type) IN ('closed won', 'won') THEN 'won'
        WHEN lower(forecast_type) IN ('closed lost', 'lost') THEN 'lost'
        WHEN forecast_type IS NOT NULL THEN 'open'
    END AS outcome
FROM folded_stages;

CREATE VIEW told AS FROM folded_changes WHERE differs;

CREATE VIEW changes AS
SELECT
    told.* EXCLUDE (outcome),
    coalesce(told.outcome, new_stages.outcome) AS outcome,
    old_stages.outcome AS old_outcome,
    coalesce(new_stages.name, deal_stage_name) AS new_stage_name,
    CASE WHEN field = 'base_currency_amount' OR (field = 'amount' AND NOT has_base_amount) THEN delta END AS grown
FROM told
LEFT JOIN stages AS old_stages
    ON field = 'deal_stage_id' AND old_stages.stage_id = old
    AND old_stages.account_id IS NOT DISTINCT FROM told.account_id
LEFT JOIN stages AS new_stages
    ON field = 'deal_stage_id' AND new_stages.stage_id = new
    AND new_stages.account_id IS NOT DISTINCT FROM told.account_id
WHERE field NOT IN ('updated_at', 'updater_id', 'stage_updated_time', 'last_assigned_at')
    AND NOT ends_with(field, '_count');

CREATE VIEW moves AS
SELECT
    system, account_id, TRY_CAST(record_id AS BIGINT) AS deal_id, old, new, changed_at AS moved_at,
    row_number() OVER deal AS place,
    lead(changed_at) OVER deal AS next_at
FROM told
WHERE field = 'deal_stage_id'
WINDOW deal AS (PARTITION BY system, account_id, record_id ORDER BY changed_at, topic, "partition", "offset");

CREATE VIEW stays AS
SELECT stay.*, deals.name AS deal_name, owner_id, owner_name, stages.name AS stage_name, worth, gone, outcome, (epoch_us(left_at) - epoch_us(entered_at)) / 1000000 AS seconds
FROM (
    SELECT
        deals.account_id, id AS deal_id,
        CASE WHEN place IS NULL THEN CAST(deal_stage_id AS VARCHAR) ELSE old END AS stage_id,
        coalesce(created_at, first_told) AS entered_at, moved_at AS left_at
    FROM deals
    LEFT JOIN (
        SELECT account_id, id, min(event_time) AS first_told FROM deal_states GROUP BY ALL
    ) AS firsts USING (account_id, id)
    LEFT JOIN moves
        ON moves.deal_id = id AND place = 1 AND moves.account_id IS NOT DISTINCT FROM deals.account_id
    UNION ALL
    SELECT account_id, deal_id, new, moved_at, next_at FROM moves
) AS stay
LEFT JOIN deals ON deals.id = deal_id AND deals.account_id IS NOT DISTINCT FROM stay.account_id
LEFT JOIN stages ON stages.stage_id = stay.stage_id AND stages.account_id IS NOT DISTINCT FROM stay.account_id
WHERE stay.stage_id IS NOT NULL;

CREATE VIEW people AS
WITH present AS (FROM deals WHERE NOT gone),
contacts AS (FROM folded_contacts WHERE is_deleted IS NOT TRUE AND event_type NOT LIKE '%Delete'),
accounts AS (FROM folded_accounts WHERE is_deleted IS NOT TRUE AND event_type NOT LIKE '%Delete'),
persons AS (
    SELECT account_id, id AS deal_id, unnest(contact_ids) AS contact_id FROM present
    UNION ALL
    SELECT account_id, id, unnest(json_extract_string(associations, '$.contacts[*].id')) FROM present
),
numbers AS (
    SELECT account_id, CAST(id AS VARCHAR) AS contact_id, unnest([mobile_number, work_number]) AS number FROM contacts
)
SELECT persons.account_id, deal_id, number
FROM persons
INNER JOIN numbers
    ON numbers.contact_id = persons.contact_id AND numbers.account_id IS NOT DISTINCT FROM persons.account_id
WHERE number IS NOT NULL
UNION
SELECT present.account_id, present.id, phone
FROM present
INNER JOIN accounts
    ON accounts.id = sales_account_id AND accounts.account_id IS NOT DISTINCT FROM present.account_id
WHERE phone IS NOT NULL;

CREATE VIEW met AS
SELECT
    stays.deal_id, deal_name, owner_id, owner_name, currency, costed.system, costed.account_id, call_id, extension, talk_seconds, cost
FROM stays
INNER JOIN people
    ON people.deal_id = stays.deal_id AND people.account_id IS NOT DISTINCT FROM stays.account_id
INNER JOIN costed
    ON customer_number = people.number AND started_at >= entered_at AND (left_at IS NULL OR started_at < left_at)
WHERE coalesce(outcome, 'open') = 'open' AND NOT gone;

CREATE VIEW agent_states AS
SELECT
    *,
    coalesce(account_id, '') AS account,
    coalesce(
        lower(category) IN ('loggedout', 'offline') OR available_on = 0
            OR lower(state) IN ('logged out', 'loggedout', 'offline'),
        false
    ) AS is_offline
FROM (
    SELECT
        *,
        CASE
            WHEN available_on = 0 THEN 'offline'
            ELSE coalesce(presence, status_name, category, CASE available_on WHEN 1 THEN 'browser' WHEN 2 THEN 'mobile' END)
        END AS state
    FROM agent_events
    WHERE agent_id IS NOT NULL
)
WHERE state IS NOT NULL;

CREATE VIEW agent_spans AS
SELECT
    *,
    event_time AS since,
    coalesce(lead(event_time) OVER agent, max(event_time) OVER (PARTITION BY system, account_id)) AS until
FROM agent_states
WINDOW agent AS (
    PARTITION BY system, account_id, agent_id ORDER BY event_time, received_at, topic, "partition", "offset"
);

-- The days that a span lies in, and the seconds of each.
CREATE MACRO days_of(since, until) AS
    generate_series(date_trunc('day', since), until - INTERVAL 1 MICROSECOND, INTERVAL 1 DAY);
CREATE MACRO seconds_of(midnight, since, until) AS
    (epoch_us(least(until, midnight + INTERVAL 1 DAY)) - epoch_us(greatest(since, midnight))) / 1000000;

-- measures: cost
count(*), count(cost),
coalesce(sum(coalesce(bill_duration_seconds, talk_seconds)) FILTER (cost IS NOT NULL), 0) AS billed,
sum(cost), round(sum(cost) / count(cost), 6), round(sum(cost) * 60 / nullif(billed, 0), 6)

-- measures: billed
count(*), count(bill_duration_seconds), coalesce(sum(bill_duration_seconds), 0) AS billed,
coalesce(sum(talk_seconds) FILTER (bill_duration_seconds IS NOT NULL), 0) AS talked, billed - talked,
quantile_disc(bill_duration_seconds, 0.5), quantile_disc(bill_duration_seconds, 0.9), max(bill_duration_seconds),
count(*) - count(bill_duration_seconds)

-- measures: changed
count(*), count(DISTINCT (system, account_id, deal_id)), coalesce(sum(grown), 0),
count(*) FILTER (outcome = 'won'), coalesce(sum(amount) FILTER (outcome = 'won'), 0),
count(*) FILTER (outcome = 'lost'), coalesce(sum(amount) FILTER (outcome = 'lost'), 0),
count(*) FILTER (outcome = 'open' AND old_outcome IN ('won', 'lost'))

-- asked: call-cost
SELECT
    costed.agent_id, max(coalesce(agents.name, agent_name)), currency, {cost}
FROM costed
LEFT JOIN agents
    ON agents.system = costed.system
    AND agents.account_id IS NOT DISTINCT FROM costed.account_id
    AND agents.agent_id = costed.agent_id
GROUP BY ALL

-- asked: call-cost --by day,number --tz Europe/Berlin
SELECT
    CAST(timezone('Europe/Berlin', started_at) AS DATE) AS day, number, currency, {cost}
FROM costed
GROUP BY ALL

-- asked: bill-duration
SELECT
    calls.agent_id, max(coalesce(agents.name, agent_name)), {billed}
FROM calls
LEFT JOIN agents
    ON agents.system = calls.system
    AND agents.account_id IS NOT DISTINCT FROM calls.account_id
    AND agents.agent_id = calls.agent_id
GROUP BY ALL

-- asked: bill-duration --by week,team
SELECT
    CAST(date_trunc('week', started_at) AS DATE) AS week, team_id, max(team_name), {billed}
FROM calls
GROUP BY ALL

-- asked: deal-changes --by owner,month
SELECT
    owner_id, max(owner_name), CAST(date_trunc('month', changed_at) AS DATE) AS month, {changed}
FROM changes
GROUP BY ALL

-- asked: deal-changes --by to_stage
SELECT
    new, max(new_stage_name), {changed}
FROM changes
WHERE field = 'deal_stage_id'
GROUP BY ALL

-- asked: deal-stages
SELECT
    stage_id, max(stage_name), count(*), count(left_at), count(*) FILTER (left_at IS NULL AND NOT gone),
    coalesce(sum(worth) FILTER (left_at IS NULL AND NOT gone), 0),
    round(sum(seconds) / nullif(count(left_at) * 86400, 0), 6), round(quantile_disc(seconds, 0.5) / 86400, 6)
FROM stays
GROUP BY ALL

-- asked: deal-slips --by owner
SELECT owner_id, max(owner_name), count(*), sum(days), coalesce(sum(amount) FILTER (place = 1), 0)
FROM (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY owner_id, account_id, deal_id ORDER BY changed_at DESC, topic DESC, "partition" DESC, "offset" DESC
        ) AS place
    FROM (
        SELECT *, TRY_CAST(new[1:10] AS DATE) - TRY_CAST(old[1:10] AS DATE) AS days
        FROM changes
        WHERE field = 'expected_close'
    )
    WHERE days > 0
)
GROUP BY ALL

-- asked: deal-calls
SELECT deal_id, max(deal_name), currency, count(*), coalesce(sum(talk_seconds), 0), sum(cost)
FROM (SELECT DISTINCT * EXCLUDE (owner_id, owner_name) FROM met)
GROUP BY ALL

-- asked: deal-calls --by owner
SELECT owner_id, max(owner_name), currency, count(*), coalesce(sum(talk_seconds), 0), sum(cost)
FROM (SELECT DISTINCT * EXCLUDE (deal_id, deal_name) FROM met)
GROUP BY ALL

-- asked: agent-time
SELECT
    times.agent_id, max(agents.name), day, state, coalesce(sum(seconds), 0), count(call_id), coalesce(sum(talked), 0) AS handled,
    round(handled / nullif(sum(seconds) FILTER (NOT is_offline), 0), 6)
FROM (
    SELECT
        system, account_id, agent_id, CAST(midnight AS DATE) AS day, state, is_offline, seconds_of(midnight, since, until) AS seconds,
        NULL AS call_id, NULL AS talked
    FROM (SELECT *, unnest(days_of(since, until)) AS midnight FROM agent_spans WHERE until > since)
    UNION ALL
    SELECT calls.system, calls.account_id, calls.agent_id, CAST(started_at AS DATE), state, is_offline, NULL, call_id, talk_seconds
    FROM (SELECT *, coalesce(account_id, '') AS account FROM calls WHERE talk_seconds > 0 AND agent_id IS NOT NULL) AS calls
    ASOF LEFT JOIN agent_states
        ON agent_states.system = calls.system
        AND agent_states.account = calls.account
        AND agent_states.agent_id = calls.agent_id
        AND calls.started_at >= agent_states.event_time
) AS times
LEFT JOIN agents
    ON agents.system = times.system
    AND agents.account_id IS NOT DISTINCT FROM times.account_id
    AND agents.agent_id = times.agent_id
GROUP BY ALL

-- asked: call-phases
SELECT
    CAST(midnight AS DATE) AS day, phases.agent_id, max(agents.name),
    count(DISTINCT (phases.system, phases.account_id, call_id)),
    coalesce(sum(seconds) FILTER (state = 'ringing'), 0), coalesce(sum(seconds) FILTER (state = 'talking'), 0),
    coalesce(sum(seconds) FILTER (state = 'held'), 0), coalesce(sum(seconds) FILTER (state = 'parked'), 0),
    coalesce(sum(seconds) FILTER (state = 'wrap'), 0)
FROM (
    SELECT *, seconds_of(midnight, began_at, ended_at) AS seconds
    FROM (SELECT *, unnest(days_of(began_at, ended_at)) AS midnight FROM folded_phases WHERE ended_at > began_at)
) AS phases
LEFT JOIN agents
    ON agents.system = phases.system
    AND agents.account_id IS NOT DISTINCT FROM phases.account_id
    AND agents.agent_id = phases.agent_id
GROUP BY ALL
