//! From settings to the parts of the crates. The only place that knows both.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prometheus::Registry;
use ringlake_ingest::lock::make_folder;
use ringlake_ingest::log::kafka::{KafkaReader, KafkaSettings, Membership};
use ringlake_ingest::log::{EmbeddedLog, EmbeddedSettings, KafkaLog};
use ringlake_ingest::tokens::TOKENS_FILE;
use ringlake_ingest::{DataLock, DoorSettings, Log, LogReader, Tls, Tokens};
use ringlake_queries::pg::{PgServer, PgSettings};
use ringlake_queries::saved::Saved;
use ringlake_queries::tariffs::Tariffs;
use ringlake_queries::{AsOf, Engine, EngineSettings};
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

pub fn kafka(config: &Config) -> KafkaSettings {
    let kafka = &config.log.kafka;
    KafkaSettings {
        brokers: kafka.brokers.clone(),
        topic_prefix: kafka.topic_prefix.clone(),
        partitions: i32::from(kafka.partitions.max(1)),
        replication: if kafka.replicas == 0 { -1 } else { i32::from(kafka.replicas) },
        group: kafka.group.clone(),
        max_event_bytes: bytes(config.limits.max_event.0),
        options: kafka
            .options
            .iter()
            .map(|(name, value)| (name.clone(), value.0.clone()))
            .collect(),
        ..KafkaSettings::default()
    }
}

pub fn door(config: &Config) -> DoorSettings {
    DoorSettings {
        listen: config.listen.to_string(),
        max_body_bytes: bytes(config.limits.max_body.0),
        max_event_bytes: bytes(config.limits.max_event.0),
        requests_per_second: config.limits.rate,
        max_connections: connections(config.limits.connections),
        // Well below the 10 s in which a stop has to be done.
        drain_timeout: std::time::Duration::from_secs(3),
        ..DoorSettings::default()
    }
}

/// Asks the system for as many open files as it gives, and takes no more connections than they are
/// enough for: the tables and the log need some too.
fn connections(wanted: u32) -> usize {
    const OURS: u64 = 512;
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1_024);
    let enough = files.saturating_sub(OURS).max(files / 2);
    if enough < u64::from(wanted) {
        tracing::warn!(
            files,
            connections = enough,
            "fewer connections than limits.connections; raise the limit of open files (ulimit -n)"
        );
    }
    usize::try_from(enough.min(u64::from(wanted))).unwrap_or(usize::MAX)
}

/// Has the system refuse this process more memory than a query may come to need with all that its limit
/// does not count. A text function can ask for a terabyte at once; the process then ends, and no other.
pub fn limit_memory(config: &Config) {
    const BESIDE: u64 = 8 << 30;
    let limit = config.memory_limit.0.saturating_mul(2).saturating_add(BESIDE);
    if let Ok((_, hard)) = rlimit::Resource::AS.get() {
        let _ = rlimit::Resource::AS.set(limit.min(hard), hard);
    }
}

/// The certificate, where one is set.
pub fn tls(config: &Config) -> Result<Option<Arc<Tls>>, Error> {
    if !config.tls.is_on() {
        return Ok(None);
    }
    Ok(Some(Arc::new(Tls::load(&config.tls.certificate, &config.tls.key)?)))
}

pub async fn sink(config: &Config, registry: Option<Registry>) -> Result<Sink, Error> {
    if config.tables.is_empty() {
        make_folder(&config.data).map_err(Error::file("make", &config.data))?;
    }
    Ok(Sink::open(SinkSettings { registry, ..sink_settings(config) }).await?)
}

/// Where the tables are written, and how that place is reached.
pub fn sink_settings(config: &Config) -> SinkSettings {
    let storage_options = config.stores().as_map();
    SinkSettings { storage_options, ..SinkSettings::new(config.tables_root()) }
}

pub async fn engine(config: &Config) -> Result<Engine, Error> {
    Ok(Engine::open(engine_settings(config)?).await?)
}

fn engine_settings(config: &Config) -> Result<EngineSettings, Error> {
    Ok(EngineSettings {
        memory_limit: bytes(config.memory_limit.0),
        timeout: config.query_timeout.0,
        account_currencies: config.currencies(),
        account_countries: config.countries(),
        tariffs: Arc::new(tariffs(config)?),
        calendars: Arc::new(config.calendars()),
        stores: config.stores(),
        as_of: as_of(config)?,
        ..EngineSettings::new(tables_url(&config.tables_root())?)
    })
}

fn as_of(config: &Config) -> Result<Option<AsOf>, Error> {
    let asked = config.as_of.as_deref().map(|text| AsOf::read(text, config.time_zone));
    asked.transpose().map_err(|error| Error::Question(Box::new(error)))
}

/// PostgreSQL's protocol, where the settings say.
pub async fn pg(config: &Config) -> Result<PgServer, Error> {
    const LISTEN: &str = "127.0.0.1:5433";
    let listen = Some(config.pg.listen.as_str()).filter(|at| !at.is_empty()).unwrap_or(LISTEN);
    let tls = tls(config)?.map(|tls| -> Arc<dyn Fn() -> _ + Send + Sync> {
        Arc::new(move || tls.acceptor_for(b"postgresql"))
    });
    let settings = PgSettings {
        listen: listen.parse().map_err(|_| Error::usage(format!("{listen:?} is no address")))?,
        user: config.pg.user.clone(),
        password: pg_password(config)?,
        max_connections: config.pg.connections,
        tls,
        engine: engine_settings(config)?,
    };
    Ok(PgServer::bind(settings).await?)
}

/// The password of `[pg]`: given, in the file that is named, or in the data folder's, which is made.
fn pg_password(config: &Config) -> Result<String, Error> {
    const FILE: &str = "pg-password";
    if !config.pg.password.0.is_empty() {
        return Ok(config.pg.password.0.clone());
    }
    let named = &config.pg.password_file;
    if named.as_os_str().is_empty() {
        make_folder(&config.data).map_err(Error::file("make", &config.data))?;
        let path = config.data.join(FILE);
        return secret_file(&path).map_err(Error::file("use", path));
    }
    let text = std::fs::read_to_string(named).map_err(Error::file("read", named))?;
    match text.trim() {
        "" => Err(Error::usage(format!("there is no password in {}", named.display()))),
        password => Ok(password.to_owned()),
    }
}

/// What is in this file; it is made, for nobody else to read, with something random if it is not there.
fn secret_file(path: &Path) -> std::io::Result<String> {
    use base64::Engine as _;
    let mut made = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    let secret =
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(rand::random::<[u8; 18]>());
    writeln!(made, "{secret}")?;
    made.as_file().sync_all()?;
    match made.persist_noclobber(path) {
        Ok(_) => Ok(secret),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
            Ok(std::fs::read_to_string(path)?.trim().to_owned())
        }
        Err(error) => Err(error.error),
    }
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
    let path = std::path::absolute(root).and_then(resolved).map_err(Error::file("find", root))?;
    Url::from_directory_path(&path)
        .map_err(|()| Error::usage(format!("tables cannot lie at {}", path.display())))
}

/// Without `..`, which a table's address must not have. The folder itself need not exist.
fn resolved(path: PathBuf) -> std::io::Result<PathBuf> {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Err(error), Some(folder), Some(name)) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok(resolved(folder.to_owned())?.join(name))
        }
        (found, _, _) => found,
    }
}

/// The tokens of the data folder, made where they are missing, and those of the environment.
pub fn tokens(config: &Config) -> Result<Tokens, Error> {
    make_folder(&config.data).map_err(Error::file("make", &config.data))?;
    let path = config.data.join(TOKENS_FILE);
    Ok(Tokens::load_or_create(path, given_tokens()?)?)
}

/// The tokens of the environment.
pub fn given_tokens() -> Result<BTreeMap<String, String>, Error> {
    given(TOKEN_VARIABLE)
}

/// Whether the data folder has tokens already.
pub fn has_tokens(config: &Config) -> bool {
    config.data.join(TOKENS_FILE).exists()
}

/// The secrets of vendors that sign their requests; the door then asks for the signature.
pub fn secrets() -> Result<BTreeMap<String, String>, Error> {
    given(SECRET_VARIABLE)
}

/// What a variable of this prefix and a system's name gives, by that name; or the file that the
/// variable names which ends in `_FILE`.
fn given(prefix: &str) -> Result<BTreeMap<String, String>, Error> {
    let mut given = BTreeMap::new();
    for system in SYSTEMS {
        let name = format!("{prefix}{}", system.name().to_ascii_uppercase());
        let value = match std::env::var_os(format!("{name}_FILE")).filter(|path| !path.is_empty()) {
            Some(path) => std::fs::read_to_string(&path).map_err(Error::file("read", path))?,
            None => std::env::var(&name).unwrap_or_default(),
        };
        if !value.trim().is_empty() {
            given.insert(system.name().to_owned(), value.trim().to_owned());
        }
    }
    Ok(given)
}

fn bytes(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}
