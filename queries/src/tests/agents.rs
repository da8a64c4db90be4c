//! `agent-time` and `call-phases` on small sets whose numbers were computed by hand. Berlin is at UTC+1
//! until 2026-03-29 01:00 UTC, then at UTC+2.

use super::{Tables, lines, report_csv};
use crate::Engine;

/// States and calls of two agents.
///
/// | agent | from (UTC) | until | state |
/// | --- | --- | --- | --- |
/// | 1544 | 03-28 22:00 | 23:30 | Ready |
/// | 1544 | 03-28 23:30 | 03-29 00:30 | Away |
/// | 1544 | 03-29 00:30 | 02:00 | Ready |
/// | 1544 | 03-29 02:00 | the newest event, which is this | Logged Out |
/// | 1600 | 03-29 01:00 | 02:00, the newest event | Ready |
///
/// Calls of 1544: 03-28 23:00 for 600 s, 03-29 00:45 for 300 s, 02:30 for 60 s, 02:40 not answered.
pub fn states() -> Tables {
    Tables::default()
        .with(
            "agent_events",
            r#"
            {"system":"vonage","account_id":null,"agent_id":"1544","presence":"Ready","category":"ready","event_time":"2026-03-28T22:00:00Z"}
            {"system":"vonage","account_id":null,"agent_id":"1544","presence":"Ready","category":"ready","event_time":"2026-03-29T00:30:00Z"}
            {"system":"vonage","account_id":null,"agent_id":"1544","presence":"Away","category":"away","event_time":"2026-03-28T23:30:00Z"}
            {"system":"vonage","account_id":null,"agent_id":"1544","presence":"Away","category":"away","event_time":"2026-03-28T23:30:00Z","topic":"import:1"}
            {"system":"vonage","account_id":null,"agent_id":"1544","presence":"Logged Out","category":"loggedOut","event_time":"2026-03-29T02:00:00Z"}
            {"system":"vonage","account_id":null,"agent_id":"1600","presence":"Ready","category":"ready","event_time":"2026-03-29T01:00:00Z"}
            "#,
        )
        .with(
            "calls",
            r#"
            {"system":"vonage","account_id":null,"call_id":"1","agent_id":"1544","talk_seconds":600,"event_time":"2026-03-28T23:10:00Z","started_at":"2026-03-28T23:00:00Z"}
            {"system":"vonage","account_id":null,"call_id":"2","agent_id":"1544","talk_seconds":300,"event_time":"2026-03-29T00:50:00Z","started_at":"2026-03-29T00:45:00Z"}
            {"system":"vonage","account_id":null,"call_id":"3","agent_id":"1544","talk_seconds":60,"event_time":"2026-03-29T02:31:00Z","started_at":"2026-03-29T02:30:00Z"}
            {"system":"vonage","account_id":null,"call_id":"4","agent_id":"1544","talk_seconds":0,"event_time":"2026-03-29T02:41:00Z","started_at":"2026-03-29T02:40:00Z"}
            "#,
        )
}

#[tokio::test]
async fn time_in_each_state_in_utc_and_in_a_zone() {
    let engine = states().engine();
    let header = "agent,agent_name,day,presence,seconds,calls,talked_seconds,occupancy";
    // Ready on 03-28: 5400 s, 600 talked; on 03-29: 5400 s, 300 talked.
    assert_eq!(
        report_csv(&engine, "agent-time", &[]).await,
        lines(&format!(
            "{header}
            1544,,2026-03-28,Away,1800,0,0,0.000000
            1544,,2026-03-28,Ready,5400,1,600,0.111111
            1544,,2026-03-29,Away,1800,0,0,0.000000
            1544,,2026-03-29,Logged Out,0,1,60,
            1544,,2026-03-29,Ready,5400,1,300,0.055556
            1600,,2026-03-29,Ready,3600,0,0,0.000000"
        ))
    );
    // Midnight is 23:00 UTC: 3600 s Ready before it; after it 1800 + 5400, with 900 talked.
    assert_eq!(
        report_csv(&engine, "agent-time", &[("tz", "Europe/Berlin")]).await,
        lines(&format!(
            "{header}
            1544,,2026-03-28,Ready,3600,0,0,0.000000
            1544,,2026-03-29,Away,3600,0,0,0.000000
            1544,,2026-03-29,Logged Out,0,1,60,
            1544,,2026-03-29,Ready,7200,2,900,0.125000
            1600,,2026-03-29,Ready,3600,0,0,0.000000"
        ))
    );
}

#[tokio::test]
async fn the_period_cuts_states() {
    let engine = states().engine();
    let options = [
        ("by", "agent"),
        ("since", "2026-03-29T02:00"),
        ("until", "2026-03-29T04:00"),
        ("tz", "Europe/Berlin"),
    ];
    // An hour on that clock, since three o'clock follows two: 01:00 to 02:00 UTC. Call 2 is before it.
    assert_eq!(
        report_csv(&engine, "agent-time", &options).await,
        lines(
            "agent,agent_name,seconds,calls,talked_seconds,occupancy
            1544,,3600,0,0,0.000000
            1600,,3600,0,0,0.000000"
        )
    );
    let options = [("by", "account"), ("since", "2026-03-29"), ("until", "2026-03-29T01:00")];
    // Away 1800 and Ready 1800 with call 2: 300 / 3600.
    assert_eq!(
        report_csv(&engine, "agent-time", &options).await,
        lines("account,seconds,calls,talked_seconds,occupancy\n,3600,1,300,0.083333")
    );
}

#[tokio::test]
async fn availability_of_a_vendor_without_presences() {
    let engine = Tables::default()
        .with(
            "agent_events",
            r#"
            {"agent_id":"7","available_on":1,"status_name":"Available","event_time":"2026-03-01T08:00:00Z","actor_id":"7","actor_name":"Ann"}
            {"agent_id":"7","available_on":2,"event_time":"2026-03-01T09:00:00Z"}
            {"agent_id":"7","available_on":0,"status_name":"Available","event_time":"2026-03-01T10:00:00Z"}
            {"agent_id":"8","event_time":"2026-03-01T12:00:00Z"}
            {"agent_id":"7","available_on":1,"status_name":"Available","event_time":"2026-03-01T12:00:00Z"}
            "#,
        )
        .engine();
    // Agent 8's event names no state.
    assert_eq!(
        report_csv(&engine, "agent-time", &[]).await,
        lines(
            "agent,agent_name,day,presence,seconds,calls,talked_seconds,occupancy
            7,Ann,2026-03-01,Available,3600,0,0,0.000000
            7,Ann,2026-03-01,mobile,3600,0,0,0.000000
            7,Ann,2026-03-01,offline,7200,0,0,"
        )
    );
}

/// The channels of one call, which begins 30 s before midnight in Berlin; seconds count from there.
///
/// Agent 1544: alerted 0, connected 2, held 10, parked 15, retrieved 20, unparked 25.5, wrap-up and
/// disconnected 40, ended 45. Agent 1600: connected 40, interrupted 45, parked 50. A customer's channel
/// does not count.
pub fn channels() -> Engine {
    let event = |channel: &str, role: &str, agent: &str, phase: &str, tenths: i64| {
        let begin = chrono::DateTime::parse_from_rfc3339("2026-03-28T22:59:30Z").unwrap();
        let time = (begin + chrono::Duration::milliseconds(tenths * 100)).to_rfc3339();
        format!(
            r#"{{"system":"vonage","account_id":null,"interaction_id":"i","channel_id":"{channel}","party_role":"{role}","agent_id":{agent},"phase":"{phase}","event_time":"{time}"}}"#
        )
    };
    let mut events = vec![event("b", "customer", "null", "connected", 10)];
    for (phase, tenths) in [
        ("alerted", 0),
        ("held", 100),
        ("connected", 20),
        ("parked", 150),
        ("retrieved", 200),
        ("unparked", 255),
        ("wrapstarted", 400),
        ("disconnected", 400),
        ("ended", 450),
    ] {
        events.push(event("a", "agent", "\"1544\"", phase, tenths));
    }
    for (phase, tenths) in [("connected", 400), ("interrupted", 450), ("parked", 500)] {
        events.push(event("c", "agent", "\"1600\"", phase, tenths));
    }
    Tables::default().with("channel_events", &events.join("\n")).engine()
}

#[tokio::test]
async fn phases_of_channels_in_utc_and_in_a_zone() {
    let engine = channels();
    let header = "day,agent,agent_name,calls,ringing_seconds,talking_seconds,held_seconds,parked_seconds,wrap_seconds";
    // Talking 2–10 and 25.5–40; held 10–15; parked 15–25.5, held at first as well; wrap-up 40–45.
    assert_eq!(
        report_csv(&engine, "call-phases", &[]).await,
        lines(&format!(
            "{header}
            2026-03-28,1544,,1,2,22.5,5,10.5,5
            2026-03-28,1600,,1,0,5,0,0,0"
        ))
    );
    // Midnight is at 30: of 25.5–40 there are 4.5 before it and 10 after it.
    assert_eq!(
        report_csv(&engine, "call-phases", &[("tz", "Europe/Berlin")]).await,
        lines(&format!(
            "{header}
            2026-03-28,1544,,1,2,12.5,5,10.5,0
            2026-03-29,1544,,1,0,10,0,0,5
            2026-03-29,1600,,1,0,5,0,0,0"
        ))
    );
    let options = [("by", "call"), ("until", "2026-03-29"), ("tz", "Europe/Berlin")];
    assert_eq!(
        report_csv(&engine, "call-phases", &options).await,
        lines(
            "call,calls,ringing_seconds,talking_seconds,held_seconds,parked_seconds,wrap_seconds\ni,1,2,12.5,5,10.5,0"
        )
    );
}
