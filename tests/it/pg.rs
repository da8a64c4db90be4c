//! PostgreSQL's protocol, asked by those who speak it: psql and the JDBC driver.

use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use crate::harness::process::{Place, Running, free_address};
use crate::harness::wait::wait_until;
use crate::reports::filled;

const PASSWORD: &str = "a-password";
const ENDLESS: &str = "select count(*) from generate_series(1, 1000000000000)";

/// A place with the calls and deals of the reports, and `ringlake pg` over it.
fn answering() -> (Place, Running, SocketAddr) {
    let place = filled().with("RINGLAKE_PG_PASSWORD", PASSWORD);
    let address = free_address();
    let running = place.start("pg", place.command(&["pg", "--listen", &address.to_string()]));
    wait_until("it to listen", || TcpStream::connect(address).is_ok());
    (place, running, address)
}

fn psql(address: SocketAddr, password: &str) -> Command {
    let mut command = Command::new("psql");
    let port = address.port();
    command.arg(format!("host=127.0.0.1 port={port} user=ringlake dbname=ringlake"));
    command.args(["--no-psqlrc", "--csv"]).env("PGPASSWORD", password).stdin(Stdio::null());
    command
}

/// What psql prints for these commands, one after the other: answers and errors.
fn asked(address: SocketAddr, commands: &[&str]) -> (String, String) {
    let mut command = psql(address, PASSWORD);
    for one in commands {
        command.args(["-c", one]);
    }
    let ended = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&ended.stdout), text(&ended.stderr))
}

/// What somebody gives to a BI tool answers as the report does.
#[test]
fn the_sql_of_each_report_can_be_asked() {
    let (place, _running, address) = answering();
    let reports = [
        "call-cost",
        "bill-duration",
        "deal-changes",
        "deal-stages",
        "deal-slips",
        "deal-calls",
        "agent-time",
        "call-phases",
    ];
    for report in reports {
        let asked_of = ["report", report, "--since", "2026", "--tz", "Asia/Seoul"];
        let told = place.ok(&[&asked_of[..], &["--format", "csv"]].concat());
        let sql = place.ok(&[&asked_of[..], &["--sql"]].concat());
        let (answer, errors) = asked(address, &[&sql]);
        // Digits and zones are written otherwise; names of columns and numbers of lines are not.
        let shape = |csv: &str| (csv.lines().next().map(str::to_owned), csv.lines().count());
        assert_eq!(shape(&answer), shape(&told), "{report}: {errors}");
    }
    assert_eq!(place.run(&["report", "call-cost", "--sql", "--chart"]).code, Some(2));
}

#[test]
fn psql_asks_and_looks_around() {
    let (place, _running, address) = answering();
    let ask = |commands: &[&str]| asked(address, commands);
    let calls = "select call_id, cost, currency, started_at from calls_current order by 1 limit 2";
    assert_eq!(
        ask(&[calls]).0,
        "call_id,cost,currency,started_at\n\
         1,0.072000000,USD,2026-03-28 22:30:00.000000+00\n\
         2,0.250000000,EUR,2026-03-28 23:30:00.000000+00\n"
    );
    // What psql asks the catalogue.
    let (tables, errors) = ask(&["\\d"]);
    assert!(tables.contains("\npublic,calls_current,"), "{tables}{errors}");
    assert!(tables.contains("\npublic,deals,"), "{tables}{errors}");
    let (columns, errors) = ask(&["\\d calls_current"]);
    assert!(columns.contains("started_at,timestamp with time zone"), "{columns}{errors}");
    // An error has its place and a hint, and the next statement is answered.
    let (answer, errors) = ask(&["select agnt_id from calls_current", "select 40 + 2 as y"]);
    assert_eq!(answer, "y\n42\n");
    assert!(errors.contains("unknown column \"agnt_id\""), "{errors}");
    assert!(
        errors.contains("LINE 1: select agnt_id") && errors.contains("\n               ^"),
        "{errors}"
    );
    assert!(errors.contains("HINT:  did you mean agent_id"), "{errors}");
    for statement in [
        "drop table calls",
        "delete from calls",
        "copy calls to '/tmp/x'",
        "set role x; drop table calls",
    ] {
        let (_, errors) = ask(&[statement]);
        assert!(errors.contains("ERROR"), "{statement}: {errors}");
    }
    let (_, errors) = ask(&["set statement_timeout = '300ms'", ENDLESS]);
    assert!(errors.contains("took longer than"), "{errors}");
    // What comes later is seen, by a connection too that is there already.
    let more = r#"{"account_id":"82918","domain":"a.freshcaller.com","region":"US","event":"onCallCreate","timestamp":1774800000,"data":{"call":{"id":99,"participants":[]},"associations":{},"actor":{"type":"system"},"changes":{}}}"#;
    place.file("more.ndjson", format!("{more}\n"));
    place.ok(&["import", "--system", "freshcaller", "more.ndjson"]);
    wait_until("the new call", || ask(&["select count(*) from calls_current"]).0.contains("\n5\n"));
}

/// psql encrypts, and knows by the certificate whom it talks to.
#[test]
fn psql_asks_over_tls() {
    let file = |name: &str| format!("{}/tests/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let place = filled()
        .with("RINGLAKE_PG_PASSWORD", PASSWORD)
        .with("RINGLAKE_TLS_CERTIFICATE", &file("first.pem"))
        .with("RINGLAKE_TLS_KEY", &file("first.key"));
    let address = free_address();
    let _running = place.start("pg", place.command(&["pg", "--listen", &address.to_string()]));
    wait_until("it to listen", || TcpStream::connect(address).is_ok());
    let ask = |tls: &str| {
        let mut command = Command::new("psql");
        let port = address.port();
        let server = format!("host=localhost hostaddr=127.0.0.1 port={port}");
        command.arg(format!("{server} user=ringlake dbname=ringlake {tls}"));
        command.args(["--no-psqlrc", "--csv", "-c", "select 40 + 2 as y", "-c", "\\conninfo"]);
        let ended = command.env("PGPASSWORD", PASSWORD).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(ended.stdout), text(ended.stderr))
    };
    let trusting = |name: &str| format!("sslmode=verify-full sslrootcert={}", file(name));
    for tls in ["sslmode=require", &trusting("first.pem")] {
        let (answer, errors) = ask(tls);
        assert!(answer.starts_with("y\n42\n"), "{tls}: {answer}{errors}");
        assert!(answer.contains("SSL connection (protocol: TLSv1.3"), "{tls}: {answer}{errors}");
    }
    let (answer, errors) = ask(&trusting("second.pem"));
    assert!(answer.is_empty() && errors.contains("certificate verify failed"), "{answer}{errors}");
}

#[test]
fn nobody_comes_in_without_the_password() {
    let (place, _running, address) = answering();
    for (user, password) in [("ringlake", "wrong"), ("ringlake", ""), ("postgres", PASSWORD)] {
        let mut command = psql(address, password);
        let ended = command.args(["-U", user, "-c", "select 1"]).output().unwrap();
        let port = address.port();
        let mut command = Command::new("psql");
        command.arg(format!("host=127.0.0.1 port={port} user={user} dbname=ringlake"));
        command.args(["--no-password", "-c", "select 1"]).env("PGPASSWORD", password);
        let named = command.output().unwrap();
        assert!(!named.status.success(), "{user} {password}: {named:?}");
        let refused = String::from_utf8_lossy(&named.stderr);
        let says = format!("password authentication failed for user \"{user}\"");
        for says in [&says, "pg-password"] {
            // Without a password psql does not ask.
            assert!(password.is_empty() || refused.contains(says), "{user} {password}: {refused}");
        }
        assert!(user == "postgres" || !ended.status.success(), "{user} {password}: {ended:?}");
    }
    assert!(!place.data().join("pg-password").exists(), "a password was given");
    // Without one, the first start makes it.
    let other = Place::new();
    let address = free_address();
    let _other = other.start("pg", other.command(&["pg", "--listen", &address.to_string()]));
    wait_until("it to listen", || TcpStream::connect(address).is_ok());
    let path = other.data().join("pg-password");
    let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
    assert_eq!(mode & 0o077, 0, "others can read the password");
    let made = std::fs::read_to_string(path).unwrap();
    let ended = psql(address, made.trim()).args(["-c", "select 1 as one"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "one\n1\n", "{ended:?}");
}

#[test]
fn jdbc_looks_around_prepares_reads_in_portions_and_cancels() {
    let (_place, _running, address) = answering();
    let jars = std::env::var("RINGLAKE_TEST_JDBC").expect("start the tests with tests/run");
    let ended = Command::new("java")
        .args(["-cp", &format!("{jars}/*"), "-Xmx256m"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/jdbc/Ask.java"))
        .args([&format!("jdbc:postgresql://{address}/ringlake"), "ringlake", PASSWORD])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}\n{errors}");
    for line in [
        "product: PostgreSQL",
        "table: public.calls",
        "table: public.calls_current",
        "column: call_id text",
        "column: cost numeric",
        "prepared 0: 1 2026-03-28T22:30:00Z 0.072 120 2",
        "prepared 7: 2 2026-03-28T23:30:00Z 0.25 60 2",
        "portions: 50000 1250025000",
        "refused 25006: ERROR: queries only read: DELETE is not allowed",
        "refused 42703: ERROR: unknown column \"agnt_id\"",
        "refused 57014: ERROR: canceling statement due to user request",
        "after all that: 42",
    ] {
        assert!(
            said.lines().any(|said| said.starts_with(line)),
            "no {line:?} in:\n{said}\n{errors}"
        );
    }
}

#[test]
fn a_client_that_is_gone_computes_no_more() {
    let (_place, running, address) = answering();
    let mut client = psql(address, PASSWORD).args(["-c", ENDLESS]).spawn().unwrap();
    wait_until("it to compute", || is_busy(&running));
    client.kill().unwrap();
    client.wait().unwrap();
    wait_until("it to rest", || !is_busy(&running));
}

/// Whether the process computes most of a while.
fn is_busy(running: &Running) -> bool {
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", running.pid())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        // utime and stime, in hundredths of a second.
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let before = ticks();
    let until = std::time::Instant::now() + std::time::Duration::from_millis(500);
    while std::time::Instant::now() < until {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    ticks() - before > 5
}

#[test]
fn it_stands_beside_the_server_and_a_question_that_kills_it_kills_nothing_else() {
    let place = Place::new().with("RINGLAKE_PG_PASSWORD", PASSWORD);
    let address = free_address();
    let server = place.serve(&["serve", "--pg", &address.to_string()]);
    let answers = || asked(address, &["select 40 + 2 as y"]).0 == "y\n42\n";
    wait_until("it to answer", answers);
    let children = || {
        // Any thread may have started it.
        let threads = std::fs::read_dir(format!("/proc/{}/task", server.running.pid())).unwrap();
        let of =
            |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("children"));
        threads.map(|thread| of(thread.unwrap()).unwrap_or_default()).collect::<String>()
    };
    let child = children().trim().to_owned();
    assert!(Command::new("kill").args(["-9", &child]).status().unwrap().success());
    wait_until("another one", || children().trim() != child && answers());
    assert!(server.is_ready());
    assert_eq!(server.running.stop(), Some(0));
    wait_until("it to end with the server", || TcpStream::connect(address).is_err());
}
