//! TLS of this node's ports: one certificate for all of them, which follows its files.
//!
//! Belongs here: reading and judging the files, and what a handshake is answered with. Not here: sockets (`serve`, `ingest`).

mod certificate;
mod reload;
mod validity;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serve::{Exposition, Measured};
use world::{Clock, Disk};

use self::certificate::Pem;
pub(crate) use self::certificate::{Certificate, TlsError};
use self::reload::Reload;
use crate::config;

/// A certificate that ends sooner is told of: whatever renews it should have done so by then.
pub(crate) const EXPIRES_SOON_US: i64 = 14 * 86_400 * 1_000_000;

/// What HTTPS may be, the best first (RFC 7301).
const HTTP_PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The certificate in force and what watches over it. Clones are the same.
#[derive(Clone)]
pub(crate) struct Tls {
    inner: Arc<Inner>,
}

struct Inner {
    files: config::Tls,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    current: RwLock<Arc<Certificate>>,
}

impl Tls {
    /// Reads the files and takes them in force, also where the certificate does not count at this time: clients refuse it, and
    /// everything else goes on.
    pub(crate) fn open(
        files: &config::Tls,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TlsError> {
        let certificate = Certificate::of(&Pem::read(&*disk, files)?, files)?;
        if let Err(error) = certificate.counts_at(clock.now_us(), files) {
            tracing::error!("{error}; clients refuse it, and everything but TLS works");
        }
        let current = RwLock::new(Arc::new(certificate));
        let tls = Self { inner: Arc::new(Inner { files: files.clone(), disk, clock, current }) };
        tls.warn_of_end();
        Ok(tls)
    }

    /// For HTTPS.
    pub(crate) fn http(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let mut config = self.server_config()?;
        config.alpn_protocols = HTTP_PROTOCOLS.into_iter().map(<[u8]>::to_vec).collect();
        Ok(Arc::new(config))
    }

    /// For RTMPS, which has no name of its own in a handshake.
    pub(crate) fn rtmp(&self) -> Result<Arc<ServerConfig>, TlsError> {
        self.server_config().map(Arc::new)
    }

    fn server_config(&self) -> Result<ServerConfig, TlsError> {
        let builder = ServerConfig::builder_with_provider(certificate::provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?;
        Ok(builder.with_no_client_auth().with_cert_resolver(Arc::new(self.clone())))
    }

    /// Follows the files until `stop` resolves. Connections that are open keep what they began with.
    pub(crate) async fn follow(self, stop: impl Future<Output = ()>) {
        Reload::new(self).run(stop).await;
    }

    fn current(&self) -> Arc<Certificate> {
        // Nothing under this lock can panic half-way through a change.
        self.inner.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, certificate: Certificate) {
        *self.inner.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certificate);
        self.warn_of_end();
    }

    fn warn_of_end(&self) {
        let not_after_us = self.current().validity.not_after_us;
        if not_after_us.saturating_sub(self.inner.clock.now_us()) <= EXPIRES_SOON_US {
            let path = self.inner.files.certificate.display();
            tracing::warn!(%path, expires = %crate::admin::instant(not_after_us), "the TLS certificate ends soon");
        }
    }
}

impl ResolvesServerCert for Tls {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current().key.clone())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.inner.files).finish_non_exhaustive()
    }
}

impl Measured for Tls {
    fn measure(&self, out: &mut Exposition) {
        out.gauge(
            "turepe_tls_certificate_expiry_timestamp_seconds",
            "When the certificate in force ends, in seconds since 1970.",
            self.current().validity.not_after_us as f64 / 1e6,
        );
    }
}
