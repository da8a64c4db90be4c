//! Text to typed value: decimals, integers, dates and the six spellings of a time.
//!
//! Each answers `None` where the text does not fit exactly; nothing is rounded, cut or guessed.

use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;

use crate::event::Micros;
use crate::json::{JsonKind, Value};

const MICROS: i64 = 1_000_000;
/// 2000-01-01: an event before it bears a broken clock.
const EARLIEST: Micros = 946_684_800 * MICROS;
/// How far ahead of its receipt an event may claim to be: a day.
const AHEAD: Micros = 24 * 3600 * MICROS;

/// The decimal `text` as an integer of 10^-`scale` units, if it has no more than `precision` digits
/// and nothing is lost. Takes what JSON calls a number: `1234`, `-0.012`, `1.5e3`.
pub fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.as_bytes().first()? {
        b'-' => (true, mantissa.get(1..)?),
        b'+' => (false, mantissa.get(1..)?),
        _ => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let value = digits_of(whole, fraction)?;
    let shift =
        i32::from(scale) + exponent.clamp(-1000, 1000) - i32::try_from(fraction.len()).ok()?;
    let scaled = shifted(value, shift)?;
    let limit = power(u32::from(precision))?;
    (scaled < limit).then_some(if negative { -scaled } else { scaled })
}

/// The number that these digits are, one after the other.
fn digits_of(whole: &str, fraction: &str) -> Option<i128> {
    // What fits in 64 bits, nearly all there is, is read several times faster there.
    const SHORT: usize = 18;
    let digits = || whole.bytes().chain(fraction.bytes()).map(|byte| byte.wrapping_sub(b'0'));
    if digits().any(|digit| digit > 9) {
        return None;
    }
    if whole.len() + fraction.len() <= SHORT {
        return Some(i128::from(digits().fold(0u64, |value, digit| value * 10 + u64::from(digit))));
    }
    digits().try_fold(0i128, |value, digit| value.checked_mul(10)?.checked_add(i128::from(digit)))
}

/// 10^`exponent`, if it fits.
fn power(exponent: u32) -> Option<i128> {
    const SHORT: u32 = 18;
    if exponent <= SHORT {
        return Some(i128::from(10u64.pow(exponent)));
    }
    10i128.checked_pow(exponent)
}

/// `value` × 10^`shift`, when that is whole and fits.
fn shifted(value: i128, shift: i32) -> Option<i128> {
    if value == 0 {
        return Some(0);
    }
    let factor = power(shift.unsigned_abs())?;
    if shift >= 0 {
        return value.checked_mul(factor);
    }
    (value % factor == 0).then(|| value / factor)
}

/// A whole number, `8.0` among them.
pub fn integer(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| i64::try_from(decimal(text, 19, 0)?).ok())
}

/// Days since 1970-01-01 of `2019-03-01`, or of a time whose clock reads midnight.
pub fn date(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    let shaped = bytes.len() == 10 && bytes.get(4) == Some(&b'-') && bytes.get(7) == Some(&b'-');
    if !shaped {
        return None;
    }
    let nanos = string_to_timestamp_nanos(text).ok()?;
    i32::try_from(nanos.div_euclid(86_400 * 1_000_000_000)).ok()
}

/// A time written as text: RFC 3339 with any fraction and offset, `2022-08-29 18:45:26 UTC`, or the
/// vendor's decimal epoch. Fractions of a microsecond are cut, since that is the unit of the tables.
pub fn time(text: &str) -> Option<Micros> {
    let digits_first = text.as_bytes().first().is_some_and(u8::is_ascii_digit);
    if !digits_first || text.len() > 64 {
        return None;
    }
    if text.as_bytes().get(4) == Some(&b'-') {
        if let Some(time) = canonical(text) {
            return Some(time);
        }
        let plain = text.strip_suffix(" UTC").unwrap_or(text);
        return string_to_timestamp_nanos(plain).ok().map(|nanos| nanos.div_euclid(1000));
    }
    epoch(text)
}

/// `2022-08-29T18:45:26.123Z`, the spelling that nearly all times have, in a fifth of the time that the
/// general reading takes. None of anything else, which that reading may yet know.
fn canonical(text: &str) -> Option<Micros> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', rest @ ..] = text.as_bytes() else {
        return None;
    };
    let [h1, h2, b':', n1, n2, b':', s1, s2, fraction @ .., b'Z'] = rest else { return None };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0i64, |number, digit| {
            digit.is_ascii_digit().then(|| 10 * number + i64::from(digit - b'0'))
        })
    };
    let (year, month) = (number(&[*y1, *y2, *y3, *y4])?, number(&[*m1, *m2])?);
    let (day, hour) = (number(&[*d1, *d2])?, number(&[*h1, *h2])?);
    let (minute, second) = (number(&[*n1, *n2])?, number(&[*s1, *s2])?);
    let micros = match fraction {
        [] => 0,
        [b'.', digits @ ..] if (1..=6).contains(&digits.len()) => {
            number(digits)? * 10i64.pow(6 - digits.len() as u32)
        }
        _ => return None,
    };
    // Every month has 28 days; the last three of some are left to the general reading.
    let known = (1700..2262).contains(&year)
        && (1..=12).contains(&month)
        && (1..=28).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    known.then(|| seconds * MICROS + micros)
}

/// Days since 1970 of a date: Howard Hinnant's days-from-civil.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Seconds since 1970, whole or with a fraction, or milliseconds (as sent in 2018): a number past
/// 10^11 cannot be seconds of this age.
pub fn epoch(text: &str) -> Option<Micros> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let micros = if fraction.len() > 6 {
        decimal(&format!("{whole}.{}", fraction.get(..6)?), 38, 6)?
    } else {
        decimal(text, 38, 6)?
    };
    let micros = if micros > 100_000_000_000 * i128::from(MICROS) { micros / 1000 } else { micros };
    i64::try_from(micros).ok()
}

/// A time in any of its spellings.
pub fn time_of(value: Value<'_>) -> Option<Micros> {
    match value.kind() {
        JsonKind::String => time(value.as_str()?),
        JsonKind::Number => epoch(value.raw()),
        _ => None,
    }
}

/// The event's own time if it is one that can be, else none: before 2000, or more than a day ahead
/// of its receipt, is a broken clock.
pub fn plausible(time: Option<Micros>, received_at: Micros) -> Option<Micros> {
    time.filter(|time| *time >= EARLIEST && *time <= received_at.saturating_add(AHEAD))
}

/// Year and month of an instant, in UTC.
pub fn month(time: Micros) -> (i64, u8) {
    let days = time.div_euclid(86_400 * MICROS);
    // Howard Hinnant's civil-from-days, for the proleptic Gregorian calendar.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimals_are_exact_or_refused() {
        assert_eq!(decimal("0.012", 28, 9), Some(12_000_000));
        assert_eq!(decimal("1234.0", 28, 9), Some(1_234_000_000_000));
        assert_eq!(decimal("-1.5e3", 28, 9), Some(-1_500_000_000_000));
        assert_eq!(decimal("0.0000000001", 28, 9), None);
        assert_eq!(decimal("12345678901234567890", 28, 9), None);
        for bad in ["", "-", ".", "1,5", "abc", "1e", "٣"] {
            assert_eq!(decimal(bad, 28, 9), None, "{bad:?}");
        }
    }

    #[test]
    fn the_six_spellings_of_a_time() {
        let second = 1_593_023_469_000_000;
        assert_eq!(epoch("1593023469"), Some(second));
        assert_eq!(epoch("1593023469.8293262"), Some(second + 829_326));
        assert_eq!(epoch("1593023469829"), Some(second + 829_000));
        assert_eq!(time("2020-06-24T18:31:09Z"), Some(second));
        assert_eq!(time("2020-06-25T00:01:09+05:30"), Some(second));
        assert_eq!(time("2020-06-24 18:31:09 UTC"), Some(second));
        assert_eq!(time("2023-09-20T09:49:05.9464952Z"), Some(1_695_203_345_946_495));
        for bad in ["", "123", "yesterday", "2020-13-01T00:00:00Z"] {
            assert!(time(bad).is_none_or(|t| plausible(Some(t), second).is_none()), "{bad:?}");
        }
    }

    #[test]
    fn dates_and_whole_numbers() {
        assert_eq!(date("2019-03-01"), Some(17_956));
        assert_eq!(date("123"), None);
        assert_eq!(integer("8.0"), Some(8));
        assert_eq!(integer("1275857082467778600"), Some(1_275_857_082_467_778_600));
        assert_eq!(integer("5.11"), None);
    }

    proptest! {
        #[test]
        fn the_quick_reading_agrees_with_the_general_one(
            (year, month, day) in (1600i64..2400, 0i64..14, 0i64..33),
            (hour, minute, second) in (0i64..26, 0i64..62, 0i64..62),
            fraction in "(\\.[0-9]{0,9})?",
            end in "Z|z| UTC||\\+00:00",
        ) {
            let text = format!(
                "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{end}"
            );
            let general = string_to_timestamp_nanos(&text).ok().map(|nanos| nanos.div_euclid(1000));
            if let Some(quick) = canonical(&text) {
                prop_assert_eq!(Some(quick), general, "{}", text);
            }
        }

        #[test]
        fn the_month_agrees_with_the_calendar(days in -20_000i64..40_000) {
            let time = days * 86_400 * MICROS + 5;
            let text = arrow::temporal_conversions::date32_to_datetime(days as i32).unwrap();
            let (year, month) = month(time);
            prop_assert_eq!(format!("{year:04}-{month:02}"), text.format("%Y-%m").to_string());
        }
    }
}
