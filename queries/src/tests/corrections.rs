//! Corrections: what came late is written beside what was told, with a number and the reason.

use std::fs;
use std::path::Path;

use super::Tables;
use super::exports::{at, spec};
use crate::exports::{
    Again, ExportPeriod, ExportSource, ExportSpec, Lines, RunName, Write, again, closed, run,
};
use crate::tariffs::Tariffs;
use crate::{Engine, Format};

const TIME: &str = "2026-03-30T04:15:00Z";
const LATE: &str = r#"{"call_id":"3","agent_id":"8","talk_seconds":60,"cost":1,"currency":"EUR","event_time":"2026-03-29T12:00:00Z"}"#;

fn calls() -> Tables {
    Tables::default().with(
        "calls",
        r#"
        {"call_id":"1","agent_id":"7","talk_seconds":60,"cost":0.5,"currency":"EUR","event_time":"2026-03-29T10:00:00Z"}
        {"call_id":"2","agent_id":"8","talk_seconds":60,"cost":1.5,"currency":"EUR","event_time":"2026-03-29T11:00:00Z"}
        "#,
    )
}

fn costs(folder: &Path, format: Format) -> ExportSpec {
    let report = ExportSource::Report(super::request("call-cost", &[("by", "agent")]));
    ExportSpec { format, ..spec(folder, "15 6 * * *", ExportPeriod::LastDay, report) }
}

async fn asked_again(engine: &Engine, spec: &ExportSpec, write: Write) -> Again {
    again(engine, spec, at(TIME), write).await.unwrap()
}

#[tokio::test]
async fn late_events_make_a_numbered_correction_in_each_format() {
    for format in ExportSpec::FORMATS {
        let place = tempfile::tempdir().unwrap();
        let by = if format == Format::Csv { vec!["agent".to_owned()] } else { Vec::new() };
        let spec = ExportSpec { partition_by: by, ..costs(place.path(), format) };
        assert_eq!(asked_again(&calls().engine(), &spec, Write::Yes).await, Again::Never);
        let first = run(&calls().engine(), &spec, at(TIME)).await.unwrap();
        assert_eq!(asked_again(&calls().engine(), &spec, Write::Yes).await, Again::Same);

        let late = calls().with("calls", LATE);
        let lines = Lines { changed: 1, ..Lines::default() };
        let Again::Differs(reason) = asked_again(&late.clone().engine(), &spec, Write::No).await
        else {
            panic!("it does not differ")
        };
        assert_eq!(reason.lines, Some(lines));
        assert_eq!(spec.finished().await.unwrap().len(), 1, "that only told");

        let told = asked_again(&late.clone().engine(), &spec, Write::Yes).await;
        let Again::Corrected(correction) = told else { panic!("{told:?}") };
        assert_eq!((correction.number, correction.rows), (1, 2));
        assert_eq!(correction.corrects.as_deref(), Some("2026-03-30T041500Z"));
        assert_eq!(correction.reason.as_ref(), Some(&reason));
        assert!(reason.text.ends_with(": 1 line changed"), "{}", reason.text);
        assert_eq!(correction.folder, format!("{}.1", first.folder));
        assert_eq!(asked_again(&late.clone().engine(), &spec, Write::Yes).await, Again::Same);
        assert_eq!(run(&late.clone().engine(), &spec, at(TIME)).await.unwrap(), first);

        let line = LATE.replace("\"3\"", "\"4\"").replace("\"8\"", "\"9\"");
        let later = late.with("calls", &line).engine();
        let told = asked_again(&later, &spec, Write::Yes).await;
        let Again::Corrected(correction) = told else { panic!("{told:?}") };
        assert_eq!(correction.corrects.as_deref(), Some("2026-03-30T041500Z.1"));
        let lines = Lines { added: 1, ..Lines::default() };
        assert_eq!(correction.reason.unwrap().lines, Some(lines));
        let finished: Vec<String> =
            spec.finished().await.unwrap().iter().map(RunName::to_string).collect();
        let names = ["2026-03-30T041500Z", "2026-03-30T041500Z.1", "2026-03-30T041500Z.2"];
        assert_eq!(finished, names);
        assert_eq!(fs::read_dir(place.path().join("daily-costs")).unwrap().count(), 3);
    }
}

#[tokio::test]
async fn another_tariff_is_a_reason_and_another_question_is_none() {
    let unpriced = || {
        Tables::default().with(
            "calls",
            r#"{"call_id":"1","system":"voipnow","direction":"outgoing","customer_number":"+4930","talk_seconds":60,"event_time":"2026-03-29T10:00:00Z"}"#,
        )
    };
    let tariff = |price: &str| {
        let text =
            format!("[[tariffs]]\nname = \"all\"\ncurrency = \"EUR\"\nper_minute = {price}\n");
        unpriced().engine_with(Tariffs::read(&text).unwrap())
    };
    let place = tempfile::tempdir().unwrap();
    let spec = costs(place.path(), Format::Csv);
    run(&tariff("0.02"), &spec, at(TIME)).await.unwrap();
    assert_eq!(asked_again(&tariff("0.02"), &spec, Write::No).await, Again::Same);
    let Again::Differs(reason) = asked_again(&tariff("0.03"), &spec, Write::No).await else {
        panic!("a re-rated call is the same")
    };
    assert!(reason.settings_changed);
    assert_eq!(reason.text, "other tariffs, accounts or calendars: 1 line changed");

    let by_day = ExportSource::Report(super::request("call-cost", &[("by", "day")]));
    let other = ExportSpec { source: by_day, ..spec };
    let told = asked_again(&tariff("0.02"), &other, Write::Yes).await;
    assert_eq!(told, Again::AnotherQuestion);
}

#[test]
fn the_newest_periods_are_asked_again() {
    let runs: Vec<RunName> = ["27", "28", "28", "29", "30"]
        .iter()
        .zip([0, 0, 1, 0, 0])
        .map(|(day, number)| RunName {
            scheduled_for: at(&format!("2026-03-{day}T04:15:00Z")),
            number,
        })
        .collect();
    let spec = costs(Path::new("/x"), Format::Csv);
    let days = |spec: &ExportSpec| {
        let times = closed(spec, &runs);
        times.iter().map(|time| time.format("%d").to_string()).collect::<Vec<_>>()
    };
    assert_eq!(days(&spec), ["28", "29", "30"]);
    assert_eq!(days(&ExportSpec { corrections: 0, ..spec.clone() }), [""; 0]);
    assert_eq!(days(&ExportSpec { corrections: 99, ..spec.clone() }).len(), 4);
    assert_eq!(days(&ExportSpec { period: ExportPeriod::All, ..spec }), [""; 0]);
}
