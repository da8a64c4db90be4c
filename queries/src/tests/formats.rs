//! The same answer in every format.

use arrow::datatypes::DataType;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{Tables, request, text};
use crate::report::{KIND_KEY, run};
use crate::{Answer, Engine, Format, output};

fn engine() -> Engine {
    Tables::default()
        .with(
            "calls",
            r#"
            {"call_id":"1","agent_id":"694","agent_name":"Ann \"A\", x","talk_seconds":4000.25,"cost":12345.678901,"currency":"EUR","event_time":"2026-03-01T10:00:00Z"}
            {"call_id":"2","agent_id":"700","talk_seconds":60,"cost":1,"currency":"EUR","event_time":"2026-03-01T10:00:00Z"}
            {"call_id":"3","event_time":"2026-03-01T10:00:00Z"}
            "#,
        )
        .engine()
}

async fn report() -> Answer {
    run(&engine(), &request("call-cost", &[])).await.unwrap()
}

#[tokio::test]
async fn csv_json_and_ndjson_carry_plain_digits() {
    assert_eq!(
        text(report().await, Format::Csv, None).await,
        "agent,agent_name,currency,calls,costed_calls,billed_seconds,cost,cost_per_call,cost_per_minute\n\
         694,\"Ann \"\"A\"\", x\",EUR,1,1,4000.25,12345.678901,12345.678901,185.173610\n\
         700,,EUR,1,1,60,1.0000,1.000000,1.000000\n\
         ,,,1,0,0,,,\n"
    );
    let rows = [
        r#"{"agent":"694","agent_name":"Ann \"A\", x","currency":"EUR","calls":1,"costed_calls":1,"billed_seconds":4000.25,"cost":12345.678901,"cost_per_call":12345.678901,"cost_per_minute":185.173610}"#,
        r#"{"agent":"700","agent_name":null,"currency":"EUR","calls":1,"costed_calls":1,"billed_seconds":60,"cost":1.0000,"cost_per_call":1.000000,"cost_per_minute":1.000000}"#,
        r#"{"agent":null,"agent_name":null,"currency":null,"calls":1,"costed_calls":0,"billed_seconds":0,"cost":null,"cost_per_call":null,"cost_per_minute":null}"#,
    ];
    assert_eq!(
        text(report().await, Format::Json, None).await,
        format!("[\n{}\n]\n", rows.join(",\n"))
    );
    assert_eq!(text(report().await, Format::Ndjson, None).await, format!("{}\n", rows.join("\n")));
    let nothing = engine().sql("SELECT call_id FROM calls WHERE false").await.unwrap();
    assert_eq!(text(nothing, Format::Json, None).await, "[]\n");
}

#[tokio::test]
async fn values_of_all_kinds() {
    let sql = "SELECT true AS flag, CAST(NULL AS INT) AS nothing, 9007199254740993 AS id, \
               [1, NULL] AS list, 1.50 AS exact, X'00ff' AS bytes, 'a\nb' AS text, \
               DATE '2026-03-29' AS day, TIMESTAMP '2026-03-29T01:00:00.25Z' AS at, \
               arrow_cast(0.1, 'Float64') AS float";
    let answer = engine().sql(sql).await.unwrap();
    assert_eq!(
        text(answer, Format::Ndjson, None).await,
        "{\"flag\":true,\"nothing\":null,\"id\":9007199254740993,\"list\":[1,null],\"exact\":1.5,\
         \"bytes\":\"00ff\",\"text\":\"a\\nb\",\"day\":\"2026-03-29\",\"at\":\"2026-03-29T01:00:00.250\",\
         \"float\":0.1}\n"
    );
}

#[tokio::test]
async fn the_table_groups_digits_and_aligns_numbers() {
    let expected = r#"
 agent  agent_name  currency  calls  costed_calls  billed_seconds           cost  cost_per_call  cost_per_minute
─────────────────────────────────────────────────────────────────────────────────────────────────────────────────
 694    Ann "A", x  EUR           1             1        4,000.25  12,345.678901  12,345.678901       185.173610
 700                EUR           1             1              60         1.0000       1.000000         1.000000
                                  1             0               0
"#;
    assert_eq!(text(report().await, Format::Table, None).await, expected.trim_start_matches('\n'));
}

#[tokio::test]
async fn a_narrow_terminal_folds_headers_and_then_shows_records() {
    let one =
        || async { run(&engine(), &request("call-cost", &[("agent", "700")])).await.unwrap() };
    let folded = "
 agent  agent  currency  calls  costed   billed    cost  cost_per  cost_per
        name                     calls  seconds              call    minute
────────────────────────────────────────────────────────────────────────────
 700           EUR           1       1       60  1.0000  1.000000  1.000000
";
    let got = text(one().await, Format::Table, Some(80)).await;
    assert_eq!(got, folded.trim_start_matches('\n'));
    let records = "
── 1 ────────────────────────────────────────
 agent            700
 agent_name
 currency         EUR
 calls            1
 costed_calls     1
 billed_seconds   60
 cost             1.0000
 cost_per_call    1.000000
 cost_per_minute  1.000000
";
    let got = text(one().await, Format::Table, Some(60)).await;
    assert_eq!(got, records.trim_start_matches('\n'));
}

#[tokio::test]
async fn ids_are_not_quantities() {
    let sql = "SELECT 1234567 AS id, 1234567 AS deal_id, 1234567 AS size";
    let got = text(engine().sql(sql).await.unwrap(), Format::Table, None).await;
    assert_eq!(got.matches("1234567").count(), 2, "{got}");
    assert_eq!(got.matches("1,234,567").count(), 1, "{got}");
}

#[tokio::test]
async fn parquet_and_arrow_keep_types_and_kinds() {
    let mut parquet = Vec::new();
    let written = output::write(report().await, Format::Parquet, &mut parquet, None).await.unwrap();
    assert_eq!(written.rows, 3);
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(parquet)).unwrap();
    let schema = reader.schema().clone();
    assert!(matches!(
        schema.field_with_name("cost").unwrap().data_type(),
        DataType::Decimal128(38, 9)
    ));
    assert_eq!(schema.field_with_name("cost").unwrap().metadata()[KIND_KEY], "money");
    assert_eq!(reader.build().unwrap().map(|b| b.unwrap().num_rows()).sum::<usize>(), 3);

    let mut file = Vec::new();
    output::write(report().await, Format::Arrow, &mut file, None).await.unwrap();
    let reader = arrow::ipc::reader::FileReader::try_new(std::io::Cursor::new(file), None).unwrap();
    assert_eq!(reader.schema().field(0).name(), "agent");
    assert_eq!(reader.map(|b| b.unwrap().num_rows()).sum::<usize>(), 3);
}
