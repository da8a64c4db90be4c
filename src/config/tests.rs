//! Mistakes in settings are all found, each with its line.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;

fn read(file: &str, variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    merge("ringlake.toml", file, variables, Flags::default())
        .map(|(config, _)| config)
        .map_err(|all| all.into_iter().map(|m| format!("{}: {}", m.at, m.message)).collect())
}

#[test]
fn the_defaults_are_right_and_layers_win_in_order() {
    let config = read("", &[]).unwrap();
    assert_eq!(config.listen.port(), 8640);
    assert_eq!(config.tables_root(), "./ringlake-data/tables");
    let file = "listen = \"0.0.0.0:80\"\n[flush]\ninterval = \"5s\"\n";
    let config = read(file, &[("RINGLAKE_FLUSH_INTERVAL", "250ms")]).unwrap();
    assert_eq!(config.listen.port(), 80);
    assert_eq!(config.flush.interval.0.as_millis(), 250);
    assert_eq!(config.flush.max_bytes.0, 8 << 20, "the rest of the table keeps its defaults");
}

#[test]
fn every_mistake_is_named_with_its_line() {
    let file = "\
listen = 7
lisen = \"127.0.0.1:1\"
time_zone = \"Mars/Olympus\"

[flush]
interval = \"soon\"
max_bites = 3

[log.kafka]
partitions = -1
";
    let mistakes = read(file, &[("RINGLAKE_LIMITS_RATE", "many")]).unwrap_err();
    let has = |place: &str, text: &str| {
        assert!(
            mistakes.iter().any(|m| m.starts_with(place) && m.contains(text)),
            "{place} {text} is not in {mistakes:#?}"
        );
    };
    has("ringlake.toml:1:", "invalid type");
    has("ringlake.toml:2:", "did you mean \"listen\"?");
    has("ringlake.toml:3:", "Mars/Olympus");
    has("ringlake.toml:6:", "no length of time");
    has("ringlake.toml:7:", "did you mean \"max_bytes\"?");
    has("ringlake.toml:10:", "-1");
    has("RINGLAKE_LIMITS_RATE:", "\"many\" is no integer");
    assert_eq!(mistakes.len(), 7, "{mistakes:#?}");
}

#[test]
fn syntax_errors_have_lines_too() {
    let mistakes = read("data = \"x\"\nlisten = [\n", &[]).unwrap_err();
    assert!(mistakes[0].starts_with("ringlake.toml:"), "{mistakes:?}");
}

#[test]
fn exports_are_checked_whole() {
    let file = "\
[[exports]]
name = \"a\"
cron = \"every day\"
report = \"call-cost\"

[[exports]]
name = \"a\"
cron = \"0 6 * * *\"
";
    let mistakes = read(file, &[]).unwrap_err();
    assert!(
        mistakes.iter().any(|m| m.starts_with("ringlake.toml:3: export a: cron")),
        "{mistakes:?}"
    );
    assert!(mistakes.contains(&"ringlake.toml:7: two exports are named \"a\"".to_owned()));
    assert!(mistakes.iter().any(|m| m.starts_with("ringlake.toml:6: an export needs exactly one")));
}

#[test]
fn kafka_options_come_from_the_environment() {
    let variables = [
        ("RINGLAKE_LOG_KIND", "kafka"),
        ("RINGLAKE_LOG_KAFKA_BROKERS", "b:9092"),
        ("RINGLAKE_LOG_KAFKA_OPTIONS_SASL_PASSWORD", "s\"1"),
    ];
    let config = read("", &variables).unwrap();
    assert_eq!(config.log.kafka.options["sasl.password"].0, "s\"1");
}

#[test]
fn kafka_needs_brokers() {
    let mistakes = read("[log]\nkind = \"kafka\"\n", &[]).unwrap_err();
    assert!(mistakes[0].contains("no brokers are named"), "{mistakes:?}");
}
