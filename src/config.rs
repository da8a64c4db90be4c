//! The settings: `config/default.toml`, then `ringlake.toml`, then `RINGLAKE_…`, then flags.
//!
//! Types here refuse unknown fields and wrong values; what spans several settings is checked in
//! [`Config::cross_check`]. No I/O but reading the file: whether a broker answers is for
//! `ringlake check` to try. Every mistake is reported at once, with its line.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ringlake_queries::StoreOptions;
use serde::Deserialize;
use toml::de::DeTable;

mod calendars;
mod environment;
mod exports;
mod layers;
mod units;

pub use calendars::Hours;
pub use environment::{SECRET as SECRET_VARIABLE, TOKEN as TOKEN_VARIABLE};
pub use exports::Export;
pub use units::{ByteSize, Plain, Span};

const DEFAULTS: &str = include_str!("../config/default.toml");
/// The file that is read when none is named, if it exists.
const FILE: &str = "ringlake.toml";

/// One wrong setting: where it stands, and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// `ringlake.toml:12`, or the name of a variable.
    pub at: String,
    pub message: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub data: PathBuf,
    pub tables: String,
    pub listen: SocketAddr,
    pub public_url: String,
    #[serde(deserialize_with = "from_text")]
    pub time_zone: chrono_tz::Tz,
    pub memory_limit: ByteSize,
    pub query_timeout: Span,
    pub tariffs: PathBuf,
    pub reports: PathBuf,
    pub log: Log,
    pub flush: Flush,
    pub limits: Limits,
    pub tls: Tls,
    pub pg: Pg,
    /// Options of the stores in which tables and exports lie.
    pub object_store: BTreeMap<String, Plain>,
    #[serde(default)]
    pub accounts: BTreeMap<String, Account>,
    #[serde(default)]
    pub calendars: BTreeMap<String, Hours>,
    #[serde(default)]
    pub exports: Vec<Export>,
    /// The state of the tables that is asked; a flag alone.
    #[serde(skip)]
    pub as_of: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub kind: LogKind,
    pub keep: Span,
    pub kafka: Kafka,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogKind {
    Embedded,
    Kafka,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    pub brokers: String,
    pub topic_prefix: String,
    pub group: String,
    pub partitions: u16,
    pub replicas: u16,
    pub options: BTreeMap<String, Plain>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flush {
    pub interval: Span,
    pub max_bytes: ByteSize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub max_body: ByteSize,
    pub max_event: ByteSize,
    pub rate: u32,
    pub connections: u32,
    pub columns: u16,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Tls {
    /// Whether the door is to speak TLS.
    pub fn is_on(&self) -> bool {
        !self.certificate.as_os_str().is_empty()
    }
}

/// PostgreSQL's protocol.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pg {
    #[serde(deserialize_with = "address")]
    pub listen: String,
    pub user: String,
    pub password: Plain,
    pub password_file: PathBuf,
    pub connections: usize,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    #[serde(default, deserialize_with = "currency")]
    pub currency: Option<String>,
    #[serde(default, deserialize_with = "country")]
    pub country: Option<String>,
}

/// Settings that flags may replace; the last layer.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    pub data: Option<PathBuf>,
    pub listen: Option<SocketAddr>,
    pub kafka: Option<String>,
    pub pg: Option<SocketAddr>,
    pub max_memory: Option<ByteSize>,
    pub timeout: Option<Span>,
    pub as_of: Option<String>,
}

/// The settings and where they came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    pub file: Option<PathBuf>,
    /// Variables that begin like settings and are none.
    pub unknown_variables: Vec<String>,
}

/// All that is wrong with the settings.
#[derive(Debug)]
pub enum LoadError {
    Unreadable(PathBuf, std::io::Error),
    Wrong(Vec<Mistake>),
}

/// Reads all layers.
pub fn load(
    file: Option<&Path>,
    variables: impl Iterator<Item = (String, String)>,
    flags: Flags,
) -> Result<Loaded, LoadError> {
    let path = match file {
        Some(named) => Some(named.to_owned()),
        None => Some(PathBuf::from(FILE)).filter(|path| path.exists()),
    };
    let text = match &path {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| LoadError::Unreadable(path.clone(), error))?,
        None => String::new(),
    };
    let name = path.as_deref().unwrap_or(Path::new(FILE)).display().to_string();
    let (config, unknown_variables) =
        merge(&name, &text, variables, flags).map_err(LoadError::Wrong)?;
    Ok(Loaded { config, file: path, unknown_variables })
}

/// The layers as one, from their texts.
fn merge(
    file_name: &str,
    file: &str,
    variables: impl Iterator<Item = (String, String)>,
    flags: Flags,
) -> Result<(Config, Vec<String>), Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let (defaults, broken) = DeTable::parse_recoverable(DEFAULTS);
    debug_assert!(broken.is_empty(), "config/default.toml does not parse");
    let defaults = defaults.into_inner();

    let table: toml::Table = toml::from_str(DEFAULTS).unwrap_or_default();
    let environment = environment::read(&table, variables, &mut mistakes);
    let lines = |line: usize| format!("{file_name}:{line}");
    let names = |line: usize| environment.variables.get(line - 1).cloned().unwrap_or_default();

    let with_file = layers::check::<Config>(&defaults, file, &lines, &mut mistakes);
    let base = with_file.as_ref().map_or(&defaults, |(_, merged)| merged);
    let with_all = layers::check::<Config>(base, &environment.text, &names, &mut mistakes);
    if let Some((config, _)) = &with_file {
        exports::check(&config.exports, file, &lines, &mut mistakes);
    }
    match with_all {
        Some((mut config, _)) if mistakes.is_empty() => {
            config.apply(flags);
            config.cross_check(file_name).map_err(|mistake| vec![mistake])?;
            Ok((config, environment.unknown))
        }
        _ => {
            mistakes.sort_by_key(Mistake::line);
            Err(mistakes)
        }
    }
}

impl Mistake {
    /// Its line; variables come after the file.
    fn line(&self) -> usize {
        self.at.rsplit_once(':').and_then(|(_, line)| line.parse().ok()).unwrap_or(usize::MAX)
    }
}

impl Config {
    fn apply(&mut self, flags: Flags) {
        if let Some(data) = flags.data {
            self.data = data;
        }
        if let Some(listen) = flags.listen {
            self.listen = listen;
        }
        if let Some(pg) = flags.pg {
            self.pg.listen = pg.to_string();
        }
        self.memory_limit = flags.max_memory.unwrap_or(self.memory_limit);
        self.query_timeout = flags.timeout.unwrap_or(self.query_timeout);
        self.as_of = flags.as_of;
        if let Some(brokers) = flags.kafka {
            self.log.kind = LogKind::Kafka;
            self.log.kafka.brokers = brokers;
        }
    }

    fn cross_check(&self, file_name: &str) -> Result<(), Mistake> {
        if self.log.kind == LogKind::Kafka && self.log.kafka.brokers.trim().is_empty() {
            return Err(Mistake {
                at: file_name.to_owned(),
                message: "the log is \"kafka\" but no brokers are named; set [log.kafka] brokers \
                          or give --kafka HOST:PORT"
                    .to_owned(),
            });
        }
        if let Some(name) = self.object_store.keys().find(|name| !StoreOptions::knows(name)) {
            return Err(Mistake {
                at: file_name.to_owned(),
                message: format!(
                    "[object_store] has no option {name:?}; it has aws_endpoint, aws_region, \
                     aws_access_key_id, aws_secret_access_key and the others of the crate object_store"
                ),
            });
        }
        if self.tls.is_on() == self.tls.key.as_os_str().is_empty() {
            return Err(Mistake {
                at: file_name.to_owned(),
                message: "[tls] needs both certificate and key, or neither".to_owned(),
            });
        }
        Ok(())
    }

    /// Where the tables lie.
    pub fn tables_root(&self) -> String {
        if self.tables.is_empty() {
            self.data.join("tables").display().to_string()
        } else {
            self.tables.clone()
        }
    }

    /// How object stores are reached: by `[object_store]`, and by the variables that their own tools read.
    pub fn stores(&self) -> StoreOptions {
        let told = self.object_store.iter().map(|(name, value)| (name.clone(), value.0.clone()));
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        StoreOptions::new(told, variables)
    }

    /// The door's address as vendors see it, without a slash at its end.
    pub fn public_url(&self) -> String {
        if self.public_url.is_empty() {
            format!("{}://{}", self.scheme(), self.listen)
        } else {
            self.public_url.trim_end_matches('/').to_owned()
        }
    }

    /// The configured country of each account that has one, upper case.
    pub fn countries(&self) -> BTreeMap<String, String> {
        self.accounts.iter().filter_map(|(id, a)| Some((id.clone(), a.country.clone()?))).collect()
    }

    /// What the door itself speaks.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_on() { "https" } else { "http" }
    }

    /// The configured currency of each account that has one, upper case.
    pub fn currencies(&self) -> BTreeMap<String, String> {
        let currency =
            |account: &Account| account.currency.as_ref().map(|c| c.to_ascii_uppercase());
        self.accounts.iter().filter_map(|(id, a)| Some((id.clone(), currency(a)?))).collect()
    }
}

/// An ISO 4217 code, in any case.
fn currency<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let code = ringlake_queries::currencies::code(&text);
    code.map(|code| Some(code.to_owned())).map_err(|error| {
        serde::de::Error::custom(format!("{error}; {}", error.hint().unwrap_or_default()))
    })
}

/// An ISO 3166 code of a country that has a calling code, in any case.
fn country<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let code = text.trim().to_ascii_uppercase();
    match ringlake_queries::calling_code(&code) {
        Some(_) => Ok(Some(code)),
        None => Err(serde::de::Error::custom(format!(
            "unknown country {text:?}; write two letters, as in \"DE\""
        ))),
    }
}

/// An address, or nothing.
fn address<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if !text.is_empty() && text.parse::<SocketAddr>().is_err() {
        let wrong = format!("{text:?} is no address; write it like \"127.0.0.1:5433\"");
        return Err(serde::de::Error::custom(wrong));
    }
    Ok(text)
}

/// A value that parses itself from text.
pub(crate) fn from_text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|error| serde::de::Error::custom(format!("{text:?}: {error}")))
}

#[cfg(test)]
mod tests;
