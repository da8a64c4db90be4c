//! Where the tables lie: a folder, or a place in an object store, and the store that reaches it.
//!
//! A folder goes through [`DurableStore`]; other schemes through `object_store` as it is, if the
//! build has the feature for it.

use std::collections::HashMap;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    DynObjectStore, ObjectStore, ObjectStoreExt, ObjectStoreScheme, PutMode, PutPayload,
};
use url::Url;

use crate::error::SinkError;
use crate::store::DurableStore;

/// The place below which each table has its folder.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    /// Ends with a slash.
    url: Url,
    path: Path,
    store: Arc<DynObjectStore>,
    durable: Option<DurableStore>,
}

impl Root {
    /// `location` is a path or a URL; a folder is made if it is missing.
    pub fn open(location: &str, options: &HashMap<String, String>) -> Result<Self, SinkError> {
        match Url::parse(location) {
            // A one-letter scheme is a Windows drive.
            Ok(url) if url.scheme().len() > 1 && url.scheme() != "file" => {
                Self::remote(url, options)
            }
            Ok(url) if url.scheme() == "file" => {
                let path = url.to_file_path().map_err(|()| bad(location, "not a local path"))?;
                Self::local(&path)
            }
            _ => Self::local(FsPath::new(location)),
        }
    }

    fn local(folder: &FsPath) -> Result<Self, SinkError> {
        let shown = folder.display().to_string();
        let absolute: PathBuf = std::path::absolute(folder).map_err(|e| bad(&shown, e))?;
        let durable = DurableStore::open(&absolute).map_err(|e| bad(&shown, e))?;
        // Symbolic links are resolved once, so that every table sees one spelling of its place.
        let absolute = absolute.canonicalize().map_err(|e| bad(&shown, e))?;
        let url = Url::from_directory_path(&absolute)
            .map_err(|()| bad(&shown, "not an absolute path"))?;
        let store = Arc::new(durable.clone());
        let mut root = Self::with_store(url, store)?;
        root.durable = Some(durable);
        Ok(root)
    }

    fn remote(url: Url, options: &HashMap<String, String>) -> Result<Self, SinkError> {
        let (scheme, _) =
            ObjectStoreScheme::parse(&url).map_err(|e| bad(url.as_str(), Box::new(e)))?;
        let (feature, built) = match scheme {
            ObjectStoreScheme::GoogleCloudStorage => ("gcs", cfg!(feature = "gcs")),
            ObjectStoreScheme::MicrosoftAzure => ("azure", cfg!(feature = "azure")),
            ObjectStoreScheme::AmazonS3 | ObjectStoreScheme::Memory => ("", true),
            _ => ("", false),
        };
        if !built {
            return Err(SinkError::Feature { scheme: url.scheme().to_owned(), feature });
        }
        let (store, _) = object_store::parse_url_opts(&url, options)
            .map_err(|e| bad(url.as_str(), Box::new(e)))?;
        Self::with_store(url, Arc::from(store))
    }

    /// `store` is rooted where the URL's path begins.
    pub(crate) fn with_store(mut url: Url, store: Arc<DynObjectStore>) -> Result<Self, SinkError> {
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let (_, path) =
            ObjectStoreScheme::parse(&url).map_err(|e| bad(url.as_str(), Box::new(e)))?;
        Ok(Self { url, path, store, durable: None })
    }

    /// The same place through another store; tests put stores between that fail.
    #[cfg(test)]
    pub(crate) fn through(
        mut self,
        wrap: impl FnOnce(Arc<DynObjectStore>) -> Arc<DynObjectStore>,
    ) -> Self {
        self.store = wrap(self.store);
        self
    }

    /// The log store of one table, its paths relative to the table's folder.
    pub fn log_store(&self, table: &'static str) -> Result<LogStoreRef, SinkError> {
        let url = self.url.join(&format!("{table}/")).map_err(|e| bad(self.url.as_str(), e))?;
        let store = PrefixStore::new(Arc::clone(&self.store), self.path.clone().join(table));
        let config = StorageConfig::default();
        Ok(default_logstore(Arc::new(store), Arc::clone(&self.store), &url, &config))
    }

    pub fn store(&self) -> Arc<DynObjectStore> {
        Arc::clone(&self.store)
    }

    /// A path below the root, as the store takes it.
    pub fn path(&self, below: &str) -> Path {
        below.split('/').fold(self.path.clone(), |path, name| path.join(name))
    }

    /// Makes durable what a killed predecessor wrote to the table's log but may not have synced.
    pub async fn settle(&self, table: &'static str) -> Result<(), SinkError> {
        let Some(durable) = &self.durable else { return Ok(()) };
        let log = self.path.clone().join(table).join("_delta_log");
        durable.settle(&log).await.map_err(SinkError::file(table, &log, "synced"))
    }

    /// Fails once the disk has failed an fsync: what we see may not be what is there.
    pub fn is_sound(&self) -> Result<(), SinkError> {
        match &self.durable {
            Some(durable) if durable.failed() => {
                Err(SinkError::Disk { location: self.url.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// Two creations of one name: the second must fail, or commits would overwrite each other.
    pub async fn probe(&self) -> Result<(), SinkError> {
        let name = self.path.clone().join(format!(".ringlake-probe-{}", uuid::Uuid::new_v4()));
        let create = || {
            self.store.put_opts(&name, PutPayload::from_static(b"probe"), PutMode::Create.into())
        };
        create().await.map_err(|e| bad(self.url.as_str(), Box::new(e)))?;
        let second = create().await;
        let _ = self.store.delete(&name).await;
        match second {
            Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            _ => Err(SinkError::NotExclusive { location: self.url.to_string() }),
        }
    }

    #[cfg(test)]
    pub(crate) fn durable(&self) -> Option<&DurableStore> {
        self.durable.as_ref()
    }
}

fn bad(location: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> SinkError {
    SinkError::Location { location: location.to_owned(), source: source.into() }
}
