//! `phone_e164(number, country)`: a number in E.164 form (`+4930901820`), so that two spellings of one
//! number are equal; `phone_key(number, country)`: the same as a whole number, a 1 before its digits, to join
//! millions of calls by.
//!
//! A number without its calling code is read as one of `country`, by that country's trunk prefix; where
//! no country is told it is null, since a guess would join strangers. An extension is no number.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, StringBuilder, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::country::calling_code;

/// Digits of an international number: the shortest in use, and what E.164 allows.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Phone {
    form: Form,
    signature: Signature,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Form {
    E164,
    Key,
}

impl Phone {
    pub fn e164() -> Self {
        Self { form: Form::E164, signature: Signature::any(2, Volatility::Immutable) }
    }

    pub fn key() -> Self {
        Self { form: Form::Key, ..Self::e164() }
    }
}

impl ScalarUDFImpl for Phone {
    fn name(&self) -> &str {
        match self.form {
            Form::E164 => "phone_e164",
            Form::Key => "phone_key",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.form {
            Form::E164 => DataType::Utf8,
            Form::Key => DataType::Int64,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [numbers, countries] = args.args.as_slice() else {
            return internal_err!("{} takes a number and a country", self.name());
        };
        let text = |told: &ColumnarValue| {
            told.to_array(args.number_rows).and_then(|told| Ok(cast(&told, &DataType::Utf8View)?))
        };
        let numbers = text(numbers)?;
        let numbers = numbers.as_string_view();
        let column = match countries {
            // Of millions of calls, whose accounts have none.
            ColumnarValue::Scalar(country) if country.is_null() => {
                self.told(numbers, std::iter::repeat(None))
            }
            _ => self.told(numbers, text(countries)?.as_string_view()),
        };
        Ok(ColumnarValue::Array(column))
    }
}

impl Phone {
    fn told<'a>(
        &self,
        numbers: &StringViewArray,
        countries: impl IntoIterator<Item = Option<&'a str>>,
    ) -> ArrayRef {
        let mut kept = String::new();
        let pairs = numbers.iter().zip(countries);
        match self.form {
            Form::E164 => {
                let mut texts = StringBuilder::new();
                for (number, country) in pairs {
                    texts.append_option(number.and_then(|number| e164(number, country, &mut kept)));
                }
                Arc::new(texts.finish())
            }
            Form::Key => {
                let keys = pairs.map(|(number, country)| key(number?, country, &mut kept));
                Arc::new(keys.collect::<Int64Array>())
            }
        }
    }
}

/// Most vendors write numbers so.
fn is_e164(number: &str) -> bool {
    behind_plus(number).is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What may be the digits of an international number.
fn behind_plus(number: &str) -> Option<&str> {
    number.strip_prefix('+').filter(|digits| DIGITS.contains(&digits.len()))
}

fn e164<'a>(number: &'a str, country: Option<&str>, kept: &'a mut String) -> Option<&'a str> {
    if is_e164(number) {
        return Some(number);
    }
    let (code, skipped) = digits(number, country, kept)?;
    kept.replace_range(..skipped, code);
    kept.insert(0, '+');
    Some(kept)
}

/// Two numbers have one key if their digits are the same, zeros in front as well.
fn key(number: &str, country: Option<&str>, kept: &mut String) -> Option<i64> {
    if let Some(digits) = behind_plus(number)
        // A sign would be read as well.
        && digits.starts_with(|first: char| first.is_ascii_digit())
        && let Ok(told) = digits.parse::<i64>()
    {
        return Some(10_i64.pow(digits.len().try_into().ok()?) + told);
    }
    let (code, skipped) = digits(number, country, kept)?;
    let digits = code.bytes().chain(kept.bytes().skip(skipped));
    Some(digits.fold(1, |key, digit| key * 10 + i64::from(digit - b'0')))
}

/// The international number as a calling code, which may be empty, and what follows in `kept` after so many bytes.
fn digits(number: &str, country: Option<&str>, kept: &mut String) -> Option<(&'static str, usize)> {
    kept.clear();
    kept.extend(number.chars().filter(|c| !c.is_whitespace() && !"-()./".contains(*c)));
    let plus = usize::from(kept.starts_with('+'));
    let digits = kept.get(plus..)?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (code, skipped) = match (plus, digits.starts_with("00")) {
        (1, _) => ("", 1),
        (_, true) => ("", 2),
        (_, false) => within(digits, &country?.trim().to_ascii_uppercase())?,
    };
    DIGITS.contains(&(code.len() + kept.len() - skipped)).then_some((code, skipped))
}

/// The calling code of a number that is dialled within a country, and the bytes that it then begins after.
fn within(digits: &str, country: &str) -> Option<(&'static str, usize)> {
    Some(match calling_code(country)? {
        "1" if digits.starts_with("011") => ("", 3),
        "1" if digits.len() == 11 && digits.starts_with('1') => ("", 0),
        "1" => ("1", 0),
        code => {
            let trunk = trunk(country);
            (code, if digits.starts_with(trunk) { trunk.len() } else { 0 })
        }
    })
}

/// What is dialled before a number within the country and is no part of it. Italy's zero is.
fn trunk(country: &str) -> &'static str {
    match country {
        "IT" | "SM" | "VA" | "CI" | "CG" | "GA" => "",
        "RU" | "KZ" | "BY" | "TM" => "8",
        "HU" => "06",
        _ => "0",
    }
}

#[cfg(test)]
mod tests {
    use super::{e164, key};

    fn phone_e164(number: &str, country: Option<&str>) -> Option<String> {
        let (mut kept, mut other) = (String::new(), String::from("left of the last"));
        let text = e164(number, country, &mut kept).map(str::to_owned);
        let expected = text.as_deref().map(|text| text.replace('+', "1").parse::<i64>().unwrap());
        assert_eq!(key(number, country, &mut other), expected, "{number}");
        text
    }

    #[test]
    fn spellings_of_one_number_are_equal() {
        let german = Some("+4930901820".to_owned());
        for (number, country) in [
            ("+49 30 901820", None),
            ("0049 (30) 90-1820", None),
            ("030/901820", Some("de")),
            ("030 901820", Some("DE")),
            ("+4930901820", Some("US")),
            ("+-4930901820", None),
        ] {
            assert_eq!(phone_e164(number, country), german, "{number}");
        }
        assert_eq!(phone_e164("(213) 370-1559", Some("US")).as_deref(), Some("+12133701559"));
        assert_eq!(phone_e164("1 213 370 1559", Some("CA")).as_deref(), Some("+12133701559"));
        assert_eq!(phone_e164("011 49 30 901820", Some("US")), german);
        assert_eq!(phone_e164("06 6982", Some("IT")).as_deref(), Some("+39066982"));
        assert_eq!(phone_e164("8 495 123-45-67", Some("RU")).as_deref(), Some("+74951234567"));
    }

    #[test]
    fn what_may_be_anybodys_is_nobodys() {
        for (number, country) in [
            ("030 901820", None),
            ("0003*001", Some("DE")),
            ("anonymous", Some("DE")),
            ("++4930901820", None),
            ("", Some("DE")),
            ("110", Some("DE")),
            ("030 901820", Some("XX")),
        ] {
            assert_eq!(phone_e164(number, country), None, "{number}");
        }
    }
}
