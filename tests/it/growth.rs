//! Columns that appear while it runs: in the next commit, for thousands of fields on one module, no file
//! a record; and what happens to those beyond the budget.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::http;
use crate::harness::process::{Place, Server};
use crate::harness::wait::wait_until;
use crate::harness::{kafka, tables};

fn deal(id: u64, fields: &[String]) -> Value {
    let custom = |name: &String| {
        json!({"name": format!("cf_{name}"), "label": format!("Label {name}"), "column": format!("c_{name}"),
            "type": "text", "value": format!("{name} of {id}")})
    };
    json!({"event": "onDealUpdate", "timestamp": 1_772_323_200 + id, "account_id": "a",
        "data": {"deal": {"id": id, "custom_fields": fields.iter().map(custom).collect::<Value>()}}})
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}{n}")).collect()
}

fn post(server: &Server, route: &str, events: &[Value]) {
    let body = Value::from(events.to_vec()).to_string();
    let answer = server.post(route, body);
    assert_eq!(
        (answer.status, &answer.json()["accepted"]),
        (200, &json!(events.len())),
        "{answer:?}"
    );
}

fn deals(place: &Place) -> i64 {
    tables::number(place, "select count(*) from deals")
}

fn parquet_files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let count = |path: &Path| match path.is_dir() {
        true => parquet_files(path),
        false => usize::from(path.extension().is_some_and(|end| end == "parquet")),
    };
    entries.map(|entry| count(&entry.path())).sum()
}

#[test]
fn thousands_of_fields_become_columns_while_it_runs() {
    let place = Place::new();
    let server = place.serve(&["serve"]);
    let route = place.route("freshsales");
    post(&server, &route, &[deal(1, &[])]);
    wait_until("the first deal", || deals(&place) == 1);

    // Each record brings fields of its own, and one that all have.
    let many: Vec<Value> = (0..30)
        .map(|n| {
            let own = names(&format!("own{n}_"), 100);
            deal(100 + n, &[own, vec!["shared".to_owned()]].concat())
        })
        .collect();
    let before = parquet_files(&place.data().join("tables/deals"));
    post(&server, &route, &many);
    wait_until("the deals with new fields", || deals(&place) == 31);
    let files = parquet_files(&place.data().join("tables/deals")) - before;
    assert!(files <= 3, "{files} files for one request of 30 records");

    assert_eq!(tables::columns(&place, "deals", "cf_"), 3001);
    let row = tables::rows(
        &place,
        "select id, cf_own7_99, cf_shared from deals where id in (1, 107) order by id",
    );
    assert_eq!(row[0]["cf_shared"], Value::Null, "a row before the column reads as null");
    let of_107 = (&row[1]["cf_own7_99"], &row[1]["cf_shared"]);
    assert_eq!(of_107, (&json!("own7_99 of 107"), &json!("shared of 107")));
    let labels = "select count(*) from field_labels where label like 'Label own%'";
    assert_eq!(tables::number(&place, labels), 3000);
    assert_eq!(server.running.stop(), Some(0));
}

#[test]
fn beyond_the_budget_fields_stay_in_extra_and_are_named_once() {
    let place = Place::new().with("RINGLAKE_LIMITS_COLUMNS", "150");
    let server = place.serve(&["serve"]);
    let route = place.route("freshsales");
    post(&server, &route, &[deal(1, &names("early", 40))]);
    wait_until("the first deal", || deals(&place) == 1);
    for id in 2..5 {
        post(&server, &route, &[deal(id, &names("late", 300))]);
        wait_until("the next deal", || deals(&place) == i64::try_from(id).unwrap());
    }
    let columns = tables::columns(&place, "deals", "cf_");
    assert!((40..150).contains(&columns), "{columns} columns");
    for row in tables::rows(&place, "select id, extra, cf_late0 from deals where id > 1") {
        let extra: Value = serde_json::from_str(row["extra"].as_str().unwrap()).unwrap();
        let id = &row["id"];
        assert_eq!(extra["cf_late299"], format!("late299 of {id}"));
        assert_eq!(row["cf_late0"], format!("late0 of {id}"));
        assert_eq!(extra.as_object().unwrap().len(), 340 - columns);
    }
    let said = server.running.messages();
    let warnings: Vec<&str> = said.lines().filter(|line| line.contains("stay in extra")).collect();
    assert_eq!(warnings.len(), 1, "{said}");
    assert!(warnings[0].contains("deals") && warnings[0].contains("cf_late"), "{warnings:?}");
    assert!(warnings[0].len() < 4_000, "only so many are named: {}", warnings[0].len());
    let metrics = http::get(server.address, "/metrics").unwrap().body;
    let count = metrics.lines().find_map(|line| {
        line.strip_prefix("ringlake_transform_left_out_values_total ")?.parse::<usize>().ok()
    });
    assert_eq!(count, Some(3 * (340 - columns)));
}

#[test]
fn two_writers_add_columns_at_once() {
    let (broker, prefix) = (kafka::shared(), kafka::topic_prefix());
    let place = Place::new()
        .with("RINGLAKE_LOG_KAFKA_TOPIC_PREFIX", &prefix)
        .with("RINGLAKE_LOG_KAFKA_GROUP", &prefix);
    let door = Place::new().with("RINGLAKE_LOG_KAFKA_TOPIC_PREFIX", &prefix);
    let ingest = door.serve(&["ingest", "--kafka", &broker]);
    let route = door.route("freshsales");
    let writers: Vec<_> = ["one", "two"]
        .iter()
        .map(|name| place.start(name, place.command(&["write", "--kafka", &broker])))
        .collect();
    // Small rounds, so that both have something new in each.
    for round in 0..10u64 {
        let events: Vec<Value> = (0..12u64)
            .map(|n| deal(round * 12 + n, &names(&format!("f{round}_{n}_"), 3)))
            .collect();
        post(&ingest, &route, &events);
        let written = i64::try_from((round + 1) * 12).unwrap();
        wait_until("the round to be written", || deals(&place) == written);
    }
    for writer in writers {
        assert_eq!(writer.stop(), Some(0));
    }
    assert_eq!(tables::columns(&place, "deals", "cf_f"), 10 * 12 * 3);
    for (round, n) in [(0, 0), (4, 7), (9, 11)] {
        let sql = format!(
            "select id, cf_f{round}_{n}_2 as value from deals where cf_f{round}_{n}_2 is not null"
        );
        let rows = tables::rows(&place, &sql);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0]["value"], format!("f{round}_{n}_2 of {}", round * 12 + n));
    }
    place.ok(&["verify", "--kafka", &broker]);
}
