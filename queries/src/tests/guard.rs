//! The fence around SQL: statements that would write, read a file, reach the network, change a setting or
//! go on for ever. Each is tried over files that are really there.

use std::path::Path;
use std::time::{Duration, Instant};

use arrow::array::{Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use url::Url;

use super::Tables;
use crate::{Engine, EngineSettings};

/// Files that a query must not be able to read, in each format that DataFusion knows.
fn bait(folder: &Path) {
    std::fs::write(folder.join("bait.csv"), "secret\n42\n").unwrap();
    std::fs::write(folder.join("bait.json"), "{\"secret\":42}\n").unwrap();
    let column = std::sync::Arc::new(Int64Array::from(vec![42])) as _;
    let batch = RecordBatch::try_from_iter([("secret", column)]).unwrap();
    let file = std::fs::File::create(folder.join("bait.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// Everything in the folder, with its content.
fn content(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = entries
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap_or_default()))
        .collect();
    all.sort();
    all
}

async fn runs(engine: &Engine, sql: &str) -> bool {
    match engine.sql(sql).await {
        Ok(answer) => answer.collect().await.is_ok(),
        Err(_) => false,
    }
}

/// `@` stands for the folder.
const REFUSED: &[&str] = &[
    // Tables that are files or places.
    "SELECT * FROM '@/bait.csv'",
    "SELECT * FROM \"@/bait.csv\"",
    "SELECT * FROM \"@/bait.parquet\"",
    "SELECT * FROM \"file://@/bait.parquet\"",
    "SELECT * FROM 'file://@/bait.json'",
    "SELECT * FROM '@/'",
    "SELECT * FROM \"@\".\"bait.csv\"",
    "SELECT * FROM `@/bait.csv`",
    "SELECT * FROM [@/bait.csv]",
    "SELECT * FROM 'http://127.0.0.1:1/x.csv'",
    "SELECT * FROM 'https://example.com/x.parquet'",
    "SELECT * FROM 's3://bucket/x.parquet'",
    "WITH x AS (SELECT * FROM '@/bait.csv') SELECT * FROM x",
    "SELECT (SELECT count(*) FROM '@/bait.csv')",
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM '@/bait.csv')",
    "SELECT 1 UNION ALL SELECT secret FROM '@/bait.csv'",
    "TABLE '@/bait.csv'",
    "DESCRIBE '@/bait.csv'",
    "SHOW COLUMNS FROM '@/bait.csv'",
    "EXPLAIN SELECT * FROM '@/bait.csv'",
    "EXPLAIN ANALYZE SELECT * FROM '@/bait.csv'",
    // Functions of other engines that read.
    "SELECT * FROM read_csv('@/bait.csv')",
    "SELECT * FROM read_csv_auto('@/bait.csv')",
    "SELECT * FROM read_parquet('@/bait.parquet')",
    "SELECT * FROM read_json('@/bait.json')",
    "SELECT * FROM read_text('@/bait.csv')",
    "SELECT * FROM read_blob('@/bait.csv')",
    "SELECT * FROM parquet_scan('@/bait.parquet')",
    "SELECT * FROM parquet_metadata('@/bait.parquet')",
    "SELECT * FROM delta_scan('@')",
    "SELECT * FROM glob('@/*')",
    "SELECT * FROM csv('@/bait.csv')",
    "SELECT * FROM s3('http://127.0.0.1:1/x', 'CSV')",
    "SELECT * FROM url('http://127.0.0.1:1/x', 'CSV')",
    "SELECT * FROM file('@/bait.csv')",
    "SELECT * FROM postgres_query('host=127.0.0.1', 'select 1')",
    "SELECT * FROM metadata_cache()",
    "SELECT * FROM statistics_cache()",
    "SELECT * FROM list_files_cache()",
    "SELECT pg_read_file('@/bait.csv')",
    "SELECT pg_read_binary_file('@/bait.csv')",
    "SELECT pg_ls_dir('@')",
    "SELECT lo_import('@/bait.csv')",
    "SELECT load_extension('@/bait.csv')",
    "SELECT readfile('@/bait.csv')",
    "SELECT writefile('@/new', 'x')",
    "SELECT getenv('HOME')",
    "SELECT current_setting('datafusion.execution.batch_size')",
    "SELECT set_config('datafusion.execution.batch_size', '1', false)",
    "SELECT pg_sleep(60)",
    "SELECT dblink('host=127.0.0.1', 'select 1')",
    "SELECT http_get('http://127.0.0.1:1/')",
    "SELECT system('touch @/new')",
    // Statements that write.
    "CREATE TABLE x AS SELECT 1",
    "CREATE TABLE x (a int)",
    "CREATE OR REPLACE TABLE calls AS SELECT 1",
    "CREATE TEMPORARY TABLE x AS SELECT 1",
    "CREATE VIEW x AS SELECT 1",
    "CREATE OR REPLACE VIEW calls_current AS SELECT 1",
    "CREATE SCHEMA x",
    "CREATE DATABASE x",
    "CREATE CATALOG x",
    "CREATE INDEX i ON calls (call_id)",
    "CREATE FUNCTION f() RETURNS int RETURN 1",
    "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '@/bait.csv'",
    "CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION '@/bait.parquet'",
    "CREATE UNBOUNDED EXTERNAL TABLE x (a int) STORED AS CSV LOCATION '@/'",
    "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION 'http://127.0.0.1:1/' OPTIONS ('a' 'b')",
    "INSERT INTO calls SELECT * FROM calls",
    "INSERT OVERWRITE calls SELECT * FROM calls",
    "INSERT INTO '@/new.csv' VALUES (1)",
    "REPLACE INTO calls VALUES (1)",
    "UPDATE calls SET cost = 0",
    "DELETE FROM calls",
    "MERGE INTO calls USING deals ON true WHEN MATCHED THEN DELETE",
    "TRUNCATE TABLE calls",
    "DROP TABLE calls",
    "DROP TABLE IF EXISTS calls",
    "DROP VIEW calls_current",
    "DROP SCHEMA tables CASCADE",
    "DROP FUNCTION abs",
    "ALTER TABLE calls ADD COLUMN x int",
    "ALTER TABLE calls RENAME TO x",
    "VACUUM calls",
    "OPTIMIZE TABLE calls",
    "ANALYZE TABLE calls",
    "COPY calls TO '@/new.parquet'",
    "COPY (SELECT 1) TO '@/new.csv' STORED AS CSV",
    "COPY (SELECT 1) TO 's3://bucket/x.csv' STORED AS CSV",
    "COPY calls FROM '@/bait.csv'",
    "EXPLAIN COPY (SELECT 1) TO '@/new.csv' STORED AS CSV",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '@/new.csv' STORED AS CSV",
    "EXPLAIN ANALYZE INSERT INTO calls SELECT * FROM calls",
    "EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1",
    "SELECT * INTO x FROM calls",
    "WITH x AS (INSERT INTO calls SELECT * FROM calls RETURNING *) SELECT * FROM x",
    "WITH x AS (DELETE FROM calls RETURNING *) SELECT * FROM x",
    "EXPORT DATABASE '@'",
    "LOAD DATA INPATH '@/bait.csv' INTO TABLE calls",
    "UNLOAD (SELECT 1) TO '@/new'",
    // Statements that change the session.
    "SET datafusion.execution.batch_size = 1",
    "SET datafusion.catalog.location = '@'",
    "SET VARIABLE datafusion.runtime.memory_limit = '100G'",
    "SET datafusion.runtime.memory_limit = '100G'",
    "SET datafusion.runtime.temp_directory = '@'",
    "SET TIME ZONE 'UTC'",
    "RESET datafusion.execution.batch_size",
    "USE x",
    "PREPARE p AS SELECT 1",
    "PREPARE p AS DELETE FROM calls",
    "EXECUTE p",
    "DEALLOCATE p",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT a",
    "DECLARE c CURSOR FOR SELECT 1",
    "ATTACH '@/bait.csv' AS x",
    "ATTACH DATABASE '@/x' AS x",
    "INSTALL httpfs",
    "LOAD httpfs",
    "PRAGMA database_list",
    "CALL f()",
    "KILL 1",
    "GRANT ALL ON calls TO PUBLIC",
    "LOCK TABLE calls",
    "LISTEN x",
    "DO $$ x $$",
    "SHOW CREATE TABLE '@/bait.csv'",
    // Two at once, and one that hides behind a comment.
    "SELECT 1; DROP TABLE calls",
    "SELECT 1; COPY (SELECT 1) TO '@/new.csv' STORED AS CSV",
    "/* SELECT */ DROP TABLE calls",
    "-- SELECT\nDELETE FROM calls",
    "(DELETE FROM calls)",
    "((SELECT 1)); SET a = b",
];

#[tokio::test]
async fn nothing_is_written_read_from_elsewhere_or_set() {
    let folder = tempfile::tempdir().unwrap();
    bait(folder.path());
    let before = content(folder.path());
    let engine = Tables::default().engine();
    for statement in REFUSED {
        let sql = statement.replace('@', folder.path().to_str().unwrap());
        assert!(!runs(&engine, &sql).await, "{sql}");
        for quoted in [format!("EXPLAIN {sql}"), format!("SELECT * FROM ({sql})")] {
            assert!(!runs(&engine, &quoted).await, "{quoted}");
        }
    }
    assert_eq!(content(folder.path()), before);
    // What is right still is.
    assert!(runs(&engine, "SELECT count(*) FROM calls WHERE call_id = 'DROP TABLE calls'").await);
    assert!(runs(&engine, "SHOW TABLES").await);
}

/// No function that is there may reach beyond its arguments: a new version of the library that brings one
/// has to be looked at.
#[tokio::test]
async fn table_functions_are_those_that_only_count() {
    let engine = Tables::default().engine();
    assert!(runs(&engine, "SELECT * FROM generate_series(1, 3)").await);
    assert!(runs(&engine, "SELECT * FROM range(1, 3)").await);
    let names = engine.table_functions();
    assert_eq!(names, ["generate_series", "range"]);
}

/// Also where there is but one thread to wait on, and more statements that never pause than cores.
#[tokio::test]
async fn what_would_go_on_for_ever_ends_in_time() {
    let mut settings = EngineSettings::new(Url::parse("file:///nowhere/").unwrap());
    settings.timeout = Duration::from_millis(500);
    settings.spill_limit = 0;
    settings.memory_limit = 64 << 20;
    for sql in [
        "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b \
         WHERE a.value * b.value % 7 = 3",
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
        "SELECT max(md5(CAST(value AS TEXT))) FROM generate_series(1, 1000000000)",
        "SELECT value, count(*) FROM generate_series(1, 1000000000) GROUP BY value",
        "SELECT * FROM generate_series(1, 1000000000) ORDER BY value DESC",
        "SELECT a.value FROM generate_series(1, 3000000) a JOIN generate_series(1, 3000000) b \
         ON a.value % 3 = b.value % 3 ORDER BY 1",
        // One call that computes for long without a pause.
        "SELECT length(regexp_replace(repeat('ab', 40000000), 'a', 'cd', 'g'))",
    ] {
        let engine = Engine::over_batches(Default::default(), settings.clone()).unwrap();
        let start = Instant::now();
        assert!(!runs(&engine, sql).await, "{sql}");
        assert!(start.elapsed() < Duration::from_secs(5), "{sql} took {:?}", start.elapsed());
    }
}
