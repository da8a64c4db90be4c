//! What must hold of any bytes at all that come for a system: no panic, bounded memory, nothing lost, and
//! no `iparams` in anything that is made of them.
//!
//! Runs on the fuzz targets' seeds in the unit tests, and on whatever the fuzzer makes of them in `fuzz/`,
//! which takes this file as it is.

use std::sync::Arc;

use arrow::array::{Array, ArrayData, AsArray};
use bytes::Bytes;

use super::oracle::Found;
use crate::batch::FlatBatch;
use crate::event::{LogPartition, RawBatch, RawEvent};
use crate::flatten::Flattener;
use crate::offsets::OffsetRange;
use crate::systems::{Request, SplitEvent, System};

/// 2026-03-01T00:00:00Z.
const RECEIVED_AT: i64 = 1_772_323_200_000_000;
const SECRET: &[u8] = b"IPARAMS3CRET";
const MEMBER: &[u8] = b"\"iparams\":{\"key\":\"IPARAMS3CRET\",\"more\":[1,{}]},";
const PARAMETER: &[u8] = b"&iparams=IPARAMS3CRET&more=1";
/// Of a request with more events only as many are looked at one by one.
const LOOKED_AT: usize = 16;
/// What a table costs at the least, and how many bytes a byte of a body may become: columns of their own
/// cost more than the shortest values that fill them.
const TABLE_BYTES: usize = 1 << 20;
const GROWTH: usize = 256;

/// Headers of a CloudEvent in binary mode.
const BINARY_MODE: &[(&str, &str)] =
    &[("ce-type", "channel.ended.v1"), ("ce-id", "1"), ("ce-source", "/channel")];

/// The first byte says by which route and in which mode the rest comes.
pub fn check(system: &'static dyn System, input: &[u8]) {
    let Some((how, body)) = input.split_first() else { return };
    let route = system.routes().get(usize::from(how & 0x0f)).copied();
    let headers = if how & 0x80 == 0 { &[][..] } else { BINARY_MODE };
    let split = |body: &[u8]| {
        let body = Bytes::copy_from_slice(body);
        system.split(&Request { headers, body, ..Request::default() })
    };
    let events = split(body);
    let bytes: usize = events.iter().map(|event| event.body.len()).sum();
    assert!(bytes <= 2 * body.len() + 1024, "{bytes} bytes were made of {}", body.len());
    let mut flattener = Flattener::default();
    for event in events.iter().take(LOOKED_AT) {
        nothing_is_lost(&mut flattener, system, route, event);
    }
    if memchr::memmem::find(body, SECRET).is_none() {
        let tempting = with_secret(body, usize::from(how >> 4));
        let events = split(&tempting);
        for event in &events {
            assert!(memchr::memmem::find(&event.body, SECRET).is_none(), "iparams reach the log");
        }
        let bodies = events.into_iter().map(|event| event.body);
        no_secret(&flatten(&mut Flattener::default(), system, route, bodies.collect()));
        // As another producer would write it to the log.
        no_secret(&flatten(&mut Flattener::default(), system, route, vec![tempting.into()]));
    }
}

fn flatten(
    flattener: &mut Flattener,
    system: &'static dyn System,
    route: Option<&str>,
    bodies: Vec<Bytes>,
) -> FlatBatch {
    let route: Option<Arc<str>> = route.map(Into::into);
    let event = |(offset, body)| RawEvent {
        offset,
        received_at: RECEIVED_AT,
        route: route.clone(),
        body,
        resolution: None,
        damaged: false,
    };
    let events: Vec<RawEvent> = (0..).zip(bodies).map(event).collect();
    let (partition, last) = (LogPartition::new("fuzz", 0), events.len().max(1) as i64 - 1);
    let range = OffsetRange::new(0, last);
    let flat = flattener.flatten(vec![RawBatch { partition, system, range, events }]);
    let counts = flat.counts;
    assert_eq!(counts.received, counts.written + counts.dead_lettered + counts.repeated);
    flat
}

fn nothing_is_lost(
    flattener: &mut Flattener,
    system: &'static dyn System,
    route: Option<&str>,
    event: &SplitEvent,
) {
    let flat = flatten(flattener, system, route, vec![event.body.clone()]);
    let bytes: usize = flat.tables.iter().map(|table| table.rows.get_array_memory_size()).sum();
    let limit = flat.tables.len() * TABLE_BYTES + GROWTH * event.body.len();
    assert!(bytes <= limit, "{bytes} bytes of rows were made of {}", event.body.len());
    let found = Found::of(flat.tables.iter().map(|table| &table.rows));
    let lost = match (flat.counts.written, event.body.trim_ascii().first()) {
        (0, _) => None,
        (_, Some(b'{')) => found.lacks(&event.body),
        _ => form_urlencoded::parse(event.body.trim_ascii())
            .filter(|(name, value)| name != "iparams" && !value.contains('\u{fffd}'))
            .find_map(|(_, value)| (!found.has(&value)).then(|| value.into_owned())),
    };
    assert!(lost.is_none(), "{lost:?} is lost: {flat:?}");
    for letters in flat.tables.iter().filter(|table| table.table.name == "dead_letters") {
        let bodies = letters.rows["body"].as_binary::<i32>();
        assert_eq!(bodies.value(0), event.body, "a dead letter is not what came");
    }
}

/// The body with `iparams` behind one of its opening braces, or among its parameters.
fn with_secret(body: &[u8], nth: usize) -> Vec<u8> {
    let braces: Vec<usize> = memchr::memchr_iter(b'{', body).collect();
    let (at, what) = match braces.get(nth.checked_rem(braces.len()).unwrap_or(0)) {
        Some(brace) => (brace + 1, MEMBER),
        None => (body.len(), PARAMETER),
    };
    let (before, behind) = body.split_at(at);
    [before, what, behind].concat()
}

fn no_secret(flat: &FlatBatch) {
    for column in flat.tables.iter().flat_map(|table| table.rows.columns()) {
        assert!(!holds_secret(&column.to_data()), "iparams reach a table");
    }
}

fn holds_secret(data: &ArrayData) -> bool {
    let holds = |bytes: &[u8]| memchr::memmem::find(bytes, SECRET).is_some();
    data.buffers().iter().any(|buffer| holds(buffer)) || data.child_data().iter().any(holds_secret)
}
