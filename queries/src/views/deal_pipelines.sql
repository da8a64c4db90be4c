-- Each deal pipeline as the newest event that showed it.
SELECT system, account_id, id, name, event_time AS last_seen
FROM _deal_pipelines_newest
