-- One number that a deal's people are called by: those of its contacts and of its account, in E.164 as
-- far as the account's country tells it.
WITH contacts_of AS (
    SELECT system, account_id, id AS deal_id, unnest(contact_ids) AS contact_id
    FROM deals_current
    UNION ALL
    SELECT system, account_id, id, unnest(json_texts(associations, 'contacts', 'id'))
    FROM deals_current
),
numbers AS (
    SELECT system, account_id, CAST(id AS VARCHAR) AS contact_id, mobile_number AS "number"
    FROM contacts_current
    UNION ALL
    SELECT system, account_id, CAST(id AS VARCHAR), work_number
    FROM contacts_current
    UNION ALL
    SELECT system, account_id, CAST(id AS VARCHAR), unnest(json_texts(phone_numbers, '', 'value,phone_number,number'))
    FROM contacts_current
),
told AS (
    SELECT contacts_of.system, contacts_of.account_id, contacts_of.deal_id, numbers."number"
    FROM contacts_of
    INNER JOIN numbers
        ON (numbers.system IS NOT DISTINCT FROM contacts_of.system)
        AND (numbers.account_id IS NOT DISTINCT FROM contacts_of.account_id)
        AND (numbers.contact_id = contacts_of.contact_id)
    UNION ALL
    SELECT deals_current.system, deals_current.account_id, deals_current.id, sales_accounts_current.phone
    FROM deals_current
    INNER JOIN sales_accounts_current
        ON (sales_accounts_current.system IS NOT DISTINCT FROM deals_current.system)
        AND (sales_accounts_current.account_id IS NOT DISTINCT FROM deals_current.account_id)
        AND (sales_accounts_current.id = deals_current.sales_account_id)
)
SELECT DISTINCT
    told.system,
    told.account_id,
    told.deal_id,
    phone_e164(told."number", account_countries.country) AS "number"
FROM told
LEFT JOIN account_countries ON account_countries.account_id = told.account_id
WHERE phone_e164(told."number", account_countries.country) IS NOT NULL
