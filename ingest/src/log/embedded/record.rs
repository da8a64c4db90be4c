//! How one event lies in the embedded log, little-endian:
//!
//! ```text
//! checksum u64 | received_at i64 | route length u8 | route | body
//! ```
//!
//! The length's top bit says that the record resolves a dead letter; then `length u16 | resolution` stands
//! before the body.
//!
//! The checksum (xxh3) covers all that follows and is seeded with the offset, so that a flipped bit,
//! a zeroed page and a record in the wrong place are all found when the record is read. redb checks
//! its own pages only when it repairs.

use bytes::{Buf, BufMut};
use ringlake_transform::{Micros, Resolution};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::log::NewRecord;

const CHECKSUM: usize = 8;
const HEADER: usize = CHECKSUM + 8 + 1;

/// Set in the length of the route of a record that resolves a dead letter.
const RESOLVES: u8 = 0x80;

/// Routes are names from a registry; one that is longer than its length field is cut.
fn route(record: &NewRecord) -> (u8, &[u8]) {
    let route = record.route.as_deref().unwrap_or_default().as_bytes();
    let len = u8::try_from(route.len()).unwrap_or(u8::MAX).min(!RESOLVES);
    (len, route.get(..usize::from(len)).unwrap_or_default())
}

/// The text of the resolution with its length; empty for a vendor's event, as nearly all are.
fn resolution(record: &NewRecord) -> Vec<u8> {
    let Some(resolution) = &record.resolution else { return Vec::new() };
    let text = resolution.to_string();
    // An id is a topic and two numbers; what is longer than its length field is cut, and names no letter.
    let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
    let mut bytes = len.to_le_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes().get(..usize::from(len)).unwrap_or_default());
    bytes
}

pub(super) fn encoded_len(record: &NewRecord) -> usize {
    HEADER + usize::from(route(record).0) + resolution(record).len() + record.body.len()
}

/// Fills `out`, which is of [`encoded_len`].
pub(super) fn encode(offset: i64, record: &NewRecord, out: &mut [u8]) {
    let Some((checksum, content)) = out.split_at_mut_checked(CHECKSUM) else { return };
    let mut rest = &mut *content;
    let (len, route) = route(record);
    rest.put_i64_le(record.received_at);
    rest.put_u8(len | if record.resolution.is_some() { RESOLVES } else { 0 });
    rest.put_slice(route);
    rest.put_slice(&resolution(record));
    rest.put_slice(&record.body);
    checksum.copy_from_slice(&sum(offset, content).to_le_bytes());
}

/// A record as it lies in the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stored<'a> {
    pub received_at: Micros,
    pub route: Option<&'a str>,
    pub resolution: Option<Resolution>,
    pub body: &'a [u8],
}

/// None where the bytes are not those of a record at this offset.
pub(super) fn decode(offset: i64, mut bytes: &[u8]) -> Option<Stored<'_>> {
    let checksum = bytes.try_get_u64_le().ok()?;
    if checksum != sum(offset, bytes) {
        return None;
    }
    let received_at = bytes.try_get_i64_le().ok()?;
    let len = bytes.try_get_u8().ok()?;
    let (route, mut body) = bytes.split_at_checked(usize::from(len & !RESOLVES))?;
    let route = Some(std::str::from_utf8(route).ok()?).filter(|route| !route.is_empty());
    let mut resolution = None;
    if len & RESOLVES != 0 {
        let len = body.try_get_u16_le().ok()?;
        let (text, rest) = body.split_at_checked(usize::from(len))?;
        resolution = Some(std::str::from_utf8(text).ok()?.parse().ok()?);
        body = rest;
    }
    Some(Stored { received_at, route, resolution, body })
}

/// When it was received, without checking the whole.
pub(super) fn received_at(bytes: &[u8]) -> Option<Micros> {
    bytes.get(CHECKSUM..)?.try_get_i64_le().ok()
}

fn sum(offset: i64, content: &[u8]) -> u64 {
    xxh3_64_with_seed(content, offset.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use ringlake_transform::SYSTEMS;

    fn encoded(route: Option<&str>, body: &'static [u8]) -> Vec<u8> {
        encoded_as(route, body, None)
    }

    fn encoded_as(
        route: Option<&str>,
        body: &'static [u8],
        resolution: Option<Resolution>,
    ) -> Vec<u8> {
        let record = NewRecord {
            system: SYSTEMS[0],
            key: None,
            route: route.map(Into::into),
            received_at: 1_700_000_000_000_001,
            body: Bytes::from_static(body),
            resolution: resolution.map(Into::into),
        };
        let mut bytes = vec![0; encoded_len(&record)];
        encode(7, &record, &mut bytes);
        bytes
    }

    #[test]
    fn comes_back_as_it_went_in() {
        for (route, body) in [(None, &b""[..]), (Some("hangup"), b"{}"), (None, b"\0\xff")] {
            let bytes = encoded(route, body);
            let expected =
                Stored { received_at: 1_700_000_000_000_001, route, resolution: None, body };
            assert_eq!(decode(7, &bytes), Some(expected));
            assert_eq!(received_at(&bytes), Some(1_700_000_000_000_001));
            let resolution: Resolution = "retry 5 ringlake.vonage/0/17".parse().unwrap();
            let bytes = encoded_as(route, body, Some(resolution.clone()));
            let read = decode(7, &bytes).unwrap();
            assert_eq!((read.route, read.resolution, read.body), (route, Some(resolution), body));
        }
    }

    #[test]
    fn any_flipped_bit_and_any_other_offset_is_found() {
        let bytes = encoded(Some("answer"), b"{\"a\":1}");
        assert_eq!(decode(8, &bytes), None);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert_eq!(decode(7, &damaged), None, "byte {at}");
        }
        assert_eq!(decode(7, &vec![0; bytes.len()]), None);
        assert_eq!(decode(7, &[]), None);
    }
}
