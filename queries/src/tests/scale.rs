//! A report over more states than fit one batch.

use super::{Tables, report_csv};

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
