//! What is asked besides the plain reports, by the command line: explanations, tariffs, charts, reports of
//! the user's own, other currencies; and what is wrong with a question, told before any table is read.

use crate::harness::events;
use crate::harness::process::Place;
use crate::reports::filled;

/// All tables as they were before the second import.
#[test]
fn the_past_can_be_asked() {
    let place = Place::new();
    let sent = events::simulated(&place, 3, 60);
    let import = |name: &str, part: &[events::Event]| {
        place.file(name, events::envelopes(part));
        place.ok(&["import", "--enveloped", name]);
    };
    let count = "select count(*) as n, (select count(*) from call_participants) as legs from calls";
    import("first.ndjson", &sent[..30]);
    let before = place.ok(&["query", count]);
    let now = place.ok(&["query", "select to_char(now(), '%Y-%m-%dT%H:%M:%S%.6fZ')"]);
    let now = now.lines().nth(1).unwrap();
    import("second.ndjson", &sent[30..]);
    assert_ne!(place.ok(&["query", count]), before);
    assert_eq!(place.ok(&["query", count, "--as-of", now]), before);
    let ended = place.run(&["report", "call-cost", "--as-of", "2020-01-01"]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.err.contains("the last seven days can be asked"), "{ended:#?}");
    assert_eq!(place.run(&["query", count, "--as-of", "soon"]).code, Some(2));
}

#[test]
fn a_line_leads_to_its_calls_and_their_events() {
    let place = filled();
    let calls = place.ok(&["explain", "call-cost", "--row", "2", "--format", "csv"]);
    // The second line is 694's in USD: calls 1 and 2, 0.072 + 0.1.
    assert_eq!(calls.lines().count(), 3, "{calls}");
    assert!(
        calls.contains(",0.0720,USD,vendor,") && calls.contains(",0.1000,USD,vendor,"),
        "{calls}"
    );
    let group = ["explain", "call-cost", "--group", "agent=694,currency=USD", "--format", "csv"];
    assert_eq!(place.ok(&group), calls);
    let events = place.ok(&[&group[..], &["--events"]].concat());
    // Call 1 was told of by four events, one of which came twice; call 2 by two.
    assert_eq!(events.lines().count(), 1 + 4 + 2, "{events}");
    assert!(events.contains("onCallCreate") && events.contains("import:"), "{events}");
    let none = place.run(&["explain", "call-cost", "--row", "99"]);
    assert_eq!(none.code, Some(2));
    assert!(none.err.contains("no row 99: it has"), "{}", none.err);
}

const TARIFF: &str =
    "[[tariffs]]\nname = 'all'\ncurrency = 'EUR'\nper_minute = 0.06\nfirst_increment = 60\n";

#[test]
fn tariffs_price_what_no_vendor_does() {
    let place = filled();
    let cost = ["report", "call-cost", "--by", "", "--format", "csv"];
    let before = place.run(&cost);
    assert!(before.out.contains("\n,1,0,0,,,\n"), "{}", before.out);
    assert!(before.err.contains("note: 1 call has no cost and is in no sum"), "{}", before.err);
    place.file("tariffs.toml", TARIFF);
    // Call 4 was talked for 45 s: a minute at 0.06, with the 0.25 EUR of call 2's leg.
    let after = place.run(&cost);
    assert!(after.out.contains("EUR,2,2,120,0.3100,"), "{}", after.out);
    assert!(!after.err.contains("no cost"), "{}", after.err);
    let only = place.ok(&[&cost[..], &["--cost-source", "tariff"]].concat());
    assert!(only.contains("EUR,1,1,60,0.0600,"), "{only}");
    assert!(place.ok(&["check"]).contains("tariffs        1"));
    place.file(
        "tariffs.toml",
        format!("{TARIFF}valid_to = 2026-03-01\n{TARIFF}valid_from = 2026-03-02\n")
            .replacen("'all'", "'old'", 1),
    );
    for command in [&["check"][..], &cost] {
        let refused = place.run(command);
        assert_eq!(refused.code, Some(2), "{command:?}");
        assert!(
            refused.err.contains(
                "tariffs.toml:7: between tariffs \"old\" and \"all\" there is none from 2026-03-01"
            ),
            "{}",
            refused.err
        );
    }
}

#[test]
fn costs_in_one_currency_and_a_rate_that_is_missing() {
    let place = filled();
    place.file("rates.csv", "date,from,to,rate\n2026-03-28,USD,EUR,0.9\n");
    let ask = |more: &[&str]| {
        let asked = [
            "report",
            "call-cost",
            "--by",
            "day",
            "--currency",
            "EUR",
            "--rates",
            "rates.csv",
            "--format",
            "csv",
        ];
        place.run(&[&asked[..], more].concat())
    };
    // Calls 1 and 2: 0.172 × 0.9 + 0.25.
    let day = ask(&["--until", "2026-03-29"]);
    assert!(day.out.contains("2026-03-28,EUR,2,2,180,0.4048,"), "{}", day.out);
    let missing = ask(&[]);
    assert_eq!(missing.code, Some(1));
    assert!(
        missing.err.contains("there is no rate for 2026-03-29 from USD to EUR"),
        "{}",
        missing.err
    );
    assert!(missing.err.contains("add the line 2026-03-29,USD,EUR,RATE"), "{}", missing.err);
}

#[test]
fn charts_and_histograms_are_drawn() {
    let place = filled();
    let bars = place.ok(&["report", "call-cost", "--by", "agent", "--chart"]);
    assert!(bars.contains("currency USD") && bars.contains('█'), "{bars}");
    let line =
        place.ok(&["report", "bill-duration", "--by", "day", "--chart", "--measure", "calls"]);
    assert!(line.contains("└2026-03-28"), "{line}");
    let histogram = place.ok(&["report", "bill-duration", "--histogram"]);
    assert!(histogram.contains("60–120 s   1  █"), "{histogram}");
    let bins = place.ok(&["report", "bill-duration", "--histogram", "--format", "csv"]);
    assert!(bins.starts_with("over_seconds,to_seconds,calls\n"), "{bins}");
    assert_eq!(place.ok(&["report", "--by", "agent", "--chart", "call-cost"]), bars);
    for (file, chart, magic) in [
        ("costs.svg", &["--chart", "costs.svg"][..], &b"<svg"[..]),
        ("costs.png", &["--chart=costs.png"], b"\x89PNG"),
    ] {
        place.ok(&[&["report", "call-cost", "--by", "day"], chart].concat());
        let picture = std::fs::read(place.path().join(file)).unwrap();
        assert!(picture.starts_with(magic), "{file}");
        assert!(picture.len() > 1_000, "{file} is too small for a picture");
    }
    let svg = std::fs::read_to_string(place.path().join("costs.svg")).unwrap();
    assert!(svg.contains("currency USD") && svg.contains("2026-03-28"), "{svg}");
}

#[test]
fn reports_are_listed_with_what_they_mean_and_a_user_adds_to_them() {
    let place = filled();
    std::fs::create_dir(place.path().join("reports")).unwrap();
    place.file(
        "reports/team.sql",
        "-- title: calls of one agent\n-- param agent: text\n-- param least: int = 1\n-- param since: time\n\
         -- column calls: how many\nSELECT count(*) AS calls FROM calls_current\n\
         WHERE agent_id = $agent AND started_at >= $since HAVING count(*) >= $least\n",
    );
    place.file("reports/broken.sql", "SELEC 1\n");
    let list = place.ok(&["report", "list"]);
    for name in [
        "call-cost",
        "deal-slips",
        "agent-time",
        "call-phases",
        "calls of one agent",
        "broken          cannot be used",
    ] {
        assert!(list.contains(name), "{name} is not in {list}");
    }
    let help = place.ok(&["report", "deal-stages", "--help"]);
    assert!(help.contains("median_days") && help.contains("--deal"), "{help}");
    assert!(
        place.ok(&["report", "team", "--help"]).contains("least              int [default: 1]")
    );
    assert!(place.ok(&["report", "--help"]).contains("Examples"));
    let ask =
        |more: &[&str]| place.run(&[&["report", "team", "--format", "csv"][..], more].concat());
    assert_eq!(ask(&["--param", "agent=694"]).out, "calls\n2\n");
    assert_eq!(ask(&["--param", "agent=694", "--since", "2026-03-28T23:00"]).out, "calls\n1\n");
    for (wrong, says) in [
        (&[][..], "report team needs --param agent=text"),
        (&["--param", "agnt=694"], "did you mean agent?"),
        (&["--param", "agent=694", "--param", "least=x"], "\"x\" is no int"),
        (&["--by", "agent"], "takes no --by"),
    ] {
        let refused = ask(wrong);
        assert_eq!(refused.code, Some(2), "{wrong:?}: {}", refused.err);
        assert!(refused.err.contains(says), "{wrong:?}: {}", refused.err);
    }
    assert_eq!(place.run(&["report", "broken"]).code, Some(2));
    place.file("reports/hasty.sql", "SELECT $agent AS agent, count(*) AS n FROM calls\n");
    let refused = place.run(&["report", "hasty"]);
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("a line like `-- param agent: text`"), "{}", refused.err);
}

#[test]
fn the_folder_is_found_by_a_way_that_leads_up() {
    let place = filled();
    let count = ["query", "SELECT count(*) AS n FROM calls"];
    let name = place.path().file_name().unwrap().to_str().unwrap();
    let told = place.ok(&[&["--data", &format!("../{name}/data")], &count[..]].concat());
    assert_eq!(told, place.ok(&count));
    let none = place.run(&[&["--data", "../none/of/them"], &count[..]].concat());
    assert_eq!((none.code, none.out.as_str()), (Some(0), "n\n0\n"), "{none:#?}");
}

#[test]
fn what_is_wrong_with_a_question_is_told_before_any_table_is_read() {
    let place = Place::new();
    place.file("rates.csv", "date,from,to,rate\n");
    for (arguments, says) in [
        (&["report", "call-cost", "--since", "03/04/2026"][..], "is no date or time"),
        (&["report", "call-cost", "--currency", "EUO"], "unknown currency"),
        (&["report", "bill-duration", "--currency", "EUR"], "has no --currency"),
        (&["report", "call-cost", "--rates", "rates.csv"], "--currency"),
        (&["report", "call-cost", "--cost-source", "vendr"], "did you mean vendor?"),
        (&["report", "call-cost", "--histogram"], "has no --histogram"),
        (&["report", "call-cost", "--chart", "--measure", "csot"], "did you mean cost?"),
        (&["report", "call-cost", "--chart", "a.gif"], "FILE.svg, FILE.png"),
        (&["report", "--chart", "call-csot"], "did you mean call-cost?"),
        (&["report"], "which report?"),
        (&["explain", "call-cost"], "--row"),
        (&["explain", "call-cost", "--group", "694"], "write NAME=VALUE"),
    ] {
        let refused = place.run(arguments);
        assert_eq!(refused.code, Some(2), "{arguments:?}: {}", refused.err);
        assert!(refused.err.contains(says), "{arguments:?}: {}", refused.err);
    }
}
