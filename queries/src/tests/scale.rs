//! A report over more states than fit one batch.

use super::{Tables, report_csv, request, sql_csv};
use crate::report;

#[tokio::test]
async fn a_report_over_ten_thousand_states_and_legs() {
    let calls: Vec<String> = (0..5000)
        .flat_map(|call| {
            let row = move |second: u32, rest: &str| {
                format!(
                    r#"{{"call_id":"{call}","agent_id":"{}","event_time":"2026-03-{:02}T10:00:{second:02}Z"{rest}}}"#,
                    call % 50,
                    call % 28 + 1,
                )
            };
            [row(0, ""), row(30, r#","bill_duration_seconds":60"#)]
        })
        .collect();
    let legs: Vec<String> = (0..5000)
        .flat_map(|call| {
            ["Customer", "Agent"].map(|party| {
                format!(
                    r#"{{"call_id":"{call}","leg_id":"{call}-{party}","participant_type":"{party}","duration_seconds":55,"cost":0.01,"currency":"USD","event_time":"2026-03-{:02}T10:00:30Z"}}"#,
                    call % 28 + 1
                )
            })
        })
        .collect();
    let engine = Tables::default()
        .with("calls", &calls.join("\n"))
        .with("call_participants", &legs.join("\n"))
        .engine();
    let got = report_csv(&engine, "call-cost", &[]).await;
    assert_eq!(got.lines().count(), 51);
    assert_eq!(got.lines().nth(1), Some("0,,USD,100,100,6000,2.0000,0.020000,0.020000"));
}

/// They are named thrice, and take as long as all the rest.
#[tokio::test]
async fn the_spans_of_deals_are_computed_once() {
    let engine = Tables::default().engine();
    for options in [
        &[("by", "deal")][..],
        &[("by", "owner,outcome,agent,month"), ("tz", "Europe/Berlin")],
        &[("by", "agent")],
        &[("by", "pipeline"), ("system", "freshsales"), ("deal", "7"), ("since", "2026")],
    ] {
        let asked = report::render(&request("deal-calls", options)).unwrap();
        let plan = sql_csv(&engine, &format!("EXPLAIN {}", asked.sql)).await;
        assert!(plan.contains("ScalarSubqueryExec: subqueries=1"), "{options:?}: {plan}");
    }
}
