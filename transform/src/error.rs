//! Why an event could not become rows. A batch never fails: each of these becomes one dead letter.

use std::fmt;

use thiserror::Error;

/// The step that could not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
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

/// Why one event was refused. `cause` groups dead letters and is from a small fixed set;
/// `message` tells this one's story.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Rejection {
    pub stage: Stage,
    pub cause: &'static str,
    pub message: String,
}

impl Rejection {
    pub fn new(stage: Stage, cause: &'static str, message: impl Into<String>) -> Self {
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
