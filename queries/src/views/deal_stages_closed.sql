-- All deal stages that are not open in one list, for `open_stays`. One whose outcome nobody told is open.
SELECT
    array_agg(named_struct('system', system, 'account_id', account_id, 'id', CAST(id AS VARCHAR))) AS stages
FROM deal_stages
WHERE outcome <> 'open'
