//! Points at which a test can kill the process.
//!
//! `RINGLAKE_FAILPOINT=sinks:commit-calls:before:2` aborts when that point is reached for the
//! second time; without the count, the first. The points are `parquet` (all files of a batch),
//! `write-<table>` (one table's files), `commit-<table>` and `progress`, each with `before` and
//! `after`. The variable is read once; when it is not set a point costs one load. It must never do
//! anything but abort, so that what is tested is a real death.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

struct Armed {
    name: String,
    left: AtomicU64,
}

static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

/// Passes the point `sinks:<step>:<when>`, `step` with `-<table>` where a table is given.
pub(crate) fn pass(step: &str, table: Option<&str>, when: &str) {
    let armed = ARMED.get_or_init(|| Armed::parse(&std::env::var("RINGLAKE_FAILPOINT").ok()?));
    if armed.as_ref().is_some_and(|armed| armed.is_reached(step, table, when)) {
        std::process::abort();
    }
}

impl Armed {
    fn parse(text: &str) -> Option<Self> {
        let (name, nth) = match text.rsplit_once(':') {
            Some((name, nth)) if nth.parse::<u64>().is_ok() => (name, nth.parse().ok()?),
            _ => (text, 1),
        };
        Some(Self { name: name.to_owned(), left: AtomicU64::new(nth.max(1)) })
    }

    fn is_reached(&self, step: &str, table: Option<&str>, when: &str) -> bool {
        let step = table.map_or_else(|| step.to_owned(), |table| format!("{step}-{table}"));
        // Past zero the count wraps and never comes back to 1.
        self.name == format!("sinks:{step}:{when}") && self.left.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_passage_is_the_one() {
        let armed = Armed::parse("sinks:commit-calls:before:2").unwrap();
        assert!(!armed.is_reached("commit", Some("deals"), "before"));
        assert!(!armed.is_reached("commit", Some("calls"), "after"));
        assert!(!armed.is_reached("commit", Some("calls"), "before"));
        assert!(armed.is_reached("commit", Some("calls"), "before"));
        assert!(!armed.is_reached("commit", Some("calls"), "before"));
        assert!(
            Armed::parse("sinks:progress:after").unwrap().is_reached("progress", None, "after")
        );
    }
}
