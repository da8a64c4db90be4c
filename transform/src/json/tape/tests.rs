//! The tape holds what was written, and takes any bytes.

use super::*;
use proptest::prelude::*;

fn walk(value: Value<'_>) -> serde_json::Value {
    match value.kind() {
        JsonKind::Object => serde_json::Value::Object(
            value.members().map(|(k, v)| (k.to_owned(), walk(v))).collect(),
        ),
        JsonKind::Array => value.items().map(walk).collect(),
        JsonKind::String => value.as_str().unwrap().into(),
        _ => serde_json::from_str(value.raw()).unwrap(),
    }
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "\\PC*".prop_map(Into::into),
        "[\"\\\\\n\u{1}é😀]{0,4}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            proptest::collection::hash_map("[a-zA-Z\"é]{0,5}", inner, 0..6)
                .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn the_tape_holds_what_was_written(value in any_json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let mut tape = Tape::default();
        let document = tape.parse(text.as_bytes()).unwrap();
        prop_assert_eq!(walk(document.root()), value);
    }

    #[test]
    fn any_bytes_are_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Tape::default().parse(&bytes);
    }
}

#[test]
fn the_last_of_repeated_keys_wins_and_numbers_keep_their_text() {
    let mut tape = Tape::default();
    let document = tape.parse(br#"{"a":1,"a":0.0120,"big":9007199254740993}"#).unwrap();
    assert_eq!(document.root().get("a").unwrap().raw(), "0.0120");
    assert_eq!(document.root().get("big").unwrap().raw(), "9007199254740993");
}

#[test]
fn depth_is_bounded() {
    let text = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(Tape::default().parse(text.as_bytes()).unwrap_err(), ParseError::TooDeep);
}
