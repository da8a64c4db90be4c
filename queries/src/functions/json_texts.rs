//! `json_texts(json, member, keys)`: the items of a JSON array as texts, for the few columns that keep a
//! vendor's JSON as it came. `member` names the array in an object, or is empty where the text itself
//! is the array; of items that are objects it takes the first of the comma-parted `keys` they have.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, ListBuilder, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, ScalarValue, exec_err, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use serde_json::Value;
use serde_json::value::RawValue;

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct JsonTexts {
    signature: Signature,
}

impl Default for JsonTexts {
    fn default() -> Self {
        Self { signature: Signature::any(3, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for JsonTexts {
    fn name(&self) -> &str {
        "json_texts"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [
            json,
            ColumnarValue::Scalar(ScalarValue::Utf8(Some(member))),
            ColumnarValue::Scalar(ScalarValue::Utf8(Some(keys))),
        ] = args.args.as_slice()
        else {
            return exec_err!("json_texts takes JSON, the name of a member and names of keys");
        };
        let keys: Vec<&str> = keys.split(',').map(str::trim).collect();
        let columns = ColumnarValue::values_to_arrays(std::slice::from_ref(json))?;
        let [json] = columns.as_slice() else {
            return internal_err!("json_texts takes one JSON text");
        };
        let json = cast(json, &DataType::Utf8)?;
        let mut lists = ListBuilder::new(StringBuilder::new());
        for text in json.as_string::<i32>() {
            let items = text.map(|text| texts(text, member, &keys)).unwrap_or_default();
            items.iter().for_each(|item| lists.values().append_value(item));
            lists.append(true);
        }
        let lists = lists.finish();
        debug_assert_eq!(lists.len(), json.len());
        Ok(ColumnarValue::Array(Arc::new(lists)))
    }
}

fn texts(json: &str, member: &str, keys: &[&str]) -> Vec<String> {
    items(json, member).unwrap_or_default().iter().filter_map(|item| text_of(item, keys)).collect()
}

/// The array's items. What is beside it in the object is only passed over.
fn items(json: &str, member: &str) -> Option<Vec<Value>> {
    if member.is_empty() {
        return serde_json::from_str(json).ok();
    }
    let members: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_str(json).ok()?;
    serde_json::from_str(members.get(member)?.get()).ok()
}

fn text_of(item: &Value, keys: &[&str]) -> Option<String> {
    text(item).or_else(|| keys.iter().find_map(|key| text(item.get(key)?)))
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::texts;

    #[test]
    fn items_are_scalars_or_members_of_objects() {
        let json =
            r#"{"contacts":[{"id":9007199254740993,"name":"A"},{"id":"7"},{"name":"B"},null,5]}"#;
        assert_eq!(texts(json, "contacts", &["id"]), ["9007199254740993", "7", "5"]);
        assert_eq!(texts(r#"[{"value":"+49"}]"#, "", &["number", "value"]), ["+49"]);
        assert!(texts("{", "contacts", &["id"]).is_empty());
        assert!(texts("{}", "contacts", &["id"]).is_empty());
    }
}
