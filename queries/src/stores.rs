//! Object stores: by which URLs and options they are reached, for tables as for exports.
//!
//! Credentials come from the variables that each cloud's own tools read (`AWS_ACCESS_KEY_ID` …) and from
//! the settings, which go before them. They must never stand in a log or an error: only names are shown.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Once};

use deltalake_core::logstore::{
    LogStore, LogStoreFactory, ObjectStoreFactory, StorageConfig, default_logstore,
    logstore_factories, object_store_factories,
};
use deltalake_core::{DeltaResult, DeltaTableError};
use object_store::aws::AmazonS3ConfigKey;
use object_store::path::Path;
use object_store::{DynObjectStore, ObjectStore, ObjectStoreScheme};
use url::Url;

/// What begins the names of variables that are options as well.
const VARIABLES: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];
const SCHEMES: [&str; 7] = ["s3", "s3a", "gs", "az", "abfs", "abfss", "azure"];
/// Options under which an endpoint may be given.
const ENDPOINTS: [&str; 4] = ["aws_endpoint", "aws_endpoint_url", "endpoint", "endpoint_url"];
const ALLOW_HTTP: &str = "allow_http";
const AWS_ALLOW_HTTP: &str = "aws_allow_http";

/// Options of object stores by name, as the crate `object_store` names them, in lower case.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoreOptions(BTreeMap<String, String>);

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl StoreOptions {
    /// The options of the settings, then those of the environment that the settings do not give.
    pub fn new(
        told: impl IntoIterator<Item = (String, String)>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let is_option =
            |(name, _): &(String, String)| VARIABLES.iter().any(|start| name.starts_with(start));
        let variables = variables.into_iter().filter(is_option);
        let lower = |(name, value): (String, String)| (name.to_ascii_lowercase(), value);
        let mut options: BTreeMap<String, String> = variables.map(lower).collect();
        options.extend(told.into_iter().map(lower));
        // Whoever writes an endpoint with http:// means it.
        let mut endpoints = ENDPOINTS.iter().filter_map(|name| options.get(*name));
        if endpoints.any(|url| url.starts_with("http://")) && !options.contains_key(AWS_ALLOW_HTTP)
        {
            options.entry(ALLOW_HTTP.to_owned()).or_insert_with(|| "true".to_owned());
        }
        Self(options)
    }

    /// Whether an option of this name could mean something.
    pub fn knows(name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let of_others = ["google_", "azure_"].iter().any(|start| name.starts_with(start));
        of_others || AmazonS3ConfigKey::from_str(&name).is_ok()
    }

    pub fn as_map(&self) -> HashMap<String, String> {
        self.0.clone().into_iter().collect()
    }

    /// The store of a URL, and the path in it.
    ///
    /// # Errors
    /// A scheme that this build does not reach, and options that make no sense.
    pub fn open(&self, url: &Url) -> Result<(Arc<DynObjectStore>, Path), object_store::Error> {
        let (store, path) = object_store::parse_url_opts(url, self.0.clone())?;
        Ok((Arc::from(store), path))
    }

    /// Makes the table format's library reach the stores, and hands it these options.
    pub(crate) fn config(&self) -> DeltaResult<StorageConfig> {
        register();
        StorageConfig::parse_options(self.0.clone())
    }
}

/// Whether a place is written as a URL of a store rather than as a folder. A one-letter scheme is a
/// Windows drive.
pub fn store_url(place: &str) -> Option<Url> {
    let url = Url::parse(place).ok()?;
    (place.contains("://") && url.scheme().len() > 1 && url.scheme() != "file").then_some(url)
}

/// Whether a store of this URL's scheme could hold files.
pub(crate) fn is_store(url: &Url) -> bool {
    use ObjectStoreScheme::{AmazonS3, GoogleCloudStorage, MicrosoftAzure};
    let scheme = ObjectStoreScheme::parse(url);
    matches!(scheme, Ok((AmazonS3 | GoogleCloudStorage | MicrosoftAzure, _)))
}

fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for scheme in SCHEMES {
            if let Ok(url) = Url::parse(&format!("{scheme}://")) {
                object_store_factories().insert(url.clone(), Arc::new(Stores));
                logstore_factories().insert(url, Arc::new(Stores));
            }
        }
    });
}

/// The stores, as the table format's library asks for them.
struct Stores;

impl ObjectStoreFactory for Stores {
    fn parse_url_opts(
        &self,
        url: &Url,
        config: &StorageConfig,
    ) -> DeltaResult<(Arc<dyn ObjectStore>, Path)> {
        let (store, path) = object_store::parse_url_opts(url, config.raw.clone())
            .map_err(|source| DeltaTableError::ObjectStore { source })?;
        Ok((Arc::from(store), path))
    }
}

impl LogStoreFactory for Stores {
    fn with_options(
        &self,
        prefixed: Arc<dyn ObjectStore>,
        root: Arc<dyn ObjectStore>,
        location: &Url,
        options: &StorageConfig,
    ) -> DeltaResult<Arc<dyn LogStore>> {
        Ok(default_logstore(prefixed, root, location, options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_go_before_variables_and_values_are_not_shown() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let variables = [
            pair("AWS_SECRET_ACCESS_KEY", "hidden"),
            pair("AWS_REGION", "eu-1"),
            pair("HOME", "/root"),
        ];
        let options = StoreOptions::new([pair("aws_region", "eu-2")], variables.clone());
        assert_eq!(format!("{options:?}"), r#"["aws_region", "aws_secret_access_key"]"#);
        assert_eq!(options.as_map()["aws_region"], "eu-2");
        let options = StoreOptions::new([pair("endpoint", "http://127.0.0.1:1")], variables);
        assert_eq!(options.as_map()[ALLOW_HTTP], "true");
        assert!(StoreOptions::knows("AWS_Endpoint") && !StoreOptions::knows("aws_endpiont"));
    }

    #[test]
    fn a_path_is_no_url() {
        for folder in ["exports", "/var/exports", "C:\\exports", "c:/exports", "file:///x"] {
            assert_eq!(store_url(folder), None, "{folder}");
        }
        assert!(store_url("s3://bucket/exports").is_some_and(|url| is_store(&url)));
        assert!(store_url("ftp://host/exports").is_some_and(|url| !is_store(&url)));
    }
}
