//! `phone_book(rows)`: the numbers of people in one book, of a list of structs of a system, an account, a contact or a
//! sales account, and a number; and `phones_of(book, system, account, contacts, sales_account)`: the numbers of each
//! row's people, as a list. Null is an account like any other, and nobody's id.
//!
//! A deal has a few people, and each of them has many deals: joined, each number of each deal is a row to be made and to
//! be put together again.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray, StringViewArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::concat;
use arrow::datatypes::{ArrowNativeType, DataType, Field, FieldRef, Fields};
use datafusion::common::{HashMap, Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::calendar::one_list;
use super::looked_up::{Account, is_text, of_accounts, texts};
use super::places::{found, placed};

fn numbers() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Int64, true))
}

/// An account in a book: where among all numbers those of each contact are, and those of each sales account.
fn account() -> Fields {
    let texts = ["system", "account_id"].map(|name| (name, DataType::Utf8View));
    let places = ["contacts", "sales_accounts"].map(|name| (name, DataType::List(numbers())));
    texts.into_iter().chain(places).map(|(name, of)| Field::new(name, of, true)).collect()
}

fn book() -> Fields {
    let account = Field::new_list_field(DataType::Struct(account()), true);
    [
        Field::new_list("accounts", account, true),
        Field::new("phones", DataType::List(numbers()), true),
    ]
    .into_iter()
    .collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PhoneBook {
    signature: Signature,
}

impl Default for PhoneBook {
    fn default() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for PhoneBook {
    fn name(&self) -> &str {
        "phone_book"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        if let [DataType::List(row)] = arguments
            && let DataType::Struct(fields) = row.data_type()
            && let [system, account, ids @ ..] = fields.as_ref()
            && [system, account].into_iter().all(|text| is_text(text.data_type()))
            && ids.len() == 3
            && ids.iter().all(|id| *id.data_type() == DataType::Int64)
        {
            return Ok(DataType::Struct(book()));
        }
        plan_err!("phone_book takes a list of structs of two texts and three numbers (BIGINT)")
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [told] = args.args.as_slice() else { return exec_err!("phone_book takes rows") };
        let told = told.to_array(1)?;
        if told.len() != 1 {
            return exec_err!("phone_book makes one of one list, and not of {}", told.len());
        }
        let rows = told.as_list::<i32>().value(0);
        Ok(ColumnarValue::Array(Arc::new(written(rows.as_struct())?)))
    }
}

/// Contacts with their numbers, and sales accounts with theirs.
type People = [Vec<(i64, i64)>; 2];

fn written(rows: &StructArray) -> Result<StructArray> {
    let [system, account_id, ids @ .., phone] = rows.columns() else {
        return exec_err!("a row of a book has a system, an account, ids and a number");
    };
    let (systems, accounts) = (texts(system)?, texts(account_id)?);
    let phones: &Int64Array = phone.as_primitive();
    let mut told: BTreeMap<Account<'_>, People> = BTreeMap::new();
    for (row, (account, phone)) in systems.iter().zip(&accounts).zip(phones).enumerate() {
        let Some(phone) = phone else { continue };
        for (people, ids) in told.entry(account).or_default().iter_mut().zip(ids) {
            let ids: &Int64Array = ids.as_primitive();
            people.extend(ids.is_valid(row).then(|| (ids.value(row), phone)));
        }
    }
    let mut phones = Vec::new();
    let mut places = [Vec::new(), Vec::new()];
    for people in told.values_mut() {
        for (people, places) in people.iter_mut().zip(&mut places) {
            places.push(entered(people, &mut phones));
        }
    }
    let systems: StringViewArray = told.keys().map(|(system, _)| *system).collect();
    let accounts: StringViewArray = told.keys().map(|(_, account)| *account).collect();
    let [contacts, sales_accounts] = places.map(|places| lists(&places));
    let columns: Vec<ArrayRef> =
        vec![Arc::new(systems), Arc::new(accounts), contacts?, sales_accounts?];
    let accounts = StructArray::try_new(account(), columns, None)?;
    let fields = book();
    let columns: [ArrayRef; 2] = [Arc::new(accounts), Arc::new(Int64Array::from(phones))];
    let columns = fields.iter().zip(columns);
    let columns = columns.map(|(field, told)| one_list(field.data_type(), told));
    Ok(StructArray::try_new(fields.clone(), columns.collect::<Result<_>>()?, None)?)
}

/// The places of some people, whose numbers, each once, come to the others.
fn entered(people: &mut Vec<(i64, i64)>, phones: &mut Vec<i64>) -> Int64Array {
    people.sort_unstable();
    people.dedup();
    let mut places = Vec::new();
    for own in people.chunk_by(|(one, _), (other, _)| one == other) {
        let [first, numbers] =
            [phones.len(), own.len()].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        places.extend(own.first().map(|(id, _)| [*id, first, numbers]));
        phones.extend(own.iter().map(|(_, phone)| *phone));
    }
    placed(&places)
}

fn lists(places: &[Int64Array]) -> Result<ArrayRef> {
    let lengths = OffsetBuffer::from_lengths(places.iter().map(Int64Array::len));
    // There may be no accounts at all, of which nothing can be put together.
    let none = Int64Array::from_iter_values([]);
    let all = places.iter().chain([&none]).map(|places| places as &dyn Array);
    let all = concat(&all.collect::<Vec<_>>())?;
    Ok(Arc::new(ListArray::try_new(numbers(), lengths, all, None)?))
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PhonesOf {
    signature: Signature,
}

impl Default for PhonesOf {
    fn default() -> Self {
        Self { signature: Signature::any(5, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for PhonesOf {
    fn name(&self) -> &str {
        "phones_of"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        if let [DataType::Struct(told), system, account, DataType::List(contact), sales_account] =
            arguments
            && *told == book()
            && [system, account].into_iter().all(is_text)
            && [contact.data_type(), sales_account].map(|id| *id == DataType::Int64) == [true; 2]
        {
            return Ok(DataType::List(numbers()));
        }
        plan_err!(
            "phones_of takes a phone_book, a system, an account, a list of contacts (BIGINT) and a sales account (BIGINT)"
        )
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // It is one for all rows.
        let [ColumnarValue::Scalar(ScalarValue::Struct(book)), asked @ ..] = args.args.as_slice()
        else {
            return exec_err!("numbers are told of one book");
        };
        let asked: Vec<ArrayRef> =
            asked.iter().map(|asked| asked.to_array(args.number_rows)).collect::<Result<_>>()?;
        let [systems, accounts, contacts, sales_accounts] = asked.as_slice() else {
            return exec_err!("phones_of takes a system, an account, contacts and a sales account");
        };
        let lists = book.columns().iter().map(|column| column.as_list_opt::<i32>());
        let lists: Option<Vec<ArrayRef>> = lists.map(|list| Some(list?.value(0))).collect();
        let Some([told, phones]) = lists.as_deref() else {
            return exec_err!("a book has accounts and numbers");
        };
        let [system, account, of_contacts, of_sales_accounts] = told.as_struct().columns() else {
            return exec_err!("a book's accounts have contacts and sales accounts");
        };
        let (system, account) = (texts(system)?, texts(account)?);
        let places = [of_contacts.as_list(), of_sales_accounts.as_list()];
        let book = Book::of(&system, &account, places, phones.as_primitive());
        let phones = book.phones(
            &texts(systems)?,
            &texts(accounts)?,
            contacts.as_list(),
            sales_accounts.as_primitive(),
        );
        Ok(ColumnarValue::Array(Arc::new(phones?)))
    }
}

/// Where numbers are looked up.
struct Book<'a> {
    /// Of each account the places of its contacts, and those of its sales accounts.
    places: HashMap<Account<'a>, [Int64Array; 2]>,
    phones: Int64Array,
}

impl<'a> Book<'a> {
    fn of(
        systems: &'a StringViewArray,
        accounts: &'a StringViewArray,
        lists: [&ListArray; 2],
        phones: &Int64Array,
    ) -> Self {
        let places = |at: usize| lists.map(|places| places.value(at).as_primitive().clone());
        let named = systems.iter().zip(accounts).enumerate();
        let places = named.map(|(at, account)| (account, places(at))).collect();
        Self { places, phones: phones.clone() }
    }

    /// The numbers of these people.
    fn phones(
        &self,
        systems: &StringViewArray,
        accounts: &StringViewArray,
        contacts: &ListArray,
        sales_accounts: &Int64Array,
    ) -> Result<ListArray> {
        let accounts = of_accounts(&self.places, systems, accounts);
        let ids: &Int64Array = contacts.values().as_primitive();
        let (mut phones, mut lengths) = (Vec::new(), Vec::with_capacity(contacts.len()));
        let bounds = contacts.value_offsets().array_windows();
        for ((places, bounds), row) in accounts.into_iter().zip(bounds).zip(0..) {
            let before = phones.len();
            if let Some([of_contacts, of_sales_accounts]) = places {
                let [from, until] = bounds.map(|at| at.as_usize());
                let own = if contacts.is_valid(row) { from..until } else { 0..0 };
                for at in own.filter(|at| ids.is_valid(*at)) {
                    phones.extend_from_slice(self.own(of_contacts, ids.value(at)));
                }
                if sales_accounts.is_valid(row) {
                    phones
                        .extend_from_slice(self.own(of_sales_accounts, sales_accounts.value(row)));
                }
            }
            lengths.push(phones.len() - before);
        }
        let offsets = OffsetBuffer::from_lengths(lengths);
        Ok(ListArray::try_new(numbers(), offsets, Arc::new(Int64Array::from(phones)), None)?)
    }

    /// The numbers of one of those in these places.
    fn own(&self, places: &Int64Array, id: i64) -> &[i64] {
        let own = found(places, id).next();
        let own = own.map(|[_, first, numbers]| first.as_usize()..(first + numbers).as_usize());
        own.and_then(|own| self.phones.values().get(own)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::asked::asked;

    const BOOK: &str = "(SELECT phone_book(array_agg(named_struct(
            'system', system, 'account', account, 'contact', contact, 'sales_account', sales_account, 'phone', phone
        )))
        FROM (VALUES
            ('crm', 'a', 1, NULL, 41), ('crm', 'a', 2, NULL, 42), ('crm', NULL, 1, NULL, 43), ('crm', 'a', 1, NULL, 44), ('crm', 'a', 1, NULL, 41),
            ('other', 'a', 1, NULL, 45), ('crm', 'a', NULL, 1, 46), ('crm', 'a', NULL, NULL, 47), ('crm', 'a', 3, NULL, NULL)
        ) AS told(system, account, contact, sales_account, phone) WHERE system <> ";

    async fn answer(sql: &str) -> String {
        asked(sql).await.unwrap()
    }

    #[tokio::test]
    async fn people_are_called_by_the_numbers_of_their_account_and_system() {
        let told = answer(&format!(
            "SELECT n, phones_of({BOOK} 'none'), system, account, contacts, sales_account) AS phones
            FROM (VALUES
                (1, 'crm', 'a', [1, 2], NULL), (2, 'crm', 'a', [2, NULL, 9, 3], 1), (3, 'crm', NULL, [1], 1),
                (4, 'crm', NULL, [2], NULL), (5, 'other', 'a', [1], NULL), (6, 'crm', 'a', NULL, 1), (7, NULL, 'a', [1], 1)
            ) AS asked(n, system, account, contacts, sales_account)
            ORDER BY n"
        ))
        .await;
        let expected = [
            "| n | phones       |",
            "| 1 | [41, 44, 42] |",
            "| 2 | [42, 46]     |",
            "| 3 | [43]         |",
            "| 4 | []           |",
            "| 5 | [45]         |",
            "| 6 | [46]         |",
            "| 7 | []           |",
        ];
        assert_eq!(
            told.lines().filter(|line| !line.starts_with('+')).collect::<Vec<_>>(),
            expected
        );
        let none = answer(&format!(
            "SELECT phones_of({BOOK} 'crm' AND system <> 'other'), 'crm', 'a', [1], 1) AS told"
        ))
        .await;
        assert!(none.contains("| []   |"), "{none}");
    }

    #[tokio::test]
    async fn a_book_of_many_is_read_by_many() {
        let told = answer(
            "WITH told AS (SELECT n, 'crm' AS system, 'a' || (n % 3) AS account, n / 3 AS contact
                FROM generate_series(0, 29999) AS numbers(n)),
            book AS (
                SELECT phone_book(array_agg(named_struct('s', system, 'a', account, 'c', contact, 'o', contact, 'n', n))) AS book
                FROM told
            )
            SELECT count(*) AS n FROM told
            WHERE phones_of((SELECT book FROM book), system, account, [contact], contact) = [n, n]",
        )
        .await;
        assert!(told.contains("| 30000 |"), "{told}");
    }

    #[tokio::test]
    async fn other_types_are_refused() {
        for wrong in ["phone_book(7)", "phone_book([7])", "phones_of(7, 'crm', 'a', [1], 1)"] {
            let refused = asked(&format!("SELECT {wrong}")).await.unwrap_err();
            assert!(refused.contains(" takes a "), "{wrong}: {refused}");
        }
    }
}
