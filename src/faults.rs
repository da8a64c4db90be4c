//! What happens at a fail point, which mutant this is, and who is told what it syncs: as variables of the
//! environment say.
//!
//! `RINGLAKE_FAILPOINT=sinks:commit-calls:before:2` aborts when that point is passed for the second
//! time; without the count, the first. `RINGLAKE_MUTANT=trim-too-early` makes a debug build faulty.
//! `RINGLAKE_WITNESS` names a folder of `ringlake torture` in which notes are made for its modelled power
//! cuts. All are read once, at the start. At a point nothing else may happen than abort, so that what is
//! tested is a real death.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use ringlake_transform::faults::{self, MUTANTS};
use ringlake_transform::witness;

use crate::error::Error;
use crate::names::nearest;
use crate::torture::Recorder;

pub const FAILPOINT: &str = "RINGLAKE_FAILPOINT";
pub const MUTANT: &str = "RINGLAKE_MUTANT";
pub const WITNESS: &str = "RINGLAKE_WITNESS";

struct Armed {
    name: String,
    left: AtomicU64,
}

static ARMED: OnceLock<Armed> = OnceLock::new();

/// Reads the variables.
///
/// # Errors
/// Wrong usage, if one names nothing that is there.
pub fn start() -> Result<(), Error> {
    let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    if let Some(text) = variable(FAILPOINT) {
        let _ = ARMED.set(Armed::parse(&text)?);
        faults::watch(pass);
    }
    if let Some(name) = variable(MUTANT) {
        let Some((_, mutant)) = MUTANTS.iter().find(|(known, _)| *known == name) else {
            return Err(unknown(MUTANT, &name, MUTANTS.iter().map(|(name, _)| *name)));
        };
        faults::mutate(*mutant);
    }
    if let Some(folder) = variable(WITNESS) {
        let recorder = Recorder::new(folder.clone().into());
        witness::watch(Box::new(recorder.map_err(Error::file("make notes in", folder))?));
    }
    Ok(())
}

fn unknown<'a>(variable: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let hint = nearest(name, known).map(|near| format!("did you mean {near}?"));
    Error::Usage { message: format!("{variable}: there is no {name:?}"), hint }
}

fn pass(point: &str) {
    if ARMED.get().is_some_and(|armed| armed.is_reached(point)) {
        std::process::abort();
    }
}

impl Armed {
    fn parse(text: &str) -> Result<Self, Error> {
        let (name, nth) = match text.rsplit_once(':') {
            Some((name, nth)) => match nth.parse::<u64>() {
                Ok(nth) => (name, nth.max(1)),
                Err(_) => (text, 1),
            },
            None => (text, 1),
        };
        let points: Vec<String> = faults::points().collect();
        if !points.iter().any(|point| point == name) {
            return Err(unknown(FAILPOINT, name, points.iter().map(String::as_str)));
        }
        Ok(Self { name: name.to_owned(), left: AtomicU64::new(nth) })
    }

    fn is_reached(&self, point: &str) -> bool {
        // Past zero the count wraps and never comes back to 1.
        self.name == point && self.left.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_passage_is_the_one() {
        let armed = Armed::parse("sinks:commit-calls:before:2").ok().unwrap();
        assert!(!armed.is_reached("sinks:commit-deals:before"));
        assert!(!armed.is_reached("sinks:commit-calls:after"));
        assert!(!armed.is_reached("sinks:commit-calls:before"));
        assert!(armed.is_reached("sinks:commit-calls:before"));
        assert!(!armed.is_reached("sinks:commit-calls:before"));
        assert!(
            Armed::parse("sinks:progress:after").ok().unwrap().is_reached("sinks:progress:after")
        );
    }

    #[test]
    fn a_name_that_is_no_point_is_refused() {
        let error = Armed::parse("sinks:comit-calls:before").err().unwrap();
        assert!(error.report().contains("did you mean sinks:commit-calls:before?"));
    }
}
