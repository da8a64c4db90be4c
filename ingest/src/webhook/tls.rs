//! TLS on the listener, by rustls, with a certificate and a key from PEM files.
//!
//! The files are read again when they have changed, so that a renewed certificate is used without a
//! restart; new files that do not fit together leave the old ones in use. Nothing of the key is ever in
//! an error.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

use crate::error::{Cause, LogError};

/// How often the files are looked at for changes.
const LOOK: Duration = Duration::from_secs(10);

/// When each of the two files was last changed.
type Stamps = [Option<SystemTime>; 2];

/// The certificate that the door shows.
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<ServerConfig>>,
    looked: Mutex<(Instant, Stamps)>,
}

impl Tls {
    /// Reads a chain of certificates, the server's own first, and its private key.
    pub fn load(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<Self, LogError> {
        let (certificate, key) = (certificate.into(), key.into());
        let stamps = stamps(&certificate, &key);
        let current = RwLock::new(Arc::new(read(&certificate, &key)?));
        Ok(Self { certificate, key, current, looked: Mutex::new((Instant::now(), stamps)) })
    }

    /// Reads both files again. On an error the old certificate stays in use.
    pub fn reload(&self) -> Result<(), LogError> {
        let config = Arc::new(read(&self.certificate, &self.key)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
        tracing::info!(path = %self.certificate.display(), "the certificate was read again");
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.look_for_changes();
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(current.clone())
    }

    /// The same certificate for another protocol than HTTP, by its ALPN name.
    pub fn acceptor_for(&self, protocol: &[u8]) -> TlsAcceptor {
        self.look_for_changes();
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let mut config = ServerConfig::clone(&current);
        config.alpn_protocols = vec![protocol.to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    fn look_for_changes(&self) {
        let Ok(mut looked) = self.looked.try_lock() else { return };
        let (at, known) = *looked;
        if at.elapsed() < LOOK {
            return;
        }
        let found = stamps(&self.certificate, &self.key);
        *looked = (Instant::now(), found);
        if found != known
            && let Err(error) = self.reload()
        {
            tracing::warn!(%error, hint = error.hint(), "the old certificate stays in use");
        }
    }
}

fn stamps(certificate: &Path, key: &Path) -> Stamps {
    [certificate, key].map(|path| fs::metadata(path).and_then(|found| found.modified()).ok())
}

fn read(certificate: &Path, key: &Path) -> Result<ServerConfig, LogError> {
    let fail = |path: &Path, source: Cause| LogError::Tls { path: path.to_owned(), source };
    let pem = |path: &Path| fs::read(path).map_err(|error| fail(path, Arc::new(error)));
    let chain = CertificateDer::pem_slice_iter(&pem(certificate)?).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| fail(certificate, Arc::new(error)))?;
    if chain.is_empty() {
        let none = std::io::Error::other("there is no certificate in the file");
        return Err(fail(certificate, Arc::new(none)));
    }
    let secret =
        PrivateKeyDer::from_pem_slice(&pem(key)?).map_err(|error| fail(key, Arc::new(error)))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| fail(certificate, Arc::new(error)))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| fail(key, Arc::new(error)))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
