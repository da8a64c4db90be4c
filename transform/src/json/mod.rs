//! JSON read in one pass into a flat tape that borrows from the event's own bytes.
//!
//! Why not `serde_json::Value`: a tape allocates nothing per value, gives each value's own text back
//! (so that `0.012` never passes through a float and an id beyond 2^53 keeps its digits), and does not
//! care in which order a vendor writes its keys. Tokens are jiter's; only the tape is ours.
//!
//! It must never change a value: what it hands out is the vendor's spelling.

mod redact;
mod split;
mod tape;

pub use redact::redact_iparams;
pub use split::split_events;
pub use tape::{Document, JsonKind, ParseError, Tape, Value};
