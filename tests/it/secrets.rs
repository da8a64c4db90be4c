//! Secrets stay where they belong: everything that a run prints, answers, counts and stores is searched for
//! each of them, with every log line there is switched on.

use std::path::Path;

use crate::harness::events;
use crate::harness::http;
use crate::harness::kafka;
use crate::harness::process::Place;
use crate::harness::tables;
use crate::harness::wait::wait_until;

const TOKEN: &str = "tok-by-environment-5f1c";
const TOKEN_IN_A_FILE: &str = "tok-by-file-77aa";
const OLD_TOKEN: &str = "tok-of-last-year-03be";
const SIGNING: &str = "c2lnbmluZy1zZWNyZXQtZm9yLXZvbmFnZS1zaWduaW5n";
const PASSWORD: &str = "pass-of-the-broker-c4d2";
/// What a sender shows that has mistyped, or tries.
const WRONG: &str = "tok-mistyped-90e1";

fn place() -> Place {
    let place = Place::new();
    let file = place.path().join("vonage.secret");
    std::fs::write(&file, format!("{TOKEN_IN_A_FILE}\n")).unwrap();
    let password = place.path().join("password.secret");
    std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    place
        .with("RINGLAKE_TOKEN_FRESHCALLER", &format!("{TOKEN}, {OLD_TOKEN}"))
        .with("RINGLAKE_TOKEN_VONAGE_FILE", file.to_str().unwrap())
        .with("RINGLAKE_SECRET_VONAGE", SIGNING)
        .with("RINGLAKE_LOG_KAFKA_OPTIONS_SASL_USERNAME", "ringlake")
        .with("RINGLAKE_LOG_KAFKA_OPTIONS_SASL_PASSWORD_FILE", password.to_str().unwrap())
        .with("RINGLAKE_LOG_KAFKA_TOPIC_PREFIX", &kafka::topic_prefix())
        .with("RINGLAKE_LOG_FILTER", "trace,ringlake=trace")
}

/// Every secret of the place, those that it made itself among them.
fn secrets(place: &Place) -> Vec<String> {
    let given = [TOKEN, TOKEN_IN_A_FILE, OLD_TOKEN, SIGNING, PASSWORD, WRONG].map(str::to_owned);
    let made = ["freshsales", "voipnow"].map(|system| place.token(system));
    given.into_iter().chain(made).collect()
}

/// Fails where one of the secrets is in this text.
fn search(what: &str, text: &[u8], secrets: &[String]) {
    for secret in secrets {
        let found = text.windows(secret.len()).position(|window| window == secret.as_bytes());
        if let Some(at) = found {
            let around = &text[at.saturating_sub(200)..(at + 200).min(text.len())];
            panic!("{secret} is in {what}: {}", String::from_utf8_lossy(around));
        }
    }
}

fn search_files(folder: &Path, secrets: &[String]) -> usize {
    let mut searched = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            searched += search_files(&path, secrets);
        } else if name != "tokens.json" && !name.ends_with(".secret") {
            search(&path.display().to_string(), &std::fs::read(&path).unwrap(), secrets);
            searched += 1;
        }
    }
    searched
}

/// Requests that are right and requests that are wrong in each way; returns all answers.
fn requests(address: std::net::SocketAddr, good: &[u8]) -> Vec<http::Response> {
    let json = ("content-type", "application/json");
    let bearer = |token: &str| format!("Bearer {token}");
    let (right, wrong, signed) = (bearer(TOKEN), bearer(WRONG), bearer(TOKEN_IN_A_FILE));
    let in_path = |token: &str| format!("/webhooks/freshcaller/{token}");
    let post = |path: &str, headers: &[(&str, &str)], body: &[u8]| {
        http::post(address, path, headers, body).unwrap()
    };
    let mut answers = vec![
        post("/webhooks/freshcaller", &[json, ("authorization", &right)], good),
        post(&in_path(TOKEN), &[json], b"{\"event\": \"no"),
        post(&in_path(OLD_TOKEN), &[json], good),
    ];
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let refused = [
        post("/webhooks/freshcaller", &[json, ("authorization", &wrong)], good),
        post(&in_path(WRONG), &[json], good),
        post(&in_path(TOKEN), &[("content-type", "image/png")], good),
        post(&format!("/webhooks/freshcaller/x/{TOKEN}"), &[json], good),
        post(&format!("/webhooks/nobody/{WRONG}"), &[json], good),
        post(&format!("/elsewhere/{TOKEN}"), &[json], good),
        post(
            "/webhooks/vonage",
            &[json, ("authorization", &signed), ("vonage-signature", "a.b.c")],
            good,
        ),
        http::get(address, &in_path(TOKEN)).unwrap(),
    ];
    assert!(refused.iter().all(|answer| answer.status >= 400), "{refused:?}");
    answers.extend(refused);
    for path in ["/metrics", "/", "/healthz", "/readyz"] {
        answers.push(http::get(address, path).unwrap());
    }
    answers
}

#[test]
fn no_secret_is_printed_answered_counted_or_stored() {
    let place = place();
    let good = events::fixture("freshcaller/onCallCreate.json");
    for arguments in [&["serve"][..], &["serve", "--kafka", &kafka::shared()]] {
        let mut server = place.serve(arguments);
        let secrets = secrets(&place);
        for answer in requests(server.address, &good) {
            search("an answer", format!("{answer:?}").as_bytes(), &secrets);
        }
        place.ok(&["tokens", "rotate", "freshsales"]);
        wait_until("the events to be written", || tables::events_written(&place) >= 2);
        let processes = std::fs::read(format!("/proc/{}/cmdline", server.running.pid())).unwrap();
        search("the list of processes", &processes, &secrets);
        // In the middle of everything, so that what is left behind is searched too.
        server.running.kill();
        assert!(server.running.messages().len() > 1_000, "the log lines were switched on");
        assert!(search_files(place.path(), &secrets) > 10);
        for arguments in
            [&["check"][..], &["log", "status"], &["dead-letters", "list"], &["export", "list"]]
        {
            let ended = place.run(arguments);
            search(arguments[0], format!("{ended:?}").as_bytes(), &secrets);
        }
    }
    let rows = tables::contents(&place);
    search("the tables", format!("{rows:?}").as_bytes(), &secrets(&place));
}

#[test]
fn mistakes_with_secrets_do_not_repeat_them() {
    let place = place();
    let mistakes = [
        (
            "[log.kafka.options]\n\"sasl.password\" = { a = \"pass-in-a-table\" }\n",
            "pass-in-a-table",
        ),
        ("[log.kafka.options]\n\"sasl.password\" = [\"pass-in-a-list\"]\n", "pass-in-a-list"),
    ];
    for (text, secret) in mistakes {
        place.file("ringlake.toml", text);
        let ended = place.run(&["check"]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.contains("ringlake.toml:2"), "{}", ended.err);
        search("a mistake", ended.err.as_bytes(), &[secret.to_owned()]);
    }
    place.file("ringlake.toml", "");
    let ended = place.run(&["simulate", "--to", "http://127.0.0.1:1", "--token", "tok-alone-17"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    search("a mistake", ended.err.as_bytes(), &["tok-alone-17".to_owned()]);

    let absent =
        place.command(&["serve"]).env("RINGLAKE_TOKEN_VONAGE_FILE", "absent").output().unwrap();
    assert_eq!(absent.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&absent.stderr).contains("cannot read absent"));
}

/// A vendor's settings are changed while both tokens are valid, so no event is refused in between.
#[test]
fn a_rotation_leaves_no_gap() {
    let place = Place::new();
    let server = place.serve(&["serve"]);
    let (old, body) = (place.route("voipnow"), "CallID=1&Extension=2");
    let status = |path: &str, number: usize| {
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let body = format!("{body}&n={number}");
        http::post(server.address, path, &form, body.as_bytes()).unwrap().status
    };
    assert_eq!(status(&old, 0), 200);
    let shown = place.ok(&["tokens", "rotate", "voipnow"]);
    assert!(shown.contains("an older token is valid until "), "{shown}");
    let new = place.route("voipnow");
    assert_ne!(old, new);
    wait_until("the new token to be taken", || {
        assert_eq!(status(&old, 1), 200, "the old token is valid still");
        status(&new, 2) == 200
    });
    place.ok(&["tokens", "rotate", "voipnow", "--grace", "0s"]);
    let newest = place.route("voipnow");
    wait_until("the older tokens to end", || status(&old, 3) == 401 && status(&new, 4) == 401);
    assert_eq!(status(&newest, 5), 200);
    assert!(!place.ok(&["tokens"]).contains("an older token"));

    let place = place.with("RINGLAKE_TOKEN_VOIPNOW", "new,old");
    let refused = place.run(&["tokens", "rotate", "voipnow"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("given by the environment"), "{refused:?}");
    drop(server);
    let server = place.serve(&["serve"]);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    for (token, expected) in [("new", 200), ("old", 200), ("older", 401), ("new,old", 401)] {
        let path = format!("{}/{token}", old.rsplit_once('/').unwrap().0);
        let answer = http::post(server.address, &path, &form, body.as_bytes()).unwrap();
        assert_eq!(answer.status, expected, "{token}");
    }
}
