//! The reports about calls on a small set whose numbers were computed by hand.

use super::{Tables, lines, report_csv, sql_csv};
use crate::Engine;

/// Eight calls.
///
/// | call | agent | started (UTC) | in Berlin | billed s | talked s | cost |
/// | --- | --- | --- | --- | --- | --- | --- |
/// | 1 | 694 | 03-28 22:30 | 03-28 23:30 | 120 | 95 | 0.06 + 0.012 USD |
/// | 2 | 694 | 03-28 23:30 | 03-29 00:30 | 120 | 61 | 0.1 USD, 0.25 EUR |
/// | 3 | 700 | 03-29 00:59:59 | 03-29 01:59:59 | none | 30.5 | 0 USD |
/// | 4 | 700 | 03-29 01:00 | 03-29 03:00 | 60 | 45 | none |
/// | 5 | none | 03-29 22:30 | 03-30 00:30 | 180 | 150 | 0.3333 USD, told a day late |
/// | 6 | 39897 | 10-25 00:30 | 10-25 02:30 summer | none | 90 | 1.5, account in GBP |
/// | 7 | 39897 | 10-25 01:30 | 10-25 02:30 winter | none | none | none |
/// | 8 | 41 | 10-25 23:30 | 10-26 00:30 | none | 0 | 2, currency unknown |
pub fn calls() -> Engine {
    Tables::default()
        .with(
            "calls",
            r#"
            {"call_id":"1","agent_id":"694","direction":"Outgoing","number":"+4930111","event_time":"2026-03-28T22:30:01Z","started_at":"2026-03-28T22:30:00Z","phase":"created"}
            {"call_id":"1","bill_duration_seconds":120,"event_time":"2026-03-28T22:35:00Z","phase":"updated"}
            {"call_id":"1","bill_duration_seconds":30,"agent_id":"999","event_time":"2026-03-28T22:29:00Z","received_at":"2026-03-28T22:40:00Z"}
            {"call_id":"2","agent_id":"694","direction":"incoming","bill_duration_seconds":120,"event_time":"2026-03-28T23:35:00Z","started_at":"2026-03-28T23:30:00Z"}
            {"call_id":"3","agent_id":"699","team_id":"7","event_time":"2026-03-29T01:02:00Z","started_at":"2026-03-29T00:59:59Z"}
            {"call_id":"3","agent_id":"700","number":"+12133701559","event_time":"2026-03-29T01:03:00Z"}
            {"call_id":"4","agent_id":"700","bill_duration_seconds":60,"event_time":"2026-03-29T01:02:00Z","started_at":"2026-03-29T01:00:00Z"}
            {"call_id":"5","bill_duration_seconds":180,"event_time":"2026-03-29T22:34:00Z","started_at":"2026-03-29T22:30:00Z"}
            {"system":"freshsales","account_id":"suite","call_id":"6","agent_id":"39897","talk_seconds":90,"cost":1.5,"event_time":"2026-10-25T00:33:00Z","started_at":"2026-10-25T00:30:00Z"}
            {"system":"freshsales","account_id":"suite","call_id":"7","agent_id":"39897","event_time":"2026-10-25T01:33:00Z","started_at":"2026-10-25T01:30:00Z"}
            {"system":"freshsales","account_id":"other","call_id":"8","agent_id":"41","talk_seconds":0,"cost":2,"event_time":"2026-10-25T23:33:00Z","started_at":"2026-10-25T23:30:00Z"}
            {"system":"freshsales","account_id":"other","call_id":"9","agent_id":"41","talk_seconds":10,"cost":2,"event_time":"2026-10-25T23:33:00Z","started_at":"2026-10-25T23:30:00Z","is_deleted":true}
            "#,
        )
        .with(
            "call_participants",
            r#"
            {"call_id":"1","leg_id":"11","participant_type":"Customer","currency":"USD","caller_number":"+4930222","event_time":"2026-03-28T22:30:01Z"}
            {"call_id":"1","leg_id":"12","participant_type":"Agent","participant_id":"694","caller_name":"Ann","currency":"USD","event_time":"2026-03-28T22:30:01Z"}
            {"call_id":"1","leg_id":"11","participant_type":"Customer","duration_seconds":95,"cost":0.06,"currency":"USD","event_time":"2026-03-28T22:35:00Z"}
            {"call_id":"1","leg_id":"12","duration_seconds":95,"cost":0.012,"event_time":"2026-03-28T22:35:00Z"}
            {"call_id":"1","leg_id":"11","duration_seconds":10,"cost":0.01,"event_time":"2026-03-28T22:31:00Z","received_at":"2026-03-28T22:40:00Z"}
            {"call_id":"2","leg_id":"21","participant_type":"Customer","duration_seconds":61,"cost":0.1,"currency":"usd","event_time":"2026-03-28T23:35:00Z"}
            {"call_id":"2","leg_id":"22","participant_type":"Agent","duration_seconds":60,"cost":0.25,"currency":"EUR","event_time":"2026-03-28T23:35:00Z"}
            {"call_id":"3","leg_id":"31","participant_type":"Customer","duration_seconds":30.5,"cost":0,"currency":"USD","event_time":"2026-03-29T01:02:00Z"}
            {"call_id":"4","leg_id":"41","participant_type":"Customer","duration_seconds":45,"currency":"USD","event_time":"2026-03-29T01:02:00Z"}
            {"call_id":"5","leg_id":"51","participant_type":"Customer","duration_seconds":150,"currency":"USD","event_time":"2026-03-29T22:34:00Z"}
            {"call_id":"5","leg_id":"51","cost":0.3333,"currency":"USD","event_time":"2026-03-30T22:34:00Z"}
            "#,
        )
        .engine()
}

#[tokio::test]
async fn cost_by_agent() {
    let got = report_csv(&calls(), "call-cost", &[]).await;
    // 694 in USD: calls 1 and 2, 0.072 + 0.1 = 0.172 for 240 s; 0.172 / 4 min = 0.043.
    assert_eq!(
        got,
        lines(
            "agent,agent_name,currency,calls,costed_calls,billed_seconds,cost,cost_per_call,cost_per_minute
            39897,,GBP,1,1,90,1.5000,1.500000,1.000000
            39897,,,1,0,0,,,
            41,,,1,1,0,2.0000,2.000000,
            694,Ann,EUR,1,1,120,0.2500,0.250000,0.125000
            694,Ann,USD,2,2,240,0.1720,0.086000,0.043000
            700,,USD,1,1,30.5,0.0000,0.000000,0.000000
            700,,,1,0,0,,,
            ,,USD,1,1,180,0.3333,0.333300,0.111100"
        )
    );
}

#[tokio::test]
async fn cost_by_day_in_utc_and_where_summer_time_begins() {
    let engine = calls();
    let utc = report_csv(&engine, "call-cost", &[("by", "day"), ("system", "freshcaller")]).await;
    // 03-28: calls 1 and 2. 03-29: calls 3 and 5 in USD, 0.3333 for 210.5 s: 19.998 / 210.5.
    assert_eq!(
        utc,
        lines(
            "day,currency,calls,costed_calls,billed_seconds,cost,cost_per_call,cost_per_minute
            2026-03-28,EUR,1,1,120,0.2500,0.250000,0.125000
            2026-03-28,USD,2,2,240,0.1720,0.086000,0.043000
            2026-03-29,USD,2,2,210.5,0.3333,0.166650,0.095002
            2026-03-29,,1,0,0,,,"
        )
    );
    let options = [("by", "day"), ("system", "freshcaller"), ("tz", "Europe/Berlin")];
    let berlin = report_csv(&engine, "call-cost", &options).await;
    // 03-29 in USD: calls 2 and 3, 0.1 for 150.5 s: 6 / 150.5 = 0.0398671.
    assert_eq!(
        berlin,
        lines(
            "day,currency,calls,costed_calls,billed_seconds,cost,cost_per_call,cost_per_minute
            2026-03-28,USD,1,1,120,0.0720,0.072000,0.036000
            2026-03-29,EUR,1,1,120,0.2500,0.250000,0.125000
            2026-03-29,USD,2,2,150.5,0.1000,0.050000,0.039867
            2026-03-29,,1,0,0,,,
            2026-03-30,USD,1,1,180,0.3333,0.333300,0.111100"
        )
    );
}

#[tokio::test]
async fn bounds_are_half_open_and_read_in_the_zone() {
    let engine = calls();
    let options = [
        ("by", ""),
        ("since", "2026-03-29"),
        ("until", "2026-03-29T03:00"),
        ("tz", "Europe/Berlin"),
    ];
    // Calls 2 and 3: call 4 starts at 03:00 sharp, an hour and a second after call 3's 01:59:59.
    assert_eq!(
        report_csv(&engine, "bill-duration", &options).await,
        lines(
            "calls,billed_calls,billed_seconds,talked_seconds,rounding_seconds,billed_p50,billed_p90,billed_max,unbilled_calls
            2,1,120,61,59,120,120,120,1"
        )
    );
}

#[tokio::test]
async fn hours_weeks_and_months_where_summer_time_ends() {
    let engine = calls();
    let options = [("by", "month,week,hour"), ("tz", "Europe/Berlin"), ("since", "2026-10-01")];
    // The hour from 2 to 3 comes twice on 10-25, a Sunday: calls 6 and 7.
    assert_eq!(
        report_csv(&engine, "bill-duration", &options).await,
        lines(
            "month,week,hour,calls,billed_calls,billed_seconds,talked_seconds,rounding_seconds,billed_p50,billed_p90,billed_max,unbilled_calls
            2026-10-01,2026-10-19,2,2,0,0,0,0,,,,2
            2026-10-01,2026-10-26,0,1,0,0,0,0,,,,1"
        )
    );
}

#[tokio::test]
async fn billed_against_talked() {
    let engine = calls();
    let by_direction = report_csv(&engine, "bill-duration", &[("by", "account,direction")]).await;
    // acme without direction: call 3 unbilled, calls 4 and 5 with 60 and 180 billed, 45 and 150 talked.
    assert_eq!(
        by_direction,
        lines(
            "account,direction,calls,billed_calls,billed_seconds,talked_seconds,rounding_seconds,billed_p50,billed_p90,billed_max,unbilled_calls
            acme,incoming,1,1,120,61,59,120,120,120,0
            acme,outgoing,1,1,120,95,25,120,120,120,0
            acme,,3,2,240,195,45,60,180,180,1
            other,,1,0,0,0,0,,,,1
            suite,,2,0,0,0,0,,,,2"
        )
    );
}

#[tokio::test]
async fn country_customer_and_number() {
    let got =
        report_csv(&calls(), "call-cost", &[("by", "country,customer,number"), ("agent", "694")])
            .await;
    assert_eq!(
        got,
        lines(
            "country,customer,customer_name,number,currency,calls,costed_calls,billed_seconds,cost,cost_per_call,cost_per_minute
            DE,+4930222,,+4930111,USD,1,1,120,0.0720,0.072000,0.036000
            ,,,,EUR,1,1,120,0.2500,0.250000,0.125000
            ,,,,USD,1,1,120,0.1000,0.100000,0.050000"
        )
    );
}

#[tokio::test]
async fn the_larger_leg_gives_a_call_its_currency() {
    let sql = "SELECT call_id, agent_id, cost, currency, cost_source, talk_seconds, talk_basis, leg_count \
               FROM calls_current ORDER BY call_id";
    assert_eq!(
        sql_csv(&calls(), sql).await,
        lines(
            "call_id,agent_id,cost,currency,cost_source,talk_seconds,talk_basis,leg_count
            1,694,0.072,USD,vendor,95,customer-legs,2
            2,694,0.25,EUR,vendor,61,customer-legs,2
            3,700,0,USD,vendor,30.5,customer-legs,1
            4,700,,,,45,customer-legs,1
            5,,0.3333,USD,vendor,150,customer-legs,1
            6,39897,1.5,GBP,vendor,90,call-duration,
            7,39897,,,,,,
            8,41,2,,vendor,0,call-duration,"
        )
    );
}
