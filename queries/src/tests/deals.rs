//! `deal-changes` on a small set whose numbers were computed by hand.

use super::{Tables, lines, report_csv, sql_csv};
use crate::Engine;

/// Two deals, five events. Stage 2 is called `Lost` and counts as won; stage 3 counts as lost.
///
/// | event | time (UTC) | deal | what |
/// | --- | --- | --- | --- |
/// | 1 | 03-01 10:00 | 100 | created in stage 1, 1000 |
/// | 2 | 03-02 10:00 | 100 | stage 1 → 2, amount 1000 → 1500, base 1000 → 1650.25, bookkeeping |
/// | 3 | 03-28 23:30 | 100 | stage 2 → 1, name; `created_at` unchanged |
/// | 4 | 03-29 10:00 | 200 | stage 1 → 3, amount "200.0" → 200 is no change; worth 200, no base amount |
/// | 5 | 03-29 11:00 | 200 | amount 200 → 180.5 without base amount; owner 7 → 8; imported again |
fn deals() -> Engine {
    let mut tables = Tables::default().with(
        "deals",
        r#"
        {"system":"freshsales","id":100,"name":"Big","deal_stage_id":1,"deal_stage_name":"New","deal_stage_forecast_type":"Open","base_currency_amount":1000,"amount":1000,"owner_id":7,"owner_name":"Jim","currency_code":"EUR","exchange_rate":1.1,"event_time":"2026-03-01T10:00:00Z"}
        {"system":"freshsales","id":100,"name":"Big","deal_stage_id":2,"deal_stage_name":"Lost","deal_stage_forecast_type":"Closed Won","base_currency_amount":1650.25,"amount":1500,"owner_id":7,"owner_name":"Jim","currency_code":"EUR","exchange_rate":1.1,"event_time":"2026-03-02T10:00:00Z"}
        {"system":"freshsales","id":100,"name":"Bigger","deal_stage_id":1,"deal_stage_name":"New","deal_stage_forecast_type":"Open","base_currency_amount":1650.25,"amount":1500,"owner_id":7,"owner_name":"Jim","currency_code":"EUR","exchange_rate":1.1,"event_time":"2026-03-28T23:30:00Z"}
        {"system":"freshsales","id":200,"name":"Small","deal_stage_id":3,"deal_stage_name":"Dead","deal_stage_forecast_type":"Lost","amount":200,"owner_id":7,"owner_name":"Jim","currency_code":"USD","exchange_rate":1.0,"event_time":"2026-03-29T10:00:00Z"}
        {"system":"freshsales","id":200,"name":"Small","deal_stage_id":3,"deal_stage_name":"Dead","deal_stage_forecast_type":"Lost","amount":180.5,"owner_id":8,"owner_name":"Eve","currency_code":"USD","exchange_rate":1.0,"event_time":"2026-03-29T11:00:00Z"}
        "#,
    );
    tables = tables.with(
        "field_changes",
        r#"
        {"system":"freshsales","record_type":"deal","record_id":"100","field":"deal_stage_id","old_value":"1","new_value":"2","actor_id":"7","actor_name":"Jim","event_time":"2026-03-02T10:00:00Z","offset":1}
        {"system":"freshsales","record_type":"deal","record_id":"100","field":"amount","label":"Deal value","old_value":"1000.0","new_value":"1500","actor_id":"7","actor_name":"Jim","event_time":"2026-03-02T10:00:00Z","offset":1}
        {"system":"freshsales","record_type":"deal","record_id":"100","field":"base_currency_amount","old_value":"1000","new_value":"1650.25","actor_id":"7","actor_name":"Jim","event_time":"2026-03-02T10:00:00Z","offset":1}
        {"system":"freshsales","record_type":"deal","record_id":"100","field":"updated_at","old_value":"a","new_value":"b","event_time":"2026-03-02T10:00:00Z","offset":1}
        {"system":"freshsales","record_type":"deal","record_id":"100","field":"deal_stage_id","old_value":"2","new_value":"1","actor_id":"7","event_time":"2026-03-28T23:30:00Z","offset":2}
        {"system":"freshsales","record_type":"deal","record_id":"100","field":"name","old_value":"Big","new_value":"Bigger","event_time":"2026-03-28T23:30:00Z","offset":2}
        {"system":"freshsales","record_type":"deal","record_id":"100","field":"created_at","old_value":"x","new_value":"x","event_time":"2026-03-28T23:30:00Z","offset":2}
        {"system":"freshsales","record_type":"deal","record_id":"200","field":"deal_stage_id","old_value":"1","new_value":"3","event_time":"2026-03-29T10:00:00Z","offset":3}
        {"system":"freshsales","record_type":"deal","record_id":"200","field":"amount","old_value":"200.0","new_value":"200","event_time":"2026-03-29T10:00:00Z","offset":3}
        {"system":"freshsales","record_type":"deal","record_id":"200","field":"amount","old_value":"200","new_value":"180.5","event_time":"2026-03-29T11:00:00Z","offset":4,"event_key":"4"}
        {"system":"freshsales","record_type":"deal","record_id":"200","field":"owner_id","old_value":"7","new_value":"8","event_time":"2026-03-29T11:00:00Z","offset":4,"event_key":"4"}
        {"system":"freshsales","record_type":"contact","record_id":"200","field":"name","old_value":"A","new_value":"B","event_time":"2026-03-29T11:00:00Z","offset":9}
        {"system":"freshsales","record_type":"deal","record_id":"200","field":"amount","old_value":"200","new_value":"180.5","event_time":"2026-03-29T11:00:00Z","received_at":"2026-04-01T00:00:00Z","topic":"import:1","event_key":"4"}
        "#,
    );
    tables.engine()
}

#[tokio::test]
async fn change_by_change() {
    let got = report_csv(&deals(), "deal-changes", &[]).await;
    assert_eq!(
        got,
        lines(
            "changed_at,deal_id,deal_name,field,label,old,old_name,new,new_name,delta,currency,changed_by,changed_by_name
            2026-03-02T10:00:00Z,100,Big,amount,Deal value,1000.0,,1500,,500,EUR,7,Jim
            2026-03-02T10:00:00Z,100,Big,base_currency_amount,,1000,,1650.25,,650.25,,7,Jim
            2026-03-02T10:00:00Z,100,Big,deal_stage_id,,1,New,2,Lost,,EUR,7,Jim
            2026-03-28T23:30:00Z,100,Bigger,deal_stage_id,,2,Lost,1,New,,EUR,7,
            2026-03-28T23:30:00Z,100,Bigger,name,,Big,,Bigger,,,EUR,,
            2026-03-29T10:00:00Z,200,Small,deal_stage_id,,1,New,3,Dead,,USD,,
            2026-03-29T11:00:00Z,200,Small,amount,,200,,180.5,,-19.5,USD,,
            2026-03-29T11:00:00Z,200,Small,owner_id,,7,Jim,8,Eve,,USD,,"
        )
    );
}

#[tokio::test]
async fn one_deal_with_its_bookkeeping_in_its_zone() {
    let options = [("deal", "100"), ("all", ""), ("tz", "Europe/Berlin"), ("until", "2026-03-03")];
    let got = report_csv(&deals(), "deal-changes", &options).await;
    assert_eq!(got.lines().count(), 5, "{got}");
    assert!(got.contains("2026-03-02T11:00:00+01:00,100,Big,updated_at,,a,,b,,,EUR,,"), "{got}");
}

#[tokio::test]
async fn summed_by_day_in_utc_and_in_a_zone() {
    let engine = deals();
    let header = "day,changes,deals,amount_delta,won,won_amount,lost,lost_amount,reopened";
    // 03-02: three changes, the base amount grew by 650.25, won at 1650.25. 03-29: stage, amount and
    // owner of deal 200; it has no base amount, so 200 was lost and 19.5 less is the delta.
    assert_eq!(
        report_csv(&engine, "deal-changes", &[("by", "day")]).await,
        lines(&format!(
            "{header}
            2026-03-02,3,1,650.2500,1,1650.2500,0,0.0000,0
            2026-03-28,2,1,0.0000,0,0.0000,0,0.0000,1
            2026-03-29,3,1,-19.5000,0,0.0000,1,200.0000,0"
        ))
    );
    // 23:30 UTC on 03-28 is 00:30 on 03-29 in Berlin.
    assert_eq!(
        report_csv(&engine, "deal-changes", &[("by", "day"), ("tz", "Europe/Berlin")]).await,
        lines(&format!(
            "{header}
            2026-03-02,3,1,650.2500,1,1650.2500,0,0.0000,0
            2026-03-29,5,2,-19.5000,0,0.0000,1,200.0000,1"
        ))
    );
}

#[tokio::test]
async fn summed_by_stages_and_owner() {
    let engine = deals();
    assert_eq!(
        report_csv(&engine, "deal-changes", &[("by", "from_stage,to_stage")]).await,
        lines(
            "from_stage,from_stage_name,to_stage,to_stage_name,changes,deals,amount_delta,won,won_amount,lost,lost_amount,reopened
            1,New,2,Lost,1,1,0.0000,1,1650.2500,0,0.0000,0
            1,New,3,Dead,1,1,0.0000,0,0.0000,1,200.0000,0
            2,Lost,1,New,1,1,0.0000,0,0.0000,0,0.0000,1"
        )
    );
    assert_eq!(
        report_csv(&engine, "deal-changes", &[("by", "owner")]).await,
        lines(
            "owner,owner_name,changes,deals,amount_delta,won,won_amount,lost,lost_amount,reopened
            7,Jim,6,2,650.2500,1,1650.2500,1,200.0000,1
            8,Eve,2,1,-19.5000,0,0.0000,0,0.0000,0"
        )
    );
}

/// Stages are told by one list, wherever a question names them.
#[tokio::test]
async fn stages_in_questions_of_ones_own() {
    let engine = deals();
    for (asked, expected) in [
        (
            "SELECT deal_id, from_stage_name FROM deal_changes
            WHERE to_stage_name = 'New' AND old_outcome = 'won' AND from_stage_name LIKE 'L%'",
            "deal_id,from_stage_name\n100,Lost\n",
        ),
        (
            "SELECT one.deal_id, one.to_stage_name AS via, next.to_stage_name AS to_stage
            FROM deal_changes AS one
            INNER JOIN deal_changes AS next ON next.deal_id = one.deal_id AND next.from_stage_name = one.to_stage_name
            WHERE one.outcome = 'won'",
            "deal_id,via,to_stage\n100,Lost,New\n",
        ),
        (
            "SELECT coalesce(old_outcome, 'none') || ' to ' || outcome AS moved, count(*) AS n FROM deal_changes
            WHERE field = 'deal_stage_id' GROUP BY moved ORDER BY moved",
            "moved,n\nopen to lost,1\nopen to won,1\nwon to open,1\n",
        ),
        (
            "SELECT stage_name, outcome, deal_outcome, count(*) AS n FROM deal_stays
            WHERE deal_outcome <> 'won' GROUP BY stage_name, outcome, deal_outcome ORDER BY stage_name, deal_outcome",
            "stage_name,outcome,deal_outcome,n\nDead,lost,lost,1\nLost,won,open,1\nNew,open,lost,1\nNew,open,open,2\n",
        ),
    ] {
        assert_eq!(sql_csv(&engine, asked).await, expected, "{asked}");
    }
}
