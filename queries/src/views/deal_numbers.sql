-- One number that a deal's people are called by, each time that it is told: those of its contacts and of its account, in
-- E.164 as far as the account's country tells it. Read once for each contact, and not for each of its deals. What is
-- named first in a join is held: contacts, which come with one number, and not all the deals that each of them is of.
WITH people AS (
    SELECT system, account_id, id AS deal_id, sales_account_id, contact_ids
    FROM _deal_contacts_newest
    WHERE is_deleted IS NOT TRUE AND event_type NOT LIKE '%Delete'
),
contacts_of AS (
    SELECT system, account_id, deal_id, unnest(contact_ids) AS contact_id
    FROM people
),
told AS (
    SELECT system, account_id, CAST(id AS VARCHAR) AS contact_id, mobile_number AS "number"
    FROM contacts_current
    UNION ALL
    SELECT system, account_id, CAST(id AS VARCHAR), work_number
    FROM contacts_current
    UNION ALL
    SELECT system, account_id, CAST(id AS VARCHAR), unnest(json_texts(phone_numbers, '', 'value,phone_number,number'))
    FROM contacts_current
),
numbers AS (
    SELECT
        system,
        account_id,
        contact_id,
        phone_e164("number", account_country(account_id)) AS "number",
        phone_key("number", account_country(account_id)) AS phone_key
    FROM told
),
phones AS (
    SELECT
        system,
        account_id,
        id,
        phone_e164(phone, account_country(account_id)) AS "number",
        phone_key(phone, account_country(account_id)) AS phone_key
    FROM sales_accounts_current
)
SELECT contacts_of.system, contacts_of.account_id, contacts_of.deal_id, numbers."number", numbers.phone_key
FROM numbers
INNER JOIN contacts_of
    ON (numbers.system IS NOT DISTINCT FROM contacts_of.system)
    AND (numbers.account_id IS NOT DISTINCT FROM contacts_of.account_id)
    AND (numbers.contact_id = contacts_of.contact_id)
WHERE numbers.phone_key IS NOT NULL
UNION ALL
SELECT people.system, people.account_id, people.deal_id, phones."number", phones.phone_key
FROM people
INNER JOIN phones
    ON (phones.system IS NOT DISTINCT FROM people.system)
    AND (phones.account_id IS NOT DISTINCT FROM people.account_id)
    AND (phones.id = people.sales_account_id)
WHERE phones.phone_key IS NOT NULL
