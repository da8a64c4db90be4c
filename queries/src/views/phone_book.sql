-- The numbers of all people in one book, for `phones_of`.
SELECT
    phone_book(
        array_agg(
            named_struct(
                'system', system,
                'account_id', account_id,
                'contact_id', contact_id,
                'sales_account_id', sales_account_id,
                'phone_key', phone_key
            )
        )
    ) AS book
FROM _people_numbers
