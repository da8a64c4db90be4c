//! Who may send: one secret token per system.
//!
//! Two of the four vendors sign nothing and one can send no header, so a random 256-bit token, as
//! bearer or at the end of the path, is what tells their requests from anybody's. The tokens lie in
//! `<data>/tokens.json`, readable by its owner alone. A rotation keeps the old tokens valid for a while,
//! so that the vendor's settings can be changed without losing an event; a door that is running sees
//! a rotation by another process within a second. Rotating twice by mistake takes nothing from the
//! token that the vendor still sends.
//!
//! A token is compared by its SHA-256 digest and in constant time. It must never reach a log line:
//! nothing here implements `Debug` with a token in it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRngCore;
use rand::rngs::OsRng;
use ringlake_transform::faults::{self, Side};
use ringlake_transform::{Micros, SYSTEMS};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::error::LogError;
use crate::lock::sync_folder;
use crate::log::now;

/// The name of the file in the data folder.
pub const TOKENS_FILE: &str = "tokens.json";
/// How often the file is looked at for changes.
const LOOK: Duration = Duration::from_secs(1);

/// One system's entry in the file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    token: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    previous: Vec<Previous>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Previous {
    token: String,
    /// Microseconds since 1970.
    valid_until: Micros,
}

type Entries = BTreeMap<String, Entry>;

/// Tells one token from another without being it: the beginning of its digest.
pub type TokenId = u64;

/// The tokens of all systems. Shared by the door and, through the file, with `ringlake tokens`.
pub struct Tokens {
    path: PathBuf,
    /// Tokens given from outside, such as the environment: they stand instead of the file's. Several
    /// are parted by commas, the one to be shown first.
    given: BTreeMap<String, String>,
    valid: RwLock<BTreeMap<String, Vec<Valid>>>,
    looked: Mutex<Looked>,
}

/// What a presented token is compared with.
struct Valid {
    digest: [u8; 32],
    until: Micros,
}

/// What changes when the file does. Its time alone does not: a clock of file times may be coarse.
type Stamp = (SystemTime, u64, u64);

struct Looked {
    at: Instant,
    file: Option<Stamp>,
}

impl Tokens {
    /// Reads the file, and first adds a new token for each system that has none there. `given` holds
    /// tokens from outside by the system's name.
    pub fn load_or_create(
        path: impl Into<PathBuf>,
        given: BTreeMap<String, String>,
    ) -> Result<Self, LogError> {
        let path = path.into();
        let mut entries = read(&path)?;
        let missing = SYSTEMS.iter().map(|system| system.name());
        let missing: Vec<&str> = missing
            .filter(|name| !entries.contains_key(*name) && !given.contains_key(*name))
            .collect();
        for name in &missing {
            entries.insert((*name).to_owned(), Entry { token: random()?, previous: Vec::new() });
        }
        if !missing.is_empty() {
            write(&path, &entries)?;
        }
        let looked = Looked { at: Instant::now(), file: stamp(&path) };
        let valid = RwLock::new(valid(&entries, &given));
        Ok(Self { path, given, valid, looked: Mutex::new(looked) })
    }

    /// The token a vendor is to send now.
    pub fn token(&self, system: &str) -> Result<Option<String>, LogError> {
        if let Some(token) = self.given.get(system) {
            return Ok(several(token).next().map(str::to_owned));
        }
        Ok(read(&self.path)?.remove(system).map(|entry| entry.token))
    }

    /// Until when each older token of a system is valid still, in microseconds since 1970. Those from
    /// outside have no end: whoever gives them takes them away.
    pub fn still_valid(&self, system: &str) -> Result<Vec<Option<Micros>>, LogError> {
        if let Some(token) = self.given.get(system) {
            return Ok(several(token).skip(1).map(|_| None).collect());
        }
        let entry = read(&self.path)?.remove(system);
        let now = now();
        let ends = entry.iter().flat_map(|entry| &entry.previous).map(|old| old.valid_until);
        Ok(ends.filter(|end| *end > now).map(Some).collect())
    }

    /// Makes a new token and returns it. Older ones stay valid for at most `grace` from now.
    pub fn rotate(&self, system: &str, grace: Duration) -> Result<String, LogError> {
        if self.given.contains_key(system) {
            return Err(LogError::Setting {
                name: format!("the token of {system}"),
                reason:
                    "it is given by the environment; put the new one there, then a comma and the \
                         old one for as long as both are to be valid"
                        .to_owned(),
            });
        }
        let mut entries = read(&self.path)?;
        let token = random()?;
        let now = now();
        let end = now.saturating_add(Micros::try_from(grace.as_micros()).unwrap_or(Micros::MAX));
        let mut previous = Vec::new();
        if let Some(old) = entries.remove(system) {
            previous.push(Previous { token: old.token, valid_until: end });
            let older = old.previous.into_iter();
            previous.extend(older.map(|p| Previous { valid_until: p.valid_until.min(end), ..p }));
            previous.retain(|previous| previous.valid_until > now);
        }
        entries.insert(system.to_owned(), Entry { token: token.clone(), previous });
        write(&self.path, &entries)?;
        self.replace(&entries);
        Ok(token)
    }

    /// Whether this token may send as this system. Takes the same time for any token.
    pub fn verify(&self, system: &str, presented: &str) -> bool {
        self.find(system, presented).is_some()
    }

    /// Which of this system's valid tokens this is. Takes the same time for any token.
    pub fn find(&self, system: &str, presented: &str) -> Option<TokenId> {
        self.look_for_changes();
        let digest = digest(presented);
        let now = now();
        let all = self.valid.read().unwrap_or_else(PoisonError::into_inner);
        let mut matches = Choice::from(0);
        for known in all.get(system).into_iter().flatten() {
            matches |= known.digest.ct_eq(&digest) & Choice::from(u8::from(now < known.until));
        }
        let [a, b, c, d, e, f, g, h, ..] = digest;
        bool::from(matches).then(|| TokenId::from_le_bytes([a, b, c, d, e, f, g, h]))
    }

    /// Reads the file again when it has changed. A file that cannot be read changes nothing: the
    /// tokens known so far stay valid.
    fn look_for_changes(&self) {
        let Ok(mut looked) = self.looked.try_lock() else { return };
        if looked.at.elapsed() < LOOK {
            return;
        }
        looked.at = Instant::now();
        let file = stamp(&self.path);
        if file == looked.file {
            return;
        }
        looked.file = file;
        match read(&self.path) {
            Ok(entries) if !entries.is_empty() => self.replace(&entries),
            Ok(_) => tracing::warn!(path = %self.path.display(), "the file of tokens is gone"),
            Err(error) => tracing::warn!(%error, "the tokens stay as they were"),
        }
    }

    fn replace(&self, entries: &Entries) {
        let valid = valid(entries, &self.given);
        *self.valid.write().unwrap_or_else(PoisonError::into_inner) = valid;
    }
}

fn valid(entries: &Entries, given: &BTreeMap<String, String>) -> BTreeMap<String, Vec<Valid>> {
    let forever = |token: &str| Valid { digest: digest(token), until: Micros::MAX };
    let of_entry = |entry: &Entry| {
        let previous = entry.previous.iter();
        let previous =
            previous.map(|old| Valid { digest: digest(&old.token), until: old.valid_until });
        std::iter::once(forever(&entry.token)).chain(previous).collect()
    };
    let mut all: BTreeMap<String, Vec<Valid>> =
        entries.iter().map(|(system, entry)| (system.clone(), of_entry(entry))).collect();
    for (system, token) in given {
        all.insert(system.clone(), several(token).map(forever).collect());
    }
    all
}

fn several(tokens: &str) -> impl Iterator<Item = &str> {
    tokens.split(',').map(str::trim).filter(|token| !token.is_empty())
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn random() -> Result<String, LogError> {
    let mut bytes = [0; 32];
    OsRng.try_fill_bytes(&mut bytes).map_err(|error| {
        LogError::storage("the random numbers of the system", std::io::Error::other(error))
    })?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The file's content; nothing where there is no file yet.
fn read(path: &Path) -> Result<Entries, LogError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Entries::new()),
        Err(error) => return Err(LogError::storage(path, error)),
    };
    serde_json::from_slice(&text)
        .map_err(|error| LogError::Tokens { path: path.to_owned(), source: Arc::new(error) })
}

/// Replaces the file as a whole, durably, so that no crash leaves half of one.
fn write(path: &Path, entries: &Entries) -> Result<(), LogError> {
    let fail = |error| LogError::storage(path, error);
    let text = serde_json::to_vec_pretty(entries)
        .map_err(|error| LogError::Tokens { path: path.to_owned(), source: Arc::new(error) })?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let new = path.with_extension("json.new");
    let mut file = private(&new).map_err(fail)?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(fail)?;
    faults::pass("ingest:tokens", Side::Before);
    fs::rename(&new, path).and_then(|()| sync_folder(folder)).map_err(fail)?;
    faults::pass("ingest:tokens", Side::After);
    Ok(())
}

/// A new file that only its owner may read.
fn private(path: &Path) -> std::io::Result<File> {
    // One left by a crash may have other rights.
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    #[cfg(unix)]
    let file = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let file = 0;
    Some((metadata.modified().ok()?, metadata.len(), file))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(24 * 3600);

    fn load(path: &Path) -> Tokens {
        Tokens::load_or_create(path, BTreeMap::new()).unwrap()
    }

    #[test]
    fn each_system_gets_a_token_of_its_own_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(TOKENS_FILE);
        let tokens = load(&path);
        let all: Vec<String> =
            SYSTEMS.iter().map(|s| tokens.token(s.name()).unwrap().unwrap()).collect();
        for (system, token) in SYSTEMS.iter().zip(&all) {
            assert_eq!(token.len(), 43);
            assert!(tokens.verify(system.name(), token));
            assert_eq!(load(&path).token(system.name()).unwrap().as_ref(), Some(token));
        }
        assert!(!tokens.verify(SYSTEMS[0].name(), &all[1]));
        assert!(!tokens.verify(SYSTEMS[0].name(), ""));
        assert!(!tokens.verify("unknown", &all[0]));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_rotation_keeps_the_old_token_for_its_grace() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = load(&dir.path().join(TOKENS_FILE));
        let old = tokens.token("vonage").unwrap().unwrap();
        let new = tokens.rotate("vonage", GRACE).unwrap();
        assert!(tokens.verify("vonage", &old) && tokens.verify("vonage", &new));
        assert_ne!(tokens.find("vonage", &old), tokens.find("vonage", &new));
        let third = tokens.rotate("vonage", GRACE).unwrap();
        assert!([&old, &new, &third].iter().all(|token| tokens.verify("vonage", token)));
        let ends = tokens.still_valid("vonage").unwrap();
        assert_eq!(ends.len(), 2);
        let grace = i64::try_from(GRACE.as_micros()).unwrap();
        assert!(ends.iter().all(|end| (now() + grace - end.unwrap()).abs() < 60_000_000));
        let newest = tokens.rotate("vonage", Duration::ZERO).unwrap();
        assert!(
            tokens.still_valid("vonage").unwrap().is_empty() && !tokens.verify("vonage", &third)
        );
        assert!(!tokens.verify("vonage", &old) && !tokens.verify("vonage", &new));
        assert!(tokens.verify("vonage", &newest));
    }

    #[test]
    fn a_rotation_by_another_process_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(TOKENS_FILE);
        let (running, other) = (load(&path), load(&path));
        let new = other.rotate("voipnow", Duration::ZERO).unwrap();
        running.looked.lock().unwrap().at -= LOOK * 2;
        assert!(running.verify("voipnow", &new));

        fs::write(&path, "no json").unwrap();
        running.looked.lock().unwrap().at -= LOOK * 2;
        assert!(running.verify("voipnow", &new), "a broken file changes nothing");
        let Err(error) = Tokens::load_or_create(&path, BTreeMap::new()) else { panic!() };
        assert_eq!(error.to_string(), format!("cannot read the tokens in {}", path.display()));
    }

    #[test]
    fn given_tokens_stand_instead_of_the_files() {
        let dir = tempfile::tempdir().unwrap();
        let given = [("freshcaller".to_owned(), "from-outside".to_owned())].into();
        let tokens = Tokens::load_or_create(dir.path().join(TOKENS_FILE), given).unwrap();
        assert!(tokens.verify("freshcaller", "from-outside"));
        assert_eq!(tokens.token("freshcaller").unwrap().as_deref(), Some("from-outside"));
        assert!(tokens.rotate("freshcaller", GRACE).is_err());
        assert!(!tokens.verify("vonage", "from-outside"));

        let given = [("freshcaller".to_owned(), "new, from-outside,".to_owned())].into();
        let tokens = Tokens::load_or_create(dir.path().join(TOKENS_FILE), given).unwrap();
        assert!(
            tokens.verify("freshcaller", "from-outside") && tokens.verify("freshcaller", "new")
        );
        assert_eq!(tokens.token("freshcaller").unwrap().as_deref(), Some("new"));
        assert_eq!(tokens.still_valid("freshcaller").unwrap(), [None]);
        assert!(
            !tokens.verify("freshcaller", "")
                && !tokens.verify("freshcaller", "new, from-outside,")
        );
    }
}
