//! What people read when something is wrong.

use ringlake_transform::LogPartition;

use crate::SinkError;
use crate::testing::folder;

fn object(text: &str) -> Box<object_store::Error> {
    Box::new(object_store::Error::Generic { store: "DurableStore", source: text.into() })
}

#[test]
fn texts_and_hints() {
    let errors = [
        SinkError::Location { location: "/proc/x".to_owned(), source: "read-only".into() },
        SinkError::Feature { scheme: "gs".to_owned(), feature: "gcs" },
        SinkError::Feature { scheme: "ftp".to_owned(), feature: "" },
        SinkError::NotExclusive { location: "file:///mnt/usb/".to_owned() },
        SinkError::TornCommit {
            table: "calls",
            path: "_delta_log/00000000000000000007.json".to_owned(),
            what: "empty".to_owned(),
        },
        SinkError::Forgets { table: "calls", property: "delta.setTransactionRetentionDuration" },
        SinkError::Moved {
            table: "deals",
            partition: LogPartition::new("ringlake.freshsales", 3),
            expected: Some(41),
            found: None,
        },
        SinkError::Unknown {
            table: "deals",
            source: Box::new(SinkError::Disk { location: "d".into() }),
        },
        SinkError::Disk { location: "file:///data/tables/".to_owned() },
        SinkError::File {
            table: "tasks",
            path: "event_month=2026-03/part-0.parquet".to_owned(),
            doing: "written",
            source: object("no space left on device"),
        },
        SinkError::BadProgress { what: "x has other columns than expected".to_owned() },
        SinkError::TidiedAway { table: "calls", before: 8, after: 7 },
    ];
    let texts: Vec<String> =
        errors.iter().map(|error| format!("{error}\n  {}", error.hint())).collect();
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn causes_stay_attached() {
    let error = SinkError::File {
        table: "tasks",
        path: "a".to_owned(),
        doing: "written",
        source: object("no space left on device"),
    };
    let source = std::error::Error::source(&error).unwrap();
    assert!(source.to_string().contains("no space left on device"));
}

#[tokio::test]
async fn a_file_in_the_place_of_the_folder_is_named() {
    let folder = folder();
    let path = folder.path().join("tables");
    std::fs::write(&path, b"").unwrap();
    let error =
        crate::Sink::open(crate::SinkSettings::new(path.to_str().unwrap())).await.err().unwrap();
    assert!(error.to_string().starts_with("tables cannot lie at "), "{error}");
}
