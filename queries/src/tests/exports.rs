//! Exports: when they are due, what they cover, and that a run is whole or absent.

use std::fs;
use std::path::Path;

use chrono::{DateTime, Utc};
use chrono_tz::{Europe, Tz};
use sha2::{Digest, Sha256};

use super::{Tables, request, told};
use crate::exports::{ExportPeriod, ExportSource, ExportSpec, RunName, due, next_run, run};
use crate::{Engine, Format, StoreOptions};

pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub fn spec(folder: &Path, cron: &str, period: ExportPeriod, source: ExportSource) -> ExportSpec {
    let zone = Europe::Berlin;
    let folder = folder.display().to_string();
    ExportSpec {
        name: "daily-costs".to_owned(),
        cron: cron.to_owned(),
        zone,
        source,
        period,
        format: Format::Parquet,
        partition_by: Vec::new(),
        corrections: 3,
        folder,
        stores: StoreOptions::default(),
    }
}

fn report() -> ExportSource {
    ExportSource::Report(request("call-cost", &[("by", "day")]))
}

fn engine() -> Engine {
    Tables::default()
        .with(
            "calls",
            r#"
            {"call_id":"1","talk_seconds":60,"cost":0.5,"currency":"EUR","event_time":"2026-03-28T22:30:00Z"}
            {"call_id":"2","talk_seconds":60,"cost":1.5,"currency":"EUR","event_time":"2026-03-28T23:30:00Z"}
            {"call_id":"3","talk_seconds":60,"cost":2.5,"currency":"EUR","event_time":"2026-03-29T21:59:59Z"}
            {"call_id":"4","talk_seconds":60,"cost":9,"currency":"EUR","event_time":"2026-03-29T22:00:00Z"}
            "#,
        )
        .engine()
}

#[test]
fn missed_runs_are_due_until_they_ran() {
    let spec = spec(Path::new("/x"), "15 6 * * *", ExportPeriod::LastDay, report());
    let now = at("2026-03-30T09:00:00.5Z");
    // 06:15 in Berlin is 05:15 UTC in winter and 04:15 UTC from 03-29 on.
    let all = due(&spec, now, Some(at("2026-03-27T05:15:00Z"))).unwrap();
    let expected = ["2026-03-28T05:15:00Z", "2026-03-29T04:15:00Z", "2026-03-30T04:15:00Z"];
    assert_eq!(all, expected.map(at));
    assert!(due(&spec, now, Some(at(expected[2]))).unwrap().is_empty());
    // It never ran: once, for the newest time.
    assert_eq!(due(&spec, now, None).unwrap(), [at(expected[2])]);
    assert_eq!(due(&spec, at(expected[2]), None).unwrap(), [at(expected[2])]);
    assert_eq!(next_run(&spec, now).unwrap(), Some(at("2026-03-31T04:15:00Z")));
    // What covers everything is not repeated for each time that was missed.
    let spec = ExportSpec { period: ExportPeriod::All, ..spec };
    assert_eq!(due(&spec, now, Some(at("2026-03-01T05:15:00Z"))).unwrap(), [at(expected[2])]);
}

#[tokio::test]
async fn a_run_is_whole_and_covers_its_period() {
    let place = tempfile::tempdir().unwrap();
    let spec = spec(place.path(), "15 6 * * *", ExportPeriod::LastDay, report());
    let engine = engine();
    assert_eq!(spec.finished().await.unwrap(), []);

    let scheduled = at("2026-03-30T04:15:00Z");
    let manifest = run(&engine, &spec, scheduled).await.unwrap();
    // The 29th of March has 23 hours in Berlin: calls 2 and 3.
    assert_eq!(manifest.since, Some(at("2026-03-28T23:00:00Z")));
    assert_eq!(manifest.until, Some(at("2026-03-29T22:00:00Z")));
    assert_eq!((manifest.rows, manifest.files.len()), (1, 1));
    assert!(manifest.sql.contains("TIMESTAMP '2026-03-29T22:00:00Z'"), "{}", manifest.sql);

    let folder = place.path().join("daily-costs/2026-03-30T041500Z");
    let bytes = fs::read(folder.join(&manifest.files[0].path)).unwrap();
    assert_eq!(bytes.len() as u64, manifest.files[0].bytes);
    let checksum: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(checksum, manifest.files[0].sha256);
    let rows = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(
        bytes::Bytes::from(bytes),
    );
    let batch = rows.unwrap().build().unwrap().next().unwrap().unwrap();
    let cost = batch.column_by_name("cost").unwrap();
    assert_eq!(arrow::util::display::array_value_to_string(cost, 0).unwrap(), "4.000000000");

    let first = RunName::first(scheduled);
    assert_eq!(spec.finished().await.unwrap(), [first]);
    assert_eq!(spec.manifest(first).await.unwrap().as_ref(), Some(&manifest));
    // The same time again is the same run.
    assert_eq!(run(&engine, &spec, scheduled).await.unwrap(), manifest);
}

#[tokio::test]
async fn sql_gets_the_bounds_and_a_failure_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let sql =
        "SELECT call_id FROM calls_current WHERE started_at >= $since AND started_at < $until";
    let scheduled = at("2026-04-02T04:15:00Z");
    for (period, rows) in [
        (ExportPeriod::All, 4),
        (ExportPeriod::LastMonth, 4),
        (ExportPeriod::LastWeek, 3),
        (ExportPeriod::LastDay, 0),
    ] {
        let folder = place.path().join(period.name());
        let spec = spec(&folder, "@daily", period, ExportSource::Sql(sql.to_owned()));
        let manifest = run(&engine(), &spec, scheduled).await.unwrap();
        assert_eq!(manifest.rows, rows, "{}", period.name());
    }
    let broken = "SELECT 1 / (count(*) - 4) FROM calls".to_owned();
    let broken = spec(place.path(), "@daily", ExportPeriod::All, ExportSource::Sql(broken));
    assert!(run(&engine(), &broken, scheduled).await.is_err());
    assert_eq!(fs::read_dir(broken.runs()).unwrap().count(), 0);
}

#[test]
fn what_is_wrong_is_known_before_the_first_run() {
    let wrong = ExportSpec {
        name: "../costs".to_owned(),
        ..spec(
            Path::new("/x"),
            "61 6 * * *",
            ExportPeriod::All,
            ExportSource::Report(request("call-costs", &[])),
        )
    };
    let texts: Vec<String> = wrong.check().iter().map(told).collect();
    assert_eq!(
        texts,
        [
            "export ../costs: a name is made of letters, digits, -, _ and ., and begins with no dot",
            "export ../costs: cron pattern \"61 6 * * *\" cannot be read | five fields: minute hour day month weekday, as in \"15 6 * * MON\"",
            "unknown report \"call-costs\" | did you mean call-cost or call-phases? there are call-cost, bill-duration, deal-changes, deal-stages, deal-slips, deal-calls, agent-time, call-phases",
        ]
    );
    assert_eq!(
        told(&"last_year".parse::<ExportPeriod>().unwrap_err()),
        "unknown period \"last_year\" | did you mean last_day or last_week? there are last_day, last_week, last_month, all"
    );
    let _: Tz = wrong.zone;
    let elsewhere = |folder: &str| ExportSpec {
        folder: folder.to_owned(),
        ..spec(Path::new("/x"), "@daily", ExportPeriod::All, report())
    };
    for place in ["ftp://host/x", "https://example.com/x", "memory:///x"] {
        let texts: Vec<String> = elsewhere(place).check().iter().map(told).collect();
        assert!(texts[0].starts_with("exports cannot go to "), "{texts:?}");
        assert!(texts[0].contains("s3://BUCKET/PATH"), "{texts:?}");
    }
    assert_eq!(elsewhere("s3://bucket/x").check().len(), 0);
    assert_eq!(
        told(&crate::exports::format("exel").unwrap_err()),
        "unknown format \"exel\" | there are parquet, csv, arrow"
    );
}

/// A link that somebody put where runs go must not lead an export out of its folder.
#[cfg(unix)]
#[tokio::test]
async fn an_export_does_not_leave_its_folder() {
    use std::os::unix::fs::symlink;
    let (place, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let spec = spec(place.path(), "15 6 * * *", ExportPeriod::LastDay, report());
    let engine = engine();
    let scheduled = at("2026-03-30T04:15:00Z");
    let outside = || fs::read_dir(elsewhere.path()).unwrap().count();

    let runs = place.path().join("daily-costs");
    symlink(elsewhere.path(), &runs).unwrap();
    let error = run(&engine, &spec, scheduled).await.unwrap_err();
    assert!(error.to_string().contains("is a link to another place"), "{error}");
    fs::remove_file(&runs).unwrap();

    // Where a run is written first, and where it goes.
    fs::create_dir(&runs).unwrap();
    symlink(elsewhere.path(), runs.join(".2026-03-30T041500Z.unfinished")).unwrap();
    symlink(elsewhere.path(), runs.join("2026-03-30T041500Z")).unwrap();
    let _ = run(&engine, &spec, scheduled).await;
    assert_eq!(outside(), 0, "nothing was written elsewhere");

    for name in ["..", ".", "", "a/b", "/tmp/x", "..\\x", "a\0b", "../../x", ".hidden"] {
        let spec = ExportSpec { name: name.to_owned(), ..spec.clone() };
        assert!(!spec.check().is_empty(), "{name:?}");
        run(&engine, &spec, scheduled).await.unwrap_err();
    }
    assert_eq!(outside(), 0);
    // The root itself may be a link: that is where its owner wants it.
    let link = place.path().join("link");
    symlink(elsewhere.path(), &link).unwrap();
    run(&engine, &ExportSpec { folder: link.display().to_string(), ..spec }, scheduled)
        .await
        .unwrap();
    assert_eq!(outside(), 1);
}
