//! What the views make of each system's events: partial states, phases, channels, whole records.

use super::{Tables, lines, sql_csv};

#[tokio::test]
async fn phases_of_a_call_at_one_extension() {
    // A: answered, with an Answer event. B: the same call at another extension, without one. C: not
    // answered. D: nothing but a hangup. E: hung up before the dial arrived. F: still going.
    let engine = Tables::default()
        .with(
            "calls",
            r#"
            {"call_id":"A","extension":"1","phase":"dial-in","status":"CALLING","event_time":"2026-03-01T10:00:00Z"}
            {"call_id":"A","extension":"1","phase":"answer","status":"ANSWER","event_time":"2026-03-01T10:00:05.5Z"}
            {"call_id":"A","extension":"1","phase":"hangup","status":"ANSWER","event_time":"2026-03-01T10:01:00Z"}
            {"call_id":"A","extension":"2","phase":"dial-out","status":"CALLING","event_time":"2026-03-01T10:00:00Z"}
            {"call_id":"A","extension":"2","phase":"hangup","status":"ANSWER","event_time":"2026-03-01T10:01:00Z"}
            {"call_id":"C","extension":"1","phase":"dial-in","status":"CALLING","event_time":"2026-03-01T11:00:00Z"}
            {"call_id":"C","extension":"1","phase":"hangup","status":"NOANSWER","event_time":"2026-03-01T11:01:00Z"}
            {"call_id":"D","extension":"1","phase":"hangup","status":"ANSWER","event_time":"2026-03-01T12:00:00Z"}
            {"call_id":"E","extension":"1","phase":"hangup","status":"BUSY","event_time":"2026-03-01T13:00:00Z"}
            {"call_id":"E","extension":"1","phase":"dial-in","status":"CALLING","event_time":"2026-03-01T13:00:01Z"}
            {"call_id":"F","extension":"1","phase":"dial-in","status":"CALLING","event_time":"2026-03-01T14:00:00Z"}
            "#,
        )
        .engine();
    let sql = "SELECT call_id, extension, started_at, answered_at, ended_at, status, talk_seconds, talk_basis \
               FROM calls_current ORDER BY call_id, extension";
    assert_eq!(
        sql_csv(&engine, sql).await,
        lines(
            "call_id,extension,started_at,answered_at,ended_at,status,talk_seconds,talk_basis
            A,1,2026-03-01T10:00:00Z,2026-03-01T10:00:05.500Z,2026-03-01T10:01:00Z,ANSWER,54.5,answer-to-hangup
            A,2,2026-03-01T10:00:00Z,,2026-03-01T10:01:00Z,ANSWER,60,dial-to-hangup
            C,1,2026-03-01T11:00:00Z,,2026-03-01T11:01:00Z,NOANSWER,0,
            D,1,2026-03-01T12:00:00Z,,2026-03-01T12:00:00Z,ANSWER,,
            E,1,2026-03-01T13:00:01Z,,2026-03-01T13:00:00Z,BUSY,0,
            F,1,2026-03-01T14:00:00Z,,,CALLING,,"
        )
    );
}

#[tokio::test]
async fn talked_time_of_channels() {
    // Channel a is connected 10:00:02–10:00:40 less held 10–20 and, within and beyond that, parked
    // 15–25.5: 38 − 15.5 = 22.5. The customer's channel does not count. Channel c belongs to a second
    // agent: 10:00:40–10:00:50 and never ended, less an interruption that never ended from :45 on.
    let event = |channel: &str, role: &str, agent: &str, phase: &str, second: &str| {
        format!(
            r#"{{"account_id":null,"interaction_id":"i","channel_id":"{channel}","party_role":"{role}","agent_id":{agent},"phase":"{phase}","event_time":"2026-03-01T10:00:{second}Z"}}"#
        )
    };
    let mut events = vec![event("b", "customer", "null", "connected", "01")];
    for (phase, second) in [
        ("alerted", "00"),
        ("held", "10"),
        ("connected", "02"),
        ("parked", "15"),
        ("retrieved", "20"),
        ("unparked", "25.5"),
        ("wrapstarted", "40"),
        ("disconnected", "40"),
        ("ended", "45"),
    ] {
        events.push(event("a", "agent", "\"1544\"", phase, second));
    }
    for (phase, second) in [("connected", "40"), ("interrupted", "45"), ("parked", "50")] {
        events.push(event("c", "agent", "\"1600\"", phase, second));
    }
    let engine = Tables::default().with("channel_events", &events.join("\n")).engine();
    let sql = "SELECT call_id, agent_id, started_at, answered_at, ended_at, status, talk_seconds, talk_basis \
               FROM calls_current";
    assert_eq!(
        sql_csv(&engine, sql).await,
        lines(
            "call_id,agent_id,started_at,answered_at,ended_at,status,talk_seconds,talk_basis
            i,1600,2026-03-01T10:00:00Z,2026-03-01T10:00:02Z,2026-03-01T10:00:40Z,parked,27.5,connected-time"
        )
    );
}

#[tokio::test]
async fn records_are_replaced_whole_and_deleted_ones_are_out() {
    let engine = Tables::default()
        .with(
            "deals",
            r#"
            {"id":1,"name":"A","amount":10,"event_time":"2026-03-01T10:00:00Z"}
            {"id":1,"name":"B","event_time":"2026-03-01T11:00:00Z"}
            {"id":1,"name":"late","amount":99,"event_time":"2026-03-01T09:00:00Z"}
            {"id":2,"name":"gone","event_time":"2026-03-01T10:00:00Z"}
            {"id":2,"name":"gone","is_deleted":true,"event_time":"2026-03-01T11:00:00Z"}
            {"id":3,"name":"gone too","event_time":"2026-03-01T10:00:00Z"}
            {"id":3,"event_type":"onDealDelete","event_time":"2026-03-01T10:00:00Z"}
            {"id":9007199254740993,"name":"big","event_time":"2026-03-01T10:00:00Z"}
            "#,
        )
        .engine();
    assert_eq!(
        sql_csv(&engine, "SELECT id, name, amount FROM deals_current ORDER BY id").await,
        "id,name,amount\n1,B,\n9007199254740993,big,\n"
    );
}

#[tokio::test]
async fn labels_and_names_are_folded() {
    let engine = Tables::default()
        .with(
            "field_labels",
            r#"
            {"record_type":"deal","field":"cf_a","label":"Old","type":"text","event_time":"2026-03-01T10:00:00Z","first_seen_at":"2026-03-01T10:00:00Z","last_seen_at":"2026-03-01T10:00:00Z"}
            {"record_type":"deal","field":"cf_a","label":"New","type":"text","event_time":"2026-03-02T10:00:00Z","first_seen_at":"2026-03-02T10:00:00Z","last_seen_at":"2026-03-02T10:00:00Z"}
            "#,
        )
        .with(
            "deals",
            r#"
            {"id":1,"owner_id":7,"owner_name":"Jim","actor_id":"8","actor_name":"Eve","event_time":"2026-03-01T10:00:00Z"}
            {"id":1,"owner_id":7,"owner_name":"James","event_time":"2026-03-01T11:00:00Z"}
            "#,
        )
        .engine();
    assert_eq!(
        sql_csv(
            &engine,
            "SELECT field, label, first_seen_at, last_seen_at FROM field_labels_current"
        )
        .await,
        "field,label,first_seen_at,last_seen_at\ncf_a,New,2026-03-01T10:00:00Z,2026-03-02T10:00:00Z\n"
    );
    assert_eq!(
        sql_csv(&engine, "SELECT user_id, name FROM users ORDER BY user_id").await,
        "user_id,name\n7,James\n8,Eve\n"
    );
}

#[tokio::test]
async fn every_view_can_be_read_on_nothing() {
    let engine = Tables::default().engine();
    for name in engine.names() {
        let answer = engine.sql(&format!("SELECT * FROM {name}")).await;
        let answer = answer.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert!(answer.hint.is_some());
        let rows: usize = answer.collect().await.unwrap().iter().map(|b| b.num_rows()).sum();
        // The test settings name one account's currency and another's country.
        assert_eq!(rows, usize::from(name.starts_with("account_")), "{name}");
    }
}

#[tokio::test]
async fn what_there_is_can_be_asked() {
    let engine = Tables::default().engine();
    let tables = sql_csv(&engine, "SHOW TABLES").await;
    for name in ["calls,VIEW", "calls_current,VIEW", "progress,", "deal_changes,VIEW"] {
        let name = name.trim_end_matches("VIEW");
        assert!(tables.contains(&format!("ringlake,public,{name}")), "{name} in {tables}");
    }
    let columns = sql_csv(&engine, "SHOW COLUMNS FROM calls_current").await;
    assert!(columns.contains("talk_basis"), "{columns}");
    assert!(sql_csv(&engine, "DESCRIBE call_costs").await.contains("currency"));
    let listed = sql_csv(&engine, "SELECT table_name FROM information_schema.tables").await;
    assert!(listed.contains("deal_stages"), "{listed}");
}
