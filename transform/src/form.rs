//! Forms (`application/x-www-form-urlencoded`), read without a copy where they can be.
//!
//! A form's event is small, and the decoder of the URL standard would take most of its time. It has the last
//! word all the same: what is read here must never differ from what it reads.

use std::borrow::Cow;

/// Names and values of a form, in its order.
pub fn pairs(form: &[u8]) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let (text, bytes) = std::str::from_utf8(form).map_or(("", form), |text| (text, &[]));
    let simple = |pair| simple(pair).or_else(|| form_urlencoded::parse(str::as_bytes(pair)).next());
    text.split('&').filter_map(simple).chain(form_urlencoded::parse(bytes))
}

/// A pair as almost all are: spelled as it is read but for some `%2B` in its value. It says what the
/// decoder of forms says, which copies each pair and takes most of an event's time.
fn simple(pair: &str) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    let equals = memchr::memchr(b'=', pair.as_bytes())?;
    let (name, value) = (pair.get(..equals)?, pair.get(equals + 1..)?);
    let value = match memchr::memchr2(b'%', b'+', pair.as_bytes()) {
        None => value.into(),
        // One in the name is left to the decoder.
        Some(at) => unescaped(value.as_bytes(), at.checked_sub(equals + 1)?)?.into(),
    };
    Some((name.into(), value))
}

/// A value of which the first so many bytes stand for themselves; none if it is for the decoder.
fn unescaped(value: &[u8], plain: usize) -> Option<String> {
    let mut text = Vec::with_capacity(value.len());
    let (plain, mut rest) = value.split_at_checked(plain)?;
    text.extend_from_slice(plain);
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match (*byte, rest) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                text.push((digit(high)? << 4 | digit(low)?) as u8);
                rest = after;
            }
            (b'%', _) => return None,
            (b'+', _) => text.push(b' '),
            _ => text.push(*byte),
        }
    }
    String::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn reads_as_the_standard_does(form in vec(prop::sample::select(b"a=&%+2bB\xc3\xa9".to_vec()), 0..24)) {
            let found: Vec<_> = pairs(&form).collect();
            let standard: Vec<_> = form_urlencoded::parse(&form).collect();
            prop_assert_eq!(found, standard);
        }
    }
}
