//! Why an event could not become rows. A batch never fails: each of these becomes one dead letter.

use std::fmt;

use thiserror::Error;

/// The step that could not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The log found that its record is not what was written.
    Log,
    /// The bytes are not what the system sends: no JSON, no form, not UTF-8, nested too deep.
    Decode,
    /// Readable, but no event that this version knows.
    Recognise,
    /// A known event without what makes it a row, such as the id of its record.
    Flatten,
}

impl Stage {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Decode => "decode",
            Self::Recognise => "recognise",
            Self::Flatten => "flatten",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Every cause there is, and what would mend it: at the sender, or here.
const CAUSES: &[(&str, &str)] = &[
    (
        "not-utf8",
        "the sender has to send UTF-8: see what encodes the body between the vendor and here",
    ),
    (
        "not-json",
        "see what cuts or changes the body between the vendor and here, or who else sends to this route",
    ),
    ("too-deep", "no vendor nests values this deep: see who else sends to this route"),
    ("too-long", "no vendor sends events this long: see who else sends to this route"),
    ("empty", "see who sends requests without an event to this route"),
    (
        "no-event-name",
        "this is no event of the route's vendor: register the right route's URL at the one that sent it",
    ),
    (
        "unknown-event",
        "a newer version of ringlake may know it, and tries it again by itself; or unsubscribe from this \
         event at the vendor, and drop the letters",
    ),
    (
        "damaged",
        "the disk has changed what the log had: check it, and restore the log's file from a backup",
    ),
    ("no-data", "the vendor's event is not whole: see whether an app or proxy between changes it"),
    ("no-id", "the vendor's event is not whole: see whether an app or proxy between changes it"),
];

/// What would mend dead letters of this cause; none if it is not one of this version's.
pub fn mend(cause: &str) -> Option<&'static str> {
    CAUSES.iter().find(|(known, _)| *known == cause).map(|(_, mend)| *mend)
}

/// Why one event was refused. `cause` groups dead letters and is one of [`CAUSES`]; `message` tells this
/// one's story.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Rejection {
    pub stage: Stage,
    pub cause: &'static str,
    pub message: String,
}

impl Rejection {
    pub fn new(stage: Stage, cause: &'static str, message: impl Into<String>) -> Self {
        debug_assert!(mend(cause).is_some(), "{cause} is not among CAUSES");
        Self { stage, cause, message: message.into() }
    }
}

/// A name that is in no registry, with those that are.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown {what} {name:?}; there are {}", known.join(", "))]
pub struct UnknownName {
    pub what: &'static str,
    pub name: String,
    pub known: Vec<&'static str>,
}
