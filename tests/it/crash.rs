//! Death at every durable step of writing a batch: the process aborts at a fail point, is started
//! again, and the tables end as if nothing had happened.
//!
//! An import and a server meet the same sink. The import is the cheaper way to die at each point;
//! the server shows that the log keeps what the tables do not have yet.

use crate::harness::events::{self, Event, Sender};
use crate::harness::process::{Ended, Place};
use crate::harness::tables;

/// Each is passed once for every batch (and table); the count says at which batch to die.
const POINTS: &[&str] = &[
    "sinks:parquet:before",
    "sinks:parquet:after:2",
    "sinks:commit-call_participants:before",
    "sinks:commit-call_participants:after",
    "sinks:commit-calls:after:2",
    "sinks:commit-deals:before:2",
    "sinks:commit-dead_letters:after",
    "sinks:progress:before",
    "sinks:progress:after",
    "sinks:progress:before:3",
];

fn sample() -> Vec<Event> {
    let mut sent = events::fixtures();
    sent.extend(events::simulated(&Place::new(), 5, 400));
    sent.push(events::unknown());
    sent
}

#[test]
fn an_import_that_dies_at_any_step_is_completed_by_the_next() {
    let sent = sample();
    let expected = tables::reference(&sent);
    for point in POINTS {
        // A line is a batch, or few are: so there are second and third batches to die in.
        let place = Place::new().with("RINGLAKE_FLUSH_MAX_BYTES", "64 KiB");
        place.file("all.ndjson", events::envelopes(&sent));
        let arguments = ["import", "--enveloped", "all.ndjson"];
        let died = die_at(&place, point, &arguments);
        assert_eq!(died.code, None, "{point} was never reached: {died:#?}");
        place.ok(&arguments);
        tables::positions(&place);
        tables::assert_same(&tables::contents(&place), &expected);
    }
}

fn die_at(place: &Place, point: &str, arguments: &[&str]) -> Ended {
    let output = place.command(arguments).env("RINGLAKE_FAILPOINT", point).output().unwrap();
    Ended {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn a_server_that_dies_at_any_step_has_everything_after_a_restart() {
    let sent = sample();
    let expected = tables::reference(&sent);
    for point in ["sinks:commit-calls:before", "sinks:commit-calls:after", "sinks:progress:after:2"]
    {
        let armed = Place::new().with("RINGLAKE_FAILPOINT", point);
        let mut server = armed.serve(&["serve"]);
        let sender = Sender::new(&armed);
        let mut unanswered = events::requests(&sent);
        unanswered.retain(|request| {
            !sender.post(server.address, request).is_ok_and(|answer| answer.status == 200)
        });
        assert_eq!(server.running.wait_end(), None, "{point} was never reached");

        let place = armed.with("RINGLAKE_FAILPOINT", "");
        let server = place.serve(&["serve"]);
        for request in unanswered {
            assert_eq!(sender.post(server.address, &request).unwrap().status, 200);
        }
        let all = tables::events_in(&expected);
        tables::wait_written(&place, all);
        tables::positions(&place);
        tables::assert_same(&tables::contents(&place), &expected);
    }
}
