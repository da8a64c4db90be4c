//! Every text that people see when a question cannot be answered, and the fences around SQL.

use std::time::Duration;

use url::Url;

use super::{Tables, csv, request, told};
use crate::{Engine, EngineSettings, Format, QueryError, report};

async fn sql_error(sql: &str) -> String {
    told(&Tables::default().engine().sql(sql).await.unwrap_err())
}

async fn report_error(name: &str, options: &[(&str, &str)]) -> String {
    told(&report::run(&Tables::default().engine(), &request(name, options)).await.unwrap_err())
}

#[tokio::test]
async fn mistakes_in_sql_name_the_place_and_what_was_meant() {
    let column = sql_error("SELECT call_id,\n       agent_nam FROM calls_current").await;
    assert_eq!(
        column,
        "unknown column \"agent_nam\" at line 2, column 8 | did you mean agent_name or agent_id?"
    );
    assert_eq!(
        sql_error("SELECT * FROM cals").await,
        "unknown table \"cals\" at line 1, column 15 | did you mean calls or deals?"
    );
    assert_eq!(
        sql_error("SELECT * FROM weather").await,
        "unknown table \"weather\" at line 1, column 15 | SHOW TABLES lists them"
    );
    assert_eq!(
        sql_error("SELEC 1").await,
        "the SQL cannot be read at line 1, column 1: expected: an SQL statement, found: SELEC"
    );
}

#[tokio::test]
async fn queries_only_read() {
    let hint = "start with SELECT, WITH, EXPLAIN, SHOW or DESCRIBE";
    for (sql, word) in [
        ("DROP TABLE calls", "DROP"),
        ("INSERT INTO calls SELECT * FROM calls", "INSERT"),
        ("DELETE FROM calls", "DELETE"),
        ("CREATE TABLE x AS SELECT 1", "CREATE"),
        ("CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION '/etc'", "CREATE"),
        ("COPY calls TO '/tmp/x.parquet'", "COPY"),
        ("SET datafusion.execution.batch_size = 1", "SET"),
        ("EXPLAIN DROP TABLE calls", "DROP"),
    ] {
        let expected = format!("queries only read: {word} is not allowed | {hint}");
        assert_eq!(sql_error(sql).await, expected, "{sql}");
    }
    assert_eq!(
        sql_error("SELECT 1; SELECT 2").await,
        "one SQL statement at a time, got 2 | ask them one after the other"
    );
    assert_eq!(
        sql_error(" -- nothing").await,
        "one SQL statement at a time, got 0 | ask them one after the other"
    );
    for file in ["'/etc/passwd'", "read_csv('/etc/passwd')", "read_parquet('/etc/passwd')"] {
        assert!(Tables::default().engine().sql(&format!("SELECT * FROM {file}")).await.is_err());
    }
}

#[tokio::test]
async fn mistakes_in_a_report_name_what_was_meant() {
    assert_eq!(
        report_error("call-costs", &[]).await,
        "unknown report \"call-costs\" | did you mean call-cost or call-phases? there are call-cost, bill-duration, deal-changes, deal-stages, deal-slips, deal-calls, agent-time, call-phases"
    );
    assert_eq!(
        report_error("call-cost", &[("by", "agents")]).await,
        "unknown dimension \"agents\" | did you mean agent? there are system, account, agent, team, queue, number, direction, country, customer, hour, day, week, month"
    );
    assert_eq!(
        report_error("call-cost", &[("tz", "Europe/Berln")]).await,
        "unknown time zone \"Europe/Berln\" | did you mean Europe/Berlin, Europe/Dublin or Europe/Jersey?"
    );
    assert_eq!(
        report_error("call-cost", &[("tz", "midgard")]).await,
        "unknown time zone \"midgard\" | write it as Area/City, as in Europe/Berlin"
    );
    assert_eq!(
        report_error("call-cost", &[("since", "2026-04-01"), ("until", "2026-03-01")]).await,
        "the period ends before it begins: 2026-04-01 is after 2026-03-01 | --since is the first moment counted, --until the first one not"
    );
    assert_eq!(
        report_error("call-cost", &[("since", "last week")]).await,
        "\"last week\" is no date or time | write a date (2026-03-29), a month (2026-03), a year, or a time (2026-03-29T14:30, with Z or +02:00 for a zone of its own)"
    );
    assert_eq!(
        report_error("call-cost", &[("system", "freshcall")]).await,
        "unknown system \"freshcall\" | did you mean freshcaller or freshsales? there are freshcaller, freshsales, vonage, voipnow"
    );
    assert_eq!(report_error("call-cost", &[("deal", "1")]).await, "report call-cost has no --deal");
    assert_eq!(report_error("call-cost", &[("all", "")]).await, "report call-cost has no --all");
    assert_eq!(
        report_error("deal-changes", &[("agent", "1")]).await,
        "report deal-changes has no --agent"
    );
    assert_eq!(
        told(&"parkett".parse::<Format>().unwrap_err()),
        "unknown format \"parkett\" | there are table, csv, json, ndjson, parquet, arrow"
    );
}

#[tokio::test]
async fn a_users_words_are_never_sql() {
    let engine = Tables::default().engine();
    let request = request("call-cost", &[("account", "x' OR 'a' = 'a")]);
    let answer = report::run(&engine, &request);
    assert_eq!(csv(answer.await.unwrap()).await.lines().count(), 1);
}

#[tokio::test]
async fn limits_end_a_query() {
    let limited = |memory_limit, timeout| {
        let mut settings = EngineSettings::new(Url::parse("file:///nowhere/").unwrap());
        settings.spill_limit = 0;
        settings.memory_limit = memory_limit;
        settings.timeout = timeout;
        Engine::over_batches(Default::default(), settings).unwrap()
    };
    let hungry = "SELECT array_agg(value) FROM generate_series(1, 10000000)";
    let engine = limited(1 << 20, Duration::from_secs(60));
    let error = engine.sql(hungry).await.unwrap().collect().await.unwrap_err();
    assert_eq!(
        told(&error),
        "the query needs more than its 1 MiB of memory | narrow the question, or raise the setting memory_limit"
    );
    let endless = "SELECT count(*) FROM generate_series(1, 1000000000000)";
    let engine = limited(1 << 30, Duration::from_millis(200));
    let error = match engine.sql(endless).await {
        Ok(answer) => answer.collect().await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(error, QueryError::Timeout(_)), "{error:?}");
    assert_eq!(
        told(&QueryError::Timeout(Duration::from_secs(300))),
        "the query took longer than 300 s | narrow the question with --since and --until, or raise the limit"
    );
}
