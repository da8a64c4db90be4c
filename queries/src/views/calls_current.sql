-- The newest state of each call, from all systems. An amount without a currency is in its account's
-- configured one.
SELECT
    whole.system,
    whole.account_id,
    whole.call_id,
    whole.root_call_id,
    whole.parent_call_id,
    whole.extension,
    whole.direction,
    whole.number,
    whole.number_id,
    whole.customer_number,
    whole.customer_name,
    whole.customer_id,
    whole.agent_id,
    whole.agent_name,
    whole.team_id,
    whole.team_name,
    whole.queue_id,
    whole.queue_name,
    whole.started_at,
    whole.answered_at,
    whole.ended_at,
    whole.status,
    whole.bill_duration_seconds,
    whole.talk_seconds,
    whole.talk_basis,
    whole.cost,
    CASE
        WHEN cost_is_own THEN upper(coalesce(whole.currency, account_currency(whole.account_id)))
        ELSE whole.currency
    END AS currency,
    CASE WHEN whole.cost IS NOT NULL THEN 'vendor' END AS cost_source,
    leg_count,
    notes,
    recording_url,
    last_event_time
FROM _calls_whole AS whole
WHERE is_deleted IS NOT TRUE
