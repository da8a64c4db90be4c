//! `RINGLAKE_…` variables as a layer of settings.
//!
//! The names follow from the keys of `config/default.toml`: `[flush] max_bytes` is
//! `RINGLAKE_FLUSH_MAX_BYTES`. No list of names is kept here, and none must be.

use toml::Table;
use toml::Value;

use super::Mistake;

const PREFIX: &str = "RINGLAKE_";
const KAFKA_OPTIONS: &str = "RINGLAKE_LOG_KAFKA_OPTIONS_";
/// Options of Kafka that may be given as a file instead: the option's name, then this.
const FILE: &str = "_FILE";
const SECRETS: &[&str] = &["PASSWORD", "SECRET"];
/// Variables that are no settings: flags of the command line read them themselves.
const NOT_SETTINGS: &[&str] = &[
    "RINGLAKE_CONFIG",
    "RINGLAKE_LOG_FILTER",
    "RINGLAKE_FAILPOINT",
    "RINGLAKE_MUTANT",
    "RINGLAKE_WITNESS",
];
/// A system's token, in place of the one in the data folder: `RINGLAKE_TOKEN_` and its name.
pub const TOKEN: &str = "RINGLAKE_TOKEN_";
/// The secret with which a system's vendor signs its requests: `RINGLAKE_SECRET_` and its name.
pub const SECRET: &str = "RINGLAKE_SECRET_";

/// What the environment says, as TOML text with one setting a line, and the variable of each line.
pub struct Environment {
    pub text: String,
    pub variables: Vec<String>,
    /// Variables that look like settings and are none.
    pub unknown: Vec<String>,
}

/// Reads the variables that are settings of `defaults`.
pub fn read(
    defaults: &Table,
    variables: impl Iterator<Item = (String, String)>,
    mistakes: &mut Vec<Mistake>,
) -> Environment {
    let mut known = Vec::new();
    leaves(defaults, &mut Vec::new(), &mut known);
    let mut environment =
        Environment { text: String::new(), variables: Vec::new(), unknown: Vec::new() };
    let mut sorted: Vec<(String, String)> =
        variables.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    sorted.sort();
    for (name, value) in sorted {
        if let Some(option) = name.strip_prefix(KAFKA_OPTIONS) {
            match from_file(option, value) {
                Ok((option, value)) => {
                    let option = option.to_ascii_lowercase().replace('_', ".");
                    let path = ["log", "kafka", "options", &option].map(str::to_owned);
                    environment.push(&path, &Value::String(value), name);
                }
                Err(message) => mistakes.push(Mistake { at: name, message }),
            }
        } else if let Some((path, default)) = known.iter().find(|(path, _)| variable(path) == name)
        {
            match typed(&value, default) {
                Some(value) => environment.push(path, &value, name),
                None => mistakes.push(Mistake {
                    at: name,
                    message: format!("{value:?} is no {}", default.type_str()),
                }),
            }
        } else if !NOT_SETTINGS.contains(&name.as_str())
            && ![TOKEN, SECRET].iter().any(|prefix| name.starts_with(prefix))
        {
            environment.unknown.push(name);
        }
    }
    environment
}

impl Environment {
    fn push(&mut self, path: &[String], value: &Value, variable: String) {
        let keys: Vec<String> = path.iter().map(|key| format!("{key:?}")).collect();
        self.text.push_str(&format!("{} = {value}\n", keys.join(".")));
        self.variables.push(variable);
    }
}

/// `SASL_PASSWORD_FILE` and a path as `SASL_PASSWORD` and what the file holds; others as they are.
fn from_file(option: &str, value: String) -> Result<(&str, String), String> {
    let secret = option
        .strip_suffix(FILE)
        .filter(|option| SECRETS.iter().any(|secret| option.ends_with(secret)));
    let Some(option) = secret else { return Ok((option, value)) };
    match std::fs::read_to_string(&value) {
        Ok(text) => Ok((option, text.trim_end_matches(['\r', '\n']).to_owned())),
        Err(error) => Err(format!("cannot read {value}: {error}")),
    }
}

/// `["flush", "interval"]` as `RINGLAKE_FLUSH_INTERVAL`.
fn variable(path: &[String]) -> String {
    format!("{PREFIX}{}", path.join("_").to_ascii_uppercase())
}

fn leaves(table: &Table, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, Value)>) {
    for (key, value) in table {
        path.push(key.clone());
        match value {
            Value::Table(inner) => leaves(inner, path, found),
            leaf => found.push((path.clone(), leaf.clone())),
        }
        path.pop();
    }
}

/// The text as a value of the default's type.
fn typed(text: &str, default: &Value) -> Option<Value> {
    Some(match default {
        Value::Integer(_) => Value::Integer(text.trim().parse().ok()?),
        Value::Boolean(_) => Value::Boolean(text.trim().parse().ok()?),
        Value::Float(_) => Value::Float(text.trim().parse().ok()?),
        _ => Value::String(text.to_owned()),
    })
}
