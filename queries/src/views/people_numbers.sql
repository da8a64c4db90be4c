-- One number by which a contact or an account is called, each time that it is told, in E.164 as far as the account's
-- country tells it. Read once for each of them, and not for each of their deals.
WITH told AS (
    SELECT system, account_id, id AS contact_id, CAST(NULL AS BIGINT) AS sales_account_id, mobile_number AS "number"
    FROM contacts_current
    UNION ALL
    SELECT system, account_id, id, NULL, work_number
    FROM contacts_current
    UNION ALL
    SELECT system, account_id, id, NULL, unnest(json_texts(phone_numbers, '', 'value,phone_number,number'))
    FROM contacts_current
    UNION ALL
    SELECT system, account_id, NULL, id, phone
    FROM sales_accounts_current
)
SELECT system, account_id, contact_id, sales_account_id, "number", phone_key
FROM (
    SELECT
        system,
        account_id,
        contact_id,
        sales_account_id,
        phone_e164("number", account_country(account_id)) AS "number",
        phone_key("number", account_country(account_id)) AS phone_key
    FROM told
) AS numbers
WHERE phone_key IS NOT NULL
