//! `phone_e164(number, country)`: a number in E.164 form (`+4930901820`), so that two spellings of one
//! number are equal.
//!
//! A number without its calling code is read as one of `country`, by that country's trunk prefix; where
//! no country is told it is null, since a guess would join strangers. An extension is no number.

use std::sync::Arc;

use arrow::array::{AsArray, StringArray};
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
pub struct PhoneE164 {
    signature: Signature,
}

impl Default for PhoneE164 {
    fn default() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for PhoneE164 {
    fn name(&self) -> &str {
        "phone_e164"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let columns =
            columns.iter().map(|c| cast(c, &DataType::Utf8)).collect::<Result<Vec<_>, _>>()?;
        let [numbers, countries] = columns.as_slice() else {
            return internal_err!("phone_e164 takes a number and a country");
        };
        let pairs = numbers.as_string::<i32>().iter().zip(countries.as_string::<i32>());
        let numbers: StringArray =
            pairs.map(|(number, country)| phone_e164(number?, country)).collect();
        Ok(ColumnarValue::Array(Arc::new(numbers)))
    }
}

fn phone_e164(number: &str, country: Option<&str>) -> Option<String> {
    let kept: String =
        number.trim().chars().filter(|c| !c.is_whitespace() && !"-()./".contains(*c)).collect();
    let (plus, digits) = match kept.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, kept.as_str()),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let country = country.map(|country| country.trim().to_ascii_uppercase());
    let code = country.as_deref().and_then(calling_code);
    let international = match (plus, digits.strip_prefix("00"), code) {
        (true, _, _) => digits.to_owned(),
        (false, Some(rest), _) => rest.to_owned(),
        (false, None, Some("1")) => match digits.strip_prefix("011") {
            Some(rest) => rest.to_owned(),
            None if digits.len() == 11 && digits.starts_with('1') => digits.to_owned(),
            None => format!("1{digits}"),
        },
        (false, None, Some(code)) => {
            let trunk = trunk(country.as_deref().unwrap_or_default());
            format!("{code}{}", digits.strip_prefix(trunk).unwrap_or(digits))
        }
        (false, None, None) => return None,
    };
    DIGITS.contains(&international.len()).then(|| format!("+{international}"))
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
    use super::phone_e164;

    #[test]
    fn spellings_of_one_number_are_equal() {
        let german = Some("+4930901820".to_owned());
        for (number, country) in [
            ("+49 30 901820", None),
            ("0049 (30) 90-1820", None),
            ("030/901820", Some("de")),
            ("030 901820", Some("DE")),
            ("+4930901820", Some("US")),
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
            ("", Some("DE")),
            ("110", Some("DE")),
            ("030 901820", Some("XX")),
        ] {
            assert_eq!(phone_e164(number, country), None, "{number}");
        }
    }
}
