//! From the vendors' payloads to the digits: raw events through the flattening, then the reports.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use ringlake_transform::{Flattener, LogPartition, OffsetRange, RawBatch, RawEvent, systems};

use super::{Tables, lines, report_csv, sql_csv};
use crate::{Engine, Format, output};

/// One event: seconds after 2026-03-29T00:00:00Z at which it was received, route, body.
type Event<'a> = (i64, Option<&'a str>, String);

fn flattened(events: &[(&str, Vec<Event<'_>>)]) -> Engine {
    const MIDNIGHT: i64 = 1_774_742_400_000_000;
    let mut flattener = Flattener::new(HashMap::new());
    let mut tables = Tables::default();
    for (system, events) in events {
        let raw: Vec<RawEvent> = events
            .iter()
            .zip(0i64..)
            .map(|((second, route, body), offset)| RawEvent {
                offset,
                received_at: MIDNIGHT + second * 1_000_000,
                route: route.map(Arc::from),
                body: Bytes::from(body.clone()),
                resolution: None,
                damaged: false,
            })
            .collect();
        let batch = RawBatch {
            partition: LogPartition::new(format!("ringlake.{system}"), 0),
            system: systems::by_name(system).unwrap(),
            range: OffsetRange::new(0, raw.len() as i64 - 1),
            events: raw,
        };
        let flat = flattener.flatten(vec![batch]);
        assert_eq!(flat.counts.dead_lettered, 0, "{system}: {flat:?}");
        for table in flat.tables {
            tables.batches.entry(table.table.name.to_owned()).or_default().push(table.rows);
        }
    }
    tables.engine()
}

fn call(timestamp: i64, call: &str) -> String {
    format!(
        r#"{{"account_id":"82918","domain":"a.freshcaller.com","event":"onCallUpdate","timestamp":{timestamp},"region":"US","data":{{"call":{call},"associations":{{}},"actor":{{"type":"system"}},"changes":{{}}}}}}"#
    )
}

#[tokio::test]
async fn a_call_whose_cost_comes_late_and_a_partial_update() {
    let created = r#"{"id":135,"direction":"outgoing","phone_number":"+821045472367","created_time":"2026-03-29T00:00:00.000Z","assigned_agent_id":694,"bill_duration":null,"participants":[{"id":321,"call_id":135,"participant_id":318,"participant_type":"Customer","caller_number":"+4930123456","duration":null,"cost":null,"cost_unit":"usd"},{"id":322,"call_id":135,"participant_id":694,"participant_type":"Agent","duration":null,"cost":null,"cost_unit":"usd"}]}"#;
    let partial =
        r#"{"id":135,"phone_number":"+821045472367","participants":[],"assigned_agent_id":694}"#;
    let ended = r#"{"id":135,"bill_duration":60,"participants":[{"id":321,"call_id":135,"participant_id":318,"participant_type":"Customer","duration":42,"cost":0.012,"cost_unit":"usd"},{"id":322,"call_id":135,"participant_id":694,"participant_type":"Agent","duration":42,"cost":0.0005,"cost_unit":"usd"}]}"#;
    // The end is received before the partial update that happened earlier.
    let engine = flattened(&[(
        "freshcaller",
        vec![
            (1, None, call(1_774_742_401, created)),
            (60, None, call(1_774_742_460, ended)),
            (61, None, call(1_774_742_430, partial)),
            (62, None, call(1_774_742_460, ended)),
        ],
    )]);
    assert_eq!(
        report_csv(&engine, "call-cost", &[("by", "agent,number,country")]).await,
        lines(
            "agent,agent_name,number,country,currency,calls,costed_calls,billed_seconds,cost,cost_per_call,cost_per_minute
            694,,+821045472367,DE,USD,1,1,60,0.0125,0.012500,0.012500"
        )
    );
    assert_eq!(
        report_csv(&engine, "bill-duration", &[("by", "direction")]).await,
        lines(
            "direction,calls,billed_calls,billed_seconds,talked_seconds,rounding_seconds,billed_p50,billed_p90,billed_max,unbilled_calls
            outgoing,1,1,60,42,18,60,60,60,0"
        )
    );
}

#[tokio::test]
async fn phases_and_channels() {
    let phase = |second, route, status: &str| {
        let body = format!(
            "CallID=9.1&CallerIDNum=%2B40212345678&CalledExtension=0003*001&CallStatus={status}&CallFlow=IN"
        );
        (second, Some(route), body)
    };
    let channel = |second: i64, phase: &str| {
        let time = format!("2026-03-29T00:00:{second:02}");
        let body = format!(
            r#"{{"specversion":"1.0","type":"channel.{phase}.v1","id":"{phase}","source":"/channel","subject":"c","time":"{time}.6134321Z","datacontenttype":"application/json","data":{{"timestamp":"{time}Z","channel":{{"conversationId":"v","interactionId":"i","channelId":"c","party":{{"role":"agent","agentId":"1544","userId":"u"}}}}}}}}"#
        );
        (second + 1, None, body)
    };
    let engine = flattened(&[
        (
            "voipnow",
            vec![
                phase(0, "dial-in", "CALLING"),
                phase(7, "answer", "ANSWER"),
                phase(31, "hangup", "ANSWER"),
            ],
        ),
        (
            "vonage",
            vec![
                channel(1, "alerted"),
                channel(2, "connected"),
                channel(20, "retrieved"),
                channel(10, "held"),
                channel(30, "disconnected"),
                channel(30, "wrapstarted"),
                channel(40, "ended"),
            ],
        ),
    ]);
    let sql = "SELECT system, account_id, call_id, direction, agent_id, customer_number, started_at, ended_at, talk_seconds, talk_basis \
               FROM calls_current ORDER BY system";
    assert_eq!(
        sql_csv(&engine, sql).await,
        lines(
            "system,account_id,call_id,direction,agent_id,customer_number,started_at,ended_at,talk_seconds,talk_basis
            voipnow,0003,9.1,incoming,0003*001,+40212345678,2026-03-29T00:00:00Z,2026-03-29T00:00:31Z,24,answer-to-hangup
            vonage,,i,,1544,,2026-03-29T00:00:01Z,2026-03-29T00:00:30Z,18,connected-time"
        )
    );
    assert_eq!(
        report_csv(&engine, "call-cost", &[("by", "system,agent")]).await,
        lines(
            "system,agent,agent_name,currency,calls,costed_calls,billed_seconds,cost,cost_per_call,cost_per_minute
            voipnow,0003*001,,,1,0,0,,,
            vonage,1544,,,1,0,0,,,"
        )
    );
}

#[tokio::test]
async fn a_deal_that_is_won_although_its_stage_is_called_lost() {
    let deal = |timestamp: i64, stage: (i64, &str, &str), amount: &str, changes: &str| {
        let (id, name, forecast) = stage;
        format!(
            r#"{{"event":"onDealUpdate","account_id":"1958","timestamp":{timestamp},"region":"US","data":{{"actor":{{"id":39897,"name":"Jim Doe","type":"user"}},"deal":{{"id":1357538,"name":{{"label":"Name","type":"text","value":"Big"}},"amount":{{"label":"Deal value","type":"decimal","value":"{amount}"}},"base_currency_amount":{{"label":"Base","type":"decimal","value":"{amount}"}},"deal_stage_id":{{"label":"Deal stage","type":"dropdown","value":{id}}},"is_deleted":false}},"associations":{{"deal_stage":{{"id":{id},"name":"{name}","position":1,"forecast_type":"{forecast}"}},"currency":{{"id":1,"currency_code":"USD","exchange_rate":"1.0"}}}},"changes":{{"model_changes":{changes},"system_changes":{{}},"misc_changes":{{}}}}}}}}"#
        )
    };
    let won = r#"{"deal_stage_id":[47435,47437],"amount":["1000.0",1234.5],"base_currency_amount":[1000,"1234.50"],"closed_date":["2026-03-29"],"created_at":["2026-03-01","2026-03-01"],"updated_at":["a","b"]}"#;
    let engine = flattened(&[(
        "freshsales",
        vec![
            (10, None, deal(1_774_742_410, (47_437, "Lost", "Closed Won"), "1234.5", won)),
            (
                20,
                None,
                deal(
                    1_774_742_420,
                    (47_435, "New", "Open"),
                    "1234.5",
                    r#"{"deal_stage_id":[47437,47435]}"#,
                ),
            ),
        ],
    )]);
    assert_eq!(
        report_csv(&engine, "deal-changes", &[]).await,
        lines(
            "changed_at,deal_id,deal_name,field,label,old,old_name,new,new_name,delta,currency,changed_by,changed_by_name
            2026-03-29T00:00:10Z,1357538,Big,amount,Deal value,1000.0,,1234.5,,234.5,USD,39897,Jim Doe
            2026-03-29T00:00:10Z,1357538,Big,base_currency_amount,Base,1000,,1234.50,,234.5,USD,39897,Jim Doe
            2026-03-29T00:00:10Z,1357538,Big,closed_date,,,,2026-03-29,,,USD,39897,Jim Doe
            2026-03-29T00:00:10Z,1357538,Big,deal_stage_id,Deal stage,47435,New,47437,Lost,,USD,39897,Jim Doe
            2026-03-29T00:00:20Z,1357538,Big,deal_stage_id,Deal stage,47437,Lost,47435,New,,USD,39897,Jim Doe"
        )
    );
    assert_eq!(
        report_csv(&engine, "deal-changes", &[("by", "month")]).await,
        lines(
            "month,changes,deals,amount_delta,won,won_amount,lost,lost_amount,reopened
            2026-03-01,5,1,234.5000,1,1234.5000,0,0.0000,1"
        )
    );
}

#[tokio::test]
async fn columns_with_labels_go_into_files() {
    let deal = r#"{"event":"onDealCreate","account_id":"1958","timestamp":1774742410,"data":{"deal":{"id":7,"name":{"label":"Name","type":"text","value":"Big"},"custom_fields":[{"name":"cf_height","label":"Height","column":"cf_decimal01","type":"decimal","value":"1.90"}]}}}"#;
    let engine = flattened(&[("freshsales", vec![(10, None, deal.to_owned())])]);
    let sql = "SELECT id, name, cf_height FROM deals_current";
    assert_eq!(sql_csv(&engine, sql).await, "id,name,cf_height\n7,Big,1.9\n");
    for format in [Format::Parquet, Format::Arrow] {
        let (mut file, answer) = (Vec::new(), engine.sql("SELECT * FROM deals").await.unwrap());
        assert_eq!(output::write(answer, format, &mut file, None).await.unwrap().rows, 1);
    }
}
