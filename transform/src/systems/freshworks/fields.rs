//! Labeled fields: `{"label", "type" | "dom_type", "value"}`, and what kind of column each type makes.
//!
//! Types are those of the vendor's samples and of real payloads; `value` may be absent. A type that
//! is not known is read by the shape of its value.

use std::borrow::Cow;

use crate::columns::Kind;
use crate::json::{JsonKind, Value};
use crate::tables::{COMMON, EVENT_MONTH, EXTRA};

/// A labeled field, taken apart.
pub(super) struct Labeled<'t> {
    pub(super) label: Option<&'t str>,
    pub(super) declared: &'t str,
    pub(super) value: Option<Value<'t>>,
    /// The vendor's column of a custom field, `cf_str07`.
    pub(super) column_key: Option<&'t str>,
    /// Whether it has members that no column tells, see [`is_told`].
    pub(super) says_more: bool,
    pub(super) is_custom: bool,
}

/// Whether a member of a labeled field is told by its column, or by its row of `field_labels`.
pub(super) fn is_told(field: Value<'_>, is_custom: bool, member: &str, value: Value<'_>) -> bool {
    let is_text = value.kind() == JsonKind::String;
    match member {
        "value" => true,
        "label" | "type" | "column" => is_text || value.is_null(),
        // It is the type where there is none.
        "dom_type" => value.is_null() || is_text && field.get("type").is_none(),
        "name" => value.is_null() || is_text && is_custom,
        _ => value.is_null(),
    }
}

impl<'t> Labeled<'t> {
    /// Reads a field, if it is a labeled one; a custom field has a name besides.
    pub(super) fn read(field: Value<'t>, is_custom: bool) -> Option<Self> {
        if field.kind() != JsonKind::Object {
            return None;
        }
        let (mut label, mut named, mut dom, mut value, mut column) = (None, None, None, None, None);
        let mut says_more = false;
        for (key, member) in field.last_first() {
            let told = match key {
                "label" => &mut label,
                "type" => &mut named,
                "dom_type" => &mut dom,
                "value" => &mut value,
                "column" => &mut column,
                _ => {
                    says_more |= !is_told(field, is_custom, key, member);
                    continue;
                }
            };
            // The last of repeated members comes first, and counts.
            told.get_or_insert(member);
            says_more |= key != "value" && !is_told(field, is_custom, key, member);
        }
        Some(Self {
            label: label?.as_str(),
            declared: named.or(dom)?.as_str()?,
            value,
            column_key: column.and_then(Value::as_str),
            says_more,
            is_custom,
        })
    }
}

/// The kind of column of a declared type. `name` decides for drop-downs: an `…_id` holds a number, any
/// other the choice's text.
pub(super) fn kind_of_type(declared: &str, name: &str, value: Option<Value<'_>>) -> Kind {
    match declared {
        "number" => Kind::Int,
        "decimal" => Kind::Decimal,
        "date" => Kind::Date,
        "date_time" | "datetime" => Kind::Time,
        "checkbox" | "boolean" => Kind::Bool,
        "multi_select_dropdown" | "multiselect" => Kind::TextList,
        "group_field" => Kind::Json,
        "dropdown" | "auto_complete" | "lookup" if name.ends_with("_id") => Kind::Int,
        "auto_complete" | "lookup" => value.map_or(Kind::Text, kind_of_value),
        "text" | "paragraph" | "textarea" | "url" | "email" | "phone_number" | "dropdown"
        | "radio" => Kind::Text,
        _ => value.filter(|value| !value.is_null()).map_or(Kind::Text, kind_of_value),
    }
}

/// The kind of column for a value without a declared type.
pub(super) fn kind_of_value(value: Value<'_>) -> Kind {
    match value.kind() {
        JsonKind::Bool => Kind::Bool,
        JsonKind::Number if value.raw().bytes().all(|b| b.is_ascii_digit() || b == b'-') => {
            Kind::Int
        }
        JsonKind::Number => Kind::Decimal,
        JsonKind::Array if value.items().all(|item| item.scalar_text().is_some()) => Kind::TextList,
        JsonKind::Array | JsonKind::Object => Kind::Json,
        JsonKind::String | JsonKind::Null => Kind::Text,
    }
}

/// The column of a field: its key in lower case, with what a Delta column may not have as `_`.
///
/// A key that every row has already is set apart by `record_`. Borrowed where nothing changes.
pub(super) fn column_name(key: &str) -> Cow<'_, str> {
    let taken =
        key == EXTRA || key == EVENT_MONTH || COMMON.iter().any(|column| column.name == key);
    let ready = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    if !taken && !key.is_empty() && (key.bytes().all(ready) || key.chars().all(is_plain)) {
        return key.into();
    }
    let prefix = if taken || key.is_empty() { "record_" } else { "" };
    let letters =
        key.chars().flat_map(char::to_lowercase).map(|c| if is_plain(c) { c } else { '_' });
    prefix.chars().chain(letters).collect::<String>().into()
}

fn is_plain(c: char) -> bool {
    !c.is_uppercase() && !c.is_control() && !" ,;{}()=\t\n\"'`".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_lower_case_and_never_one_that_every_row_has() {
        assert_eq!(column_name("deal_stage_id"), "deal_stage_id");
        assert_eq!(column_name("cf_Größe (cm)"), "cf_größe__cm_");
        assert_eq!(column_name("offset"), "record_offset");
        assert_eq!(column_name(""), "record_");
    }
}
