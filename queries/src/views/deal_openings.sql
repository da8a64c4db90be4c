-- One deal that is not deleted: its stays in open stages, and the numbers of its people.
SELECT
    system,
    account_id,
    deal_id,
    deal_name,
    owner_id,
    owner_name,
    deal_pipeline_id,
    deal_pipeline_name,
    looked_up((SELECT stages FROM _deal_stages_held), system, account_id, stage_id)['first']['outcome'] AS deal_outcome,
    open_stays((SELECT stages FROM _deal_stages_closed), system, account_id, stays) AS open_stays,
    phones_of((SELECT book FROM _phone_book), system, account_id, contact_ids, sales_account_id) AS phone_keys
FROM _deal_histories
WHERE is_deleted IS NOT TRUE
