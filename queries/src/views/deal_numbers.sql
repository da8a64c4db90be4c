-- One number that a deal's people are called by, each time that one tells it: those of its contacts and of its account.
-- What is named first in a join is held: people, who come with one number, and not all the deals that each of them is of.
SELECT deal.system, deal.account_id, deal.deal_id, numbers."number", numbers.phone_key
FROM _people_numbers AS numbers
INNER JOIN (
    SELECT system, account_id, deal_id, unnest(contact_ids) AS contact_id
    FROM _deal_histories
    WHERE is_deleted IS NOT TRUE
) AS deal
    ON (numbers.system IS NOT DISTINCT FROM deal.system)
    AND (numbers.account_id IS NOT DISTINCT FROM deal.account_id)
    AND (numbers.contact_id = deal.contact_id)
UNION ALL
SELECT deal.system, deal.account_id, deal.deal_id, numbers."number", numbers.phone_key
FROM _people_numbers AS numbers
INNER JOIN (SELECT * FROM _deal_histories WHERE is_deleted IS NOT TRUE) AS deal
    ON (numbers.system IS NOT DISTINCT FROM deal.system)
    AND (numbers.account_id IS NOT DISTINCT FROM deal.account_id)
    AND (numbers.sales_account_id = deal.sales_account_id)
