//! From settings to the parts of the crates. The only place that knows both.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use prometheus::Registry;
use ringlake_ingest::lock::make_folder;
use ringlake_ingest::log::kafka::{KafkaReader, KafkaSettings, Membership};
use ringlake_ingest::log::{EmbeddedLog, EmbeddedSettings, KafkaLog};
use ringlake_ingest::tokens::TOKENS_FILE;
use ringlake_ingest::{DataLock, DoorSettings, Log, LogReader, Tokens};
use ringlake_queries::saved::Saved;
use ringlake_queries::tariffs::Tariffs;
use ringlake_queries::{Engine, EngineSettings};
use ringlake_sinks::{Sink, SinkSettings};
use ringlake_transform::SYSTEMS;
use url::Url;

use crate::config::{Config, LogKind, Mistake, SECRET_VARIABLE, TOKEN_VARIABLE};
use crate::error::Error;

/// Both sides of the log of a process that receives and writes.
pub struct BothSides {
    pub log: Arc<dyn Log>,
    pub reader: Box<dyn LogReader>,
}

/// Opens the log on both sides. The embedded one locks the data folder.
pub async fn log(config: &Config) -> Result<BothSides, Error> {
    match config.log.kind {
        LogKind::Embedded => {
            let log = Arc::new(embedded(config)?);
            let reader = Box::new(log.reader());
            Ok(BothSides { log, reader })
        }
        LogKind::Kafka => {
            let log = Arc::new(KafkaLog::connect(kafka(config)).await?);
            let reader = kafka_reader(config, Membership::Group).await?;
            Ok(BothSides { log, reader })
        }
    }
}

pub fn embedded(config: &Config) -> Result<EmbeddedLog, Error> {
    let lock = Arc::new(DataLock::acquire(&config.data)?);
    let settings = EmbeddedSettings {
        keep: config.log.keep.0,
        max_event_bytes: bytes(config.limits.max_event.0),
        ..EmbeddedSettings::default()
    };
    Ok(EmbeddedLog::open(&lock, settings)?)
}

pub async fn kafka_log(config: &Config) -> Result<Arc<dyn Log>, Error> {
    Ok(Arc::new(KafkaLog::connect(kafka(config)).await?))
}

pub async fn kafka_reader(
    config: &Config,
    membership: Membership,
) -> Result<Box<dyn LogReader>, Error> {
    Ok(Box::new(KafkaReader::connect(kafka(config), membership).await?))
}

fn kafka(config: &Config) -> KafkaSettings {
    let kafka = &config.log.kafka;
    KafkaSettings {
        brokers: kafka.brokers.clone(),
        topic_prefix: kafka.topic_prefix.clone(),
        partitions: i32::from(kafka.partitions.max(1)),
        replication: if kafka.replicas == 0 { -1 } else { i32::from(kafka.replicas) },
        group: kafka.group.clone(),
        max_event_bytes: bytes(config.limits.max_event.0),
        options: kafka.options.clone(),
        ..KafkaSettings::default()
    }
}

pub fn door(config: &Config) -> DoorSettings {
    DoorSettings {
        listen: config.listen.to_string(),
        max_body_bytes: bytes(config.limits.max_body.0),
        max_event_bytes: bytes(config.limits.max_event.0),
        requests_per_second: config.limits.rate,
        // Below the 10 s in which a stop has to be done.
        drain_timeout: std::time::Duration::from_secs(5),
        ..DoorSettings::default()
    }
}

pub async fn sink(config: &Config, registry: Option<Registry>) -> Result<Sink, Error> {
    if config.tables.is_empty() {
        make_folder(&config.data).map_err(Error::file("make", &config.data))?;
    }
    let settings = SinkSettings { registry, ..SinkSettings::new(config.tables_root()) };
    Ok(Sink::open(settings).await?)
}

pub async fn engine(config: &Config) -> Result<Engine, Error> {
    let settings = EngineSettings {
        memory_limit: bytes(config.memory_limit.0),
        timeout: config.query_timeout.0,
        account_currencies: config.currencies(),
        account_countries: config.countries(),
        tariffs: Arc::new(tariffs(config)?),
        ..EngineSettings::new(tables_url(&config.tables_root())?)
    };
    Ok(Engine::open(settings).await?)
}

/// Where the tariffs are, if there are any.
pub fn tariffs_file(config: &Config) -> Option<PathBuf> {
    const FILE: &str = "tariffs.toml";
    match &config.tariffs {
        named if named.as_os_str().is_empty() => {
            Some(FILE.into()).filter(|path: &PathBuf| path.exists())
        }
        named => Some(named.clone()),
    }
}

/// The tariffs; each mistake in them is one of the settings.
pub fn tariffs(config: &Config) -> Result<Tariffs, Error> {
    let Some(path) = tariffs_file(config) else { return Ok(Tariffs::default()) };
    let text = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    Tariffs::read(&text).map_err(|mistakes| {
        let at = |line: usize| format!("{}:{line}", path.display());
        let mistakes = mistakes.into_iter();
        Error::Tariffs(
            mistakes.map(|wrong| Mistake { at: at(wrong.line), message: wrong.message }).collect(),
        )
    })
}

/// The user's own reports, by name; a folder that is not there has none.
pub fn saved_reports(config: &Config) -> Result<Vec<Saved>, Error> {
    let folder = &config.reports;
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::file("read", folder)(error)),
    };
    let mut saved = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::file("read", folder))?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).map(str::to_owned);
        if let (Some(name), Some("sql")) = (name, path.extension().and_then(|end| end.to_str())) {
            let text = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
            saved.push(Saved::read(&name, text));
        }
    }
    saved.sort_by(|one, other| one.name().cmp(other.name()));
    Ok(saved)
}

/// A folder, which need not exist, or a URL as it is.
fn tables_url(root: &str) -> Result<Url, Error> {
    if let Some(url) = Url::parse(root).ok().filter(|_| root.contains("://")) {
        return Ok(url);
    }
    let path = std::path::absolute(root).map_err(Error::file("find", root))?;
    Url::from_directory_path(&path)
        .map_err(|()| Error::usage(format!("tables cannot lie at {}", path.display())))
}

/// The tokens of the data folder, made where they are missing, and those of the environment.
pub fn tokens(config: &Config) -> Result<Tokens, Error> {
    make_folder(&config.data).map_err(Error::file("make", &config.data))?;
    let path = config.data.join(TOKENS_FILE);
    Ok(Tokens::load_or_create(path, given(TOKEN_VARIABLE, |name| std::env::var(name).ok()))?)
}

/// Whether the data folder has tokens already.
pub fn has_tokens(config: &Config) -> bool {
    config.data.join(TOKENS_FILE).exists()
}

/// The secrets of vendors that sign their requests; the door then asks for the signature.
pub fn secrets() -> BTreeMap<String, String> {
    given(SECRET_VARIABLE, |name| std::env::var(name).ok())
}

/// What a variable of this prefix and a system's name gives, by that name.
fn given(prefix: &str, variable: impl Fn(&str) -> Option<String>) -> BTreeMap<String, String> {
    let given = SYSTEMS.iter().filter_map(|system| {
        let name = format!("{prefix}{}", system.name().to_ascii_uppercase());
        let value = variable(&name).filter(|value| !value.trim().is_empty())?;
        Some((system.name().to_owned(), value.trim().to_owned()))
    });
    given.collect()
}

fn bytes(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}
