//! `looked_up(rows, system, account, id, …)`: what a list of structs tells of one id or two, as a struct of `first` and
//! `second`, either of them null where nothing is told. The first three fields of a row are its system, account
//! and id, the others are what it tells; null is an account like any other.
//!
//! A handful of rows is looked up so beside hundreds of thousands, where a join would copy each of these whole. All ids
//! go in one call, since a list that is named twice is laid beside every row, which takes long. Of several rows with
//! the same id the last is told, so there must be but one.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, StringViewArray, StructArray, UInt64Array, new_empty_array,
};
use arrow::compute::{cast, concat, take};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{HashMap, Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

const KEYS: usize = 3;
const PLACES: [&str; 2] = ["first", "second"];

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct LookedUp {
    signature: Signature,
}

impl Default for LookedUp {
    fn default() -> Self {
        Self { signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for LookedUp {
    fn name(&self) -> &str {
        "looked_up"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        told(arguments).ok_or_else(|| {
            exec_datafusion_err!(
                "looked_up takes a list of structs that begin with three texts, then a system, an account and up to {} ids, texts as well",
                PLACES.len()
            )
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let DataType::Struct(places) = args.return_type() else {
            return exec_err!("what is looked up is a struct");
        };
        let Some((rows, asked)) = args.args.split_first() else {
            return exec_err!("looked_up takes a list of rows");
        };
        let asked: Vec<ArrayRef> =
            asked.iter().map(|asked| asked.to_array(args.number_rows)).collect::<Result<_>>()?;
        let told = match rows {
            ColumnarValue::Scalar(ScalarValue::List(list)) => looked_up(list, &asked, places)?,
            // A query of a user's own may bring a list with each row.
            ColumnarValue::Array(lists) => {
                let one = |row| {
                    let asked: Vec<ArrayRef> =
                        asked.iter().map(|asked| asked.slice(row, 1)).collect();
                    looked_up(&lists.as_list().slice(row, 1), &asked, places)
                };
                // There may be no rows at all, of which nothing can be put together.
                let none = Ok(new_empty_array(args.return_type()));
                let told: Vec<ArrayRef> =
                    (0..lists.len()).map(one).chain([none]).collect::<Result<_>>()?;
                concat(&told.iter().map(AsRef::as_ref).collect::<Vec<_>>())?
            }
            ColumnarValue::Scalar(_) => return exec_err!("looked_up takes a list of rows"),
        };
        Ok(ColumnarValue::Array(told))
    }
}

/// What this one list tells.
fn looked_up(list: &ListArray, asked: &[ArrayRef], places: &Fields) -> Result<ArrayRef> {
    let asked: Vec<StringViewArray> = asked.iter().map(texts).collect::<Result<_>>()?;
    let [systems, accounts, ids @ ..] = asked.as_slice() else {
        return exec_err!("looked_up takes a system, an account and ids");
    };
    let rows = list.value(0);
    let rows = rows.as_struct();
    let keys: Vec<StringViewArray> =
        rows.columns().iter().take(KEYS).map(texts).collect::<Result<_>>()?;
    let held = held(&keys)?;
    let held = of_accounts(&held, systems, accounts);
    let told = ids.iter().zip(places).map(|(ids, place)| {
        let found = held.iter().zip(ids);
        taken(rows, place, &found.map(|(held, id)| held.as_ref()?.get(id?).copied()).collect())
    });
    let told = told.collect::<Result<_>>()?;
    Ok(Arc::new(StructArray::try_new(places.clone(), told, None)?))
}

/// What is told of so many ids.
fn told(arguments: &[DataType]) -> Option<DataType> {
    let [DataType::List(row), texts @ ..] = arguments else { return None };
    let DataType::Struct(fields) = row.data_type() else { return None };
    let (keys, told) = fields.split_at_checked(KEYS)?;
    let mut texts = texts.iter().chain(keys.iter().map(|key| key.data_type()));
    let are_texts = texts.all(is_text);
    let ids = (arguments.len()).checked_sub(KEYS).filter(|ids| are_texts && *ids > 0)?;
    let place = |name: &&str| Field::new(*name, DataType::Struct(told.into()), true);
    Some(DataType::Struct(PLACES.get(..ids)?.iter().map(place).collect()))
}

/// What these rows tell.
fn taken(rows: &StructArray, place: &Field, found: &UInt64Array) -> Result<ArrayRef> {
    let DataType::Struct(told) = place.data_type() else { return exec_err!("a row is a struct") };
    let columns = rows.columns().iter().skip(KEYS);
    let columns = columns.map(|column| take(column, found, None)).collect::<Result<_, _>>()?;
    let nulls = found.nulls().cloned();
    Ok(Arc::new(StructArray::try_new_with_length(told.clone(), columns, nulls, found.len())?))
}

pub(super) type Account<'a> = (Option<&'a str>, Option<&'a str>);
/// Where the row of each id is.
type Ids<'a> = HashMap<&'a str, u64>;

pub(super) fn is_text(of: &DataType) -> bool {
    matches!(of, DataType::Utf8 | DataType::Utf8View)
}

/// Texts of either kind, which are not copied.
pub(super) fn texts(column: &ArrayRef) -> Result<StringViewArray> {
    Ok(cast(column, &DataType::Utf8View)?.as_string_view().clone())
}

pub(super) fn held(keys: &[StringViewArray]) -> Result<HashMap<Account<'_>, Ids<'_>>> {
    let [systems, accounts, ids] = keys else {
        return exec_err!("a row that is looked up has a system, an account and an id");
    };
    let accounts = systems.iter().zip(accounts);
    let mut held: HashMap<Account<'_>, Ids<'_>> = HashMap::new();
    for ((account, id), row) in accounts.zip(ids).zip(0..) {
        if let Some(id) = id {
            held.entry(account).or_default().insert(id, row);
        }
    }
    Ok(held)
}

/// What is held of each of these accounts. Neighbours are mostly of one.
pub(super) fn of_accounts<'a, T>(
    held: &'a HashMap<Account<'a>, T>,
    systems: &'a StringViewArray,
    accounts: &'a StringViewArray,
) -> Vec<Option<&'a T>> {
    let mut last: Option<(Account<'_>, Option<&T>)> = None;
    let accounts = systems.iter().zip(accounts);
    let found = accounts.map(|account| match last {
        Some((of, told)) if of == account => told,
        _ => {
            let told = held.get(&account);
            last = Some((account, told));
            told
        }
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::super::asked::asked;

    const ROWS: &str = "(SELECT array_agg(named_struct('system', system, 'account', account, 'id', id, 'name', name))
        FROM (VALUES
            ('crm', NULL, '1', 'of no account'), ('crm', 'a', '1', 'one'), ('crm', 'a', '2', NULL),
            ('other', 'a', '1', 'elsewhere'), ('crm', 'a', NULL, 'nobody')
        ) AS stages(system, account, id, name) WHERE system = ";

    async fn answer(sql: &str) -> String {
        asked(sql).await.unwrap()
    }

    #[tokio::test]
    async fn an_id_is_that_of_its_account_and_system() {
        let asked = "(VALUES
                (1, 'crm', 'a', '1'), (2, 'crm', NULL, '1'), (3, 'crm', 'a', '2'), (4, 'crm', 'b', '1'), (5, 'crm', 'a', '3'),
                (6, 'other', 'a', '1'), (7, 'crm', 'a', NULL), (8, NULL, 'a', '1')
            ) AS asked(n, system, account, id)";
        let told = answer(&format!(
            "SELECT n, told['first']['name'] AS name, told['first'] IS NULL AS missed, told['second']['name'] AS other
            FROM (SELECT n, looked_up({ROWS} 'crm'), system, account, id, '1') AS told FROM {asked})
            ORDER BY n"
        ))
        .await;
        let expected = [
            "| n | name          | missed | other         |",
            "| 1 | one           | false  | one           |",
            "| 2 | of no account | false  | of no account |",
            "| 3 |               | false  | one           |",
            "| 4 |               | true   |               |",
            "| 5 |               | true   | one           |",
            "| 6 |               | true   |               |",
            "| 7 |               | true   | one           |",
            "| 8 |               | true   |               |",
        ];
        assert_eq!(
            told.lines().filter(|line| !line.starts_with('+')).collect::<Vec<_>>(),
            expected
        );
        let none =
            answer(&format!("SELECT looked_up({ROWS} 'none'), 'crm', 'a', '1')['first'] AS told"))
                .await;
        assert!(none.contains("|      |"), "{none}");
        let each = format!("SELECT looked_up(rows, system, 'a', '1')['first']['name'] AS told
            FROM (SELECT {ROWS} 'crm') AS rows, 'crm' AS system UNION ALL SELECT {ROWS} 'other'), 'other') AS lists
            ORDER BY told DESC");
        let each = answer(&each).await;
        assert!(each.contains("| one       |\n| elsewhere |"), "{each}");
    }

    #[tokio::test]
    async fn other_types_are_refused() {
        for wrong in ["7", "[7]", "[named_struct('system', 'crm')]"] {
            let sql = format!("SELECT looked_up({wrong}, 'crm', 'a', '1')");
            let refused = asked(&sql).await.unwrap_err();
            assert!(refused.contains("looked_up takes a list"), "{wrong}: {refused}");
        }
    }
}
