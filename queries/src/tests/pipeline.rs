//! `deal-stages`, `deal-slips` and `deal-calls` on small sets whose numbers were computed by hand.

use super::{Tables, lines, report_csv};

/// Four deals of account `crm`. Stage 1 is open, 2 is won, 3 is lost.
///
/// | deal | created | moves | worth | |
/// | --- | --- | --- | --- | --- |
/// | 100 | 03-01 00:00 | 1 → 2 on 03-03 12:00, 2 → 1 on 03-04 12:00 | 1100 | |
/// | 200 | 03-02 00:00 | 1 → 3 on 03-03 00:00 | 200 | told twice |
/// | 300 | 03-05 00:00 | none | 50 | deleted |
/// | 400 | 03-05 00:00 | none | 70 | |
///
/// Expected closes: 100 from 03-01 to 03-11 (owner 7, worth 1000), to 03-13 (owner 8, worth 1100), back
/// to 03-05; 200 from none to 03-01, then to 04-01 (owner 7).
pub fn deals() -> Tables {
    Tables::default()
        .with(
            "deals",
            r#"
            {"system":"freshsales","account_id":"crm","topic":"d","offset":1,"event_time":"2026-03-01T00:00:05Z","id":100,"name":"Big","created_at":"2026-03-01T00:00:00Z","deal_stage_id":1,"deal_stage_name":"New","deal_stage_forecast_type":"Open","amount":900,"base_currency_amount":1000,"owner_id":7,"owner_name":"Jim","contact_ids":["1"],"associations":"{\"contacts\":[{\"id\":2}]}","sales_account_id":9}
            {"system":"freshsales","account_id":"crm","topic":"d","offset":2,"event_time":"2026-03-02T00:00:05Z","id":200,"name":"Small","created_at":"2026-03-02T00:00:00Z","deal_stage_id":1,"deal_stage_name":"New","deal_stage_forecast_type":"Open","amount":200,"owner_id":7,"owner_name":"Jim"}
            {"system":"freshsales","account_id":"crm","topic":"d","offset":3,"event_time":"2026-03-03T00:00:00Z","id":200,"name":"Small","created_at":"2026-03-02T00:00:00Z","deal_stage_id":3,"deal_stage_name":"Dead","deal_stage_forecast_type":"Closed Lost","amount":200,"owner_id":7,"owner_name":"Jim"}
            {"system":"freshsales","account_id":"crm","topic":"d","offset":4,"event_time":"2026-03-03T12:00:00Z","id":100,"name":"Big","created_at":"2026-03-01T00:00:00Z","deal_stage_id":2,"deal_stage_name":"Yes","deal_stage_forecast_type":"Closed Won","amount":900,"base_currency_amount":1000,"owner_id":7,"owner_name":"Jim"}
            {"system":"freshsales","account_id":"crm","topic":"d","offset":5,"event_time":"2026-03-04T12:00:00Z","id":100,"name":"Big","created_at":"2026-03-01T00:00:00Z","deal_stage_id":1,"deal_stage_name":"New","deal_stage_forecast_type":"Open","amount":1000,"base_currency_amount":1100,"owner_id":8,"owner_name":"Eve","contact_ids":["1"],"associations":"{\"contacts\":[{\"id\":2}]}","sales_account_id":9}
            {"system":"freshsales","account_id":"crm","topic":"d","offset":6,"event_time":"2026-03-05T00:00:05Z","id":300,"name":"Gone","created_at":"2026-03-05T00:00:00Z","deal_stage_id":1,"deal_stage_name":"New","deal_stage_forecast_type":"Open","amount":50,"contact_ids":["1"]}
            {"system":"freshsales","account_id":"crm","topic":"d","offset":7,"event_time":"2026-03-06T00:00:00Z","id":300,"name":"Gone","created_at":"2026-03-05T00:00:00Z","deal_stage_id":1,"is_deleted":true,"amount":50}
            {"system":"freshsales","account_id":"crm","topic":"d","offset":8,"event_time":"2026-03-05T00:00:05Z","id":400,"name":"New one","created_at":"2026-03-05T00:00:00Z","deal_stage_id":1,"amount":70,"owner_id":8,"owner_name":"Eve","contact_ids":["1"]}
            "#,
        )
        .with(
            "field_changes",
            r#"
            {"system":"freshsales","account_id":"crm","topic":"d","offset":3,"event_key":"k3","event_time":"2026-03-03T00:00:00Z","record_type":"deal","record_id":"200","field":"deal_stage_id","old_value":"1","new_value":"3"}
            {"system":"freshsales","account_id":"crm","topic":"import:1","offset":3,"event_key":"k3","event_time":"2026-03-03T00:00:00Z","received_at":"2026-04-01T00:00:00Z","record_type":"deal","record_id":"200","field":"deal_stage_id","old_value":"1","new_value":"3"}
            {"system":"freshsales","account_id":"crm","topic":"d","offset":4,"event_key":"k4","event_time":"2026-03-03T12:00:00Z","record_type":"deal","record_id":"100","field":"deal_stage_id","old_value":"1","new_value":"2"}
            {"system":"freshsales","account_id":"crm","topic":"d","offset":5,"event_key":"k5","event_time":"2026-03-04T12:00:00Z","record_type":"deal","record_id":"100","field":"deal_stage_id","old_value":"2","new_value":"1"}
            {"system":"freshsales","account_id":"crm","topic":"d","offset":4,"event_key":"k4","event_time":"2026-03-03T12:00:00Z","record_type":"deal","record_id":"100","field":"expected_close","old_value":"2026-03-01","new_value":"2026-03-11"}
            {"system":"freshsales","account_id":"crm","topic":"d","offset":5,"event_key":"k5","event_time":"2026-03-04T12:00:00Z","record_type":"deal","record_id":"100","field":"expected_close","old_value":"2026-03-11","new_value":"2026-03-13"}
            {"system":"freshsales","account_id":"crm","topic":"d","offset":9,"event_key":"k9","event_time":"2026-03-05T12:00:00Z","record_type":"deal","record_id":"100","field":"expected_close","old_value":"2026-03-13","new_value":"2026-03-05"}
            {"system":"freshsales","account_id":"crm","topic":"d","offset":2,"event_key":"k2","event_time":"2026-03-02T00:00:05Z","record_type":"deal","record_id":"200","field":"expected_close","new_value":"2026-03-01"}
            {"system":"freshsales","account_id":"crm","topic":"d","offset":3,"event_key":"k3","event_time":"2026-03-03T00:00:00Z","record_type":"deal","record_id":"200","field":"expected_close","old_value":"2026-03-01T00:00:00Z","new_value":"2026-04-01T00:00:00Z"}
            "#,
        )
}

/// The people of the deals and calls with them. Deals 100, 300 and 400 have contact 1; 100 has contact 2
/// and account 9 as well. Deal 100 was won from 03-03 12:00 to 03-04 12:00, and is open else.
///
/// | call | started | number | is of | talked s | cost |
/// | --- | --- | --- | --- | --- | --- |
/// | c0 | 02-28 | contact 1 | no deal yet | 1 | 9 USD |
/// | c1 | 03-02 | contact 1 | 100 | 60 | 0.1 USD |
/// | c2 | 03-03 12:00 | contact 2 | none: 100 is won | 30 | 9 USD |
/// | c3 | 03-04 12:00 | account 9 | 100 | 10 | 0.2 USD, 0.3 EUR |
/// | c4 | 03-05 10:00 | contact 1 | 100 and 400 | 5 | 0.01 USD |
/// | c5 | 03-07 | contact 2 | 100 | 7 | none |
/// | c6 | 03-07 | a stranger | none | 8 | 9 USD |
pub fn people() -> Tables {
    let call = |id: &str, time: &str, number: &str, talked: i64, legs: &[(f64, &str)]| {
        let state = format!(
            r#"{{"call_id":"{id}","agent_id":"694","customer_number":"{number}","event_time":"{time}","started_at":"{time}","talk_seconds":{talked}}}"#
        );
        let legs: Vec<String> = legs
            .iter()
            .map(|(cost, currency)| {
                format!(
                    r#"{{"call_id":"{id}","leg_id":"{id}{currency}","participant_type":"Customer","cost":{cost},"currency":"{currency}","event_time":"{time}"}}"#
                )
            })
            .collect();
        (state, legs.join("\n"))
    };
    let calls = [
        call("c0", "2026-02-28T10:00:00Z", "+4930901820", 1, &[(9.0, "USD")]),
        call("c1", "2026-03-02T10:00:00Z", "+4930901820", 60, &[(0.1, "USD")]),
        call("c2", "2026-03-03T12:00:00Z", "+491701234567", 30, &[(9.0, "USD")]),
        call("c3", "2026-03-04T12:00:00Z", "+49 89 1234567", 10, &[(0.2, "USD"), (0.3, "EUR")]),
        call("c4", "2026-03-05T10:00:00Z", "+49 (30) 901820", 5, &[(0.01, "USD")]),
        call("c5", "2026-03-07T10:00:00Z", "+491701234567", 7, &[]),
        call("c6", "2026-03-07T10:00:00Z", "+491709999999", 8, &[(9.0, "USD")]),
    ];
    let states: Vec<&str> = calls.iter().map(|(state, _)| state.as_str()).collect();
    let legs: Vec<&str> = calls.iter().map(|(_, legs)| legs.as_str()).collect();
    deals()
        .with("calls", &states.join("\n"))
        .with("call_participants", &legs.join("\n"))
        .with(
            "contacts",
            r#"
            {"system":"freshsales","account_id":"crm","id":1,"mobile_number":"030 / 901820","work_number":"","event_time":"2026-01-01T00:00:00Z"}
            {"system":"freshsales","account_id":"crm","id":2,"phone_numbers":"[{\"value\":\"0170-1234567\"}]","event_time":"2026-01-01T00:00:00Z"}
            {"system":"freshsales","account_id":"other","id":1,"mobile_number":"+491709999999","event_time":"2026-01-01T00:00:00Z"}
            "#,
        )
        .with(
            "sales_accounts",
            r#"{"system":"freshsales","account_id":"crm","id":9,"phone":"0049891234567","event_time":"2026-01-01T00:00:00Z"}"#,
        )
}

const STAGES: &str = "stage,stage_name,entered,left,open,amount_open,mean_days,median_days";

#[tokio::test]
async fn stays_in_stages() {
    let engine = deals().engine();
    // Stage 1: 100 twice, 200, 300, 400 entered; 100 left after 2.5 days, 200 after 1; of these two
    // the first place is the median. Open are 100 and 400: 1100 + 70.
    assert_eq!(
        report_csv(&engine, "deal-stages", &[]).await,
        lines(&format!(
            "{STAGES}
            1,New,5,2,2,1170.0000,1.750000,1.000000
            2,Yes,1,1,0,0.0000,1.000000,1.000000
            3,Dead,1,0,1,200.0000,,"
        ))
    );
    assert_eq!(
        report_csv(&engine, "deal-stages", &[("by", "owner"), ("deal", "400")]).await,
        lines(
            "owner,owner_name,entered,left,open,amount_open,mean_days,median_days\n8,Eve,1,0,1,70.0000,,"
        )
    );
}

#[tokio::test]
async fn stays_of_a_period_in_utc_and_in_a_zone() {
    let engine = deals().engine();
    let options = [("since", "2026-03-03"), ("until", "2026-03-04")];
    // 100 and 200 left stage 1; 100 is in stage 2 at the end, and 200 in stage 3.
    assert_eq!(
        report_csv(&engine, "deal-stages", &options).await,
        lines(&format!(
            "{STAGES}
            1,New,0,2,0,0.0000,1.750000,1.000000
            2,Yes,1,0,1,1100.0000,,
            3,Dead,1,0,1,200.0000,,"
        ))
    );
    let options = [("since", "2026-03-02"), ("until", "2026-03-03T01:00"), ("tz", "Europe/Berlin")];
    // Until 00:00 UTC, at which 200 leaves: that is not of the period. 200 entered 00:00 UTC on 03-02.
    assert_eq!(
        report_csv(&engine, "deal-stages", &options).await,
        lines(&format!("{STAGES}\n1,New,1,0,2,1300.0000,,"))
    );
}

#[tokio::test]
async fn expected_closes_that_moved_later() {
    let engine = deals().engine();
    // 100: 10 + 2 days, worth 1100 at the newer one. 200: March has 31 days.
    assert_eq!(
        report_csv(&engine, "deal-slips", &[]).await,
        lines(
            "deal,deal_name,times,days,amount
            100,Big,2,12,1100.0000
            200,Small,1,31,200.0000"
        )
    );
    // Owner 7 has 100's first move, worth 1000 then, and 200's.
    assert_eq!(
        report_csv(&engine, "deal-slips", &[("by", "owner")]).await,
        lines(
            "owner,owner_name,times,days,amount
            7,Jim,2,41,1200.0000
            8,Eve,1,2,1100.0000"
        )
    );
    // 00:00 UTC is 01:00 in Berlin and 20:00 the day before in New York (UTC−4: summer time since the
    // 8th only, so −5: 19:00 on 03-02).
    let day = |zone: &'static str| [("by", "day"), ("deal", "200"), ("tz", zone)];
    let header = "day,times,days,amount";
    assert_eq!(
        report_csv(&engine, "deal-slips", &day("Europe/Berlin")).await,
        lines(&format!("{header}\n2026-03-03,1,31,200.0000"))
    );
    assert_eq!(
        report_csv(&engine, "deal-slips", &day("America/New_York")).await,
        lines(&format!("{header}\n2026-03-02,1,31,200.0000"))
    );
}

#[tokio::test]
async fn calls_with_the_people_of_open_deals() {
    let engine = people().engine();
    assert_eq!(
        report_csv(&engine, "deal-calls", &[]).await,
        lines(
            "deal,deal_name,currency,calls,talked_seconds,cost
            100,Big,EUR,1,10,0.3000
            100,Big,USD,3,75,0.3100
            100,Big,,1,7,
            400,New one,USD,1,5,0.0100"
        )
    );
    // Both deals are Eve's by now, and call c4 is one call.
    assert_eq!(
        report_csv(&engine, "deal-calls", &[("by", "owner,outcome")]).await,
        lines(
            "owner,owner_name,outcome,currency,calls,talked_seconds,cost
            8,Eve,open,EUR,1,10,0.3000
            8,Eve,open,USD,3,75,0.3100
            8,Eve,open,,1,7,"
        )
    );
    let of_another = [("by", "owner"), ("account", "call.me")];
    assert_eq!(
        report_csv(&engine, "deal-calls", &of_another).await,
        lines("owner,owner_name,currency,calls,talked_seconds,cost")
    );
    // A group is told by its value alone, whatever its deals say its name is.
    let renamed = r#"{"system":"freshsales","account_id":"crm","topic":"d","offset":10,"event_time":"2026-03-08T00:00:00Z","id":400,"name":"New one","created_at":"2026-03-05T00:00:00Z","deal_stage_id":1,"amount":70,"owner_id":8,"owner_name":"Eva","contact_ids":["1"]}"#;
    assert_eq!(
        report_csv(&people().with("deals", renamed).engine(), "deal-calls", &[("by", "owner")])
            .await,
        lines(
            "owner,owner_name,currency,calls,talked_seconds,cost
            8,Eve,EUR,1,10,0.3000
            8,Eve,USD,3,75,0.3100
            8,Eve,,1,7,"
        )
    );
    // At 0.9 and 0.8: c3 is 0.3 + 0.18, and one call; c4 is 0.008.
    let rates = "date,from,to,rate\n2026-03-04,USD,EUR,0.9\n2026-03-05,USD,EUR,0.8\n";
    let options = [("currency", "eur"), ("rates", rates), ("since", "2026-03-04"), ("by", "month")];
    assert_eq!(
        report_csv(&engine, "deal-calls", &options).await,
        lines(
            "month,currency,calls,talked_seconds,cost
            2026-03-01,EUR,2,15,0.4880
            2026-03-01,,1,7,"
        )
    );
}
