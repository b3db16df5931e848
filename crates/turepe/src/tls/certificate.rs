//! A certificate with its key, out of two PEM files, and whether it can serve.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use world::{Disk, read_whole};

use super::validity::Validity;
use crate::admin::instant;
use crate::config;

/// Longest PEM file: a chain has some 6 kB.
const MAX_PEM_BYTES: usize = 256 * 1024;

/// A certificate that can serve.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// With its chain.
    pub(super) key: Arc<CertifiedKey>,
    /// From when to when it counts.
    pub(crate) validity: Validity,
    /// Of the files it was read from.
    pub(super) print: Print,
}

/// What two files hold, to tell whether they have changed.
pub(super) type Print = [u8; 32];

/// Why the files cannot serve. Names the setting; holds nothing of the key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file cannot be read.
    #[error("`{setting}`: cannot read {path}: {source}")]
    Unreadable {
        /// Of the two.
        setting: &'static str,
        /// As it was written.
        path: String,
        /// What the disk says.
        source: io::Error,
    },
    /// The certificate's file has none.
    #[error("`tls.certificate`: {path} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)")]
    NoCertificate {
        /// As it was written.
        path: String,
    },
    /// The key's file has none.
    #[error("`tls.key`: {path} holds no private key in PEM form, or one that needs a password")]
    NoKey {
        /// As it was written.
        path: String,
    },
    /// The two do not belong together.
    #[error(
        "`tls.key`: {path} is not the key of the certificate in `tls.certificate`, which must be the first of its file"
    )]
    Mismatch {
        /// As it was written.
        path: String,
    },
    /// It does not count any more.
    #[error("`tls.certificate`: the certificate in {path} has expired on {at}: renew it")]
    Expired {
        /// As it was written.
        path: String,
        /// RFC 3339
        at: String,
    },
    /// It does not count yet.
    #[error(
        "`tls.certificate`: the certificate in {path} counts from {at} on, and it is earlier; see that the clock is right"
    )]
    Early {
        /// As it was written.
        path: String,
        /// RFC 3339
        at: String,
    },
    /// Its dates cannot be read.
    #[error("`tls.certificate`: {path} holds what is no X.509 certificate")]
    NotX509 {
        /// As it was written.
        path: String,
    },
    /// Something else that TLS does not take.
    #[error("`tls.certificate` and `tls.key` cannot be used: {0}")]
    Unusable(rustls::Error),
}

/// The cryptography that the whole program uses.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// What stands in the two files.
pub(super) struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Pem {
    pub(super) fn read(disk: &dyn Disk, files: &config::Tls) -> Result<Self, TlsError> {
        let read = |setting, path: &Path| {
            read_whole(disk, path, MAX_PEM_BYTES).map_err(|source| TlsError::Unreadable {
                setting,
                path: path.display().to_string(),
                source,
            })
        };
        Ok(Self {
            certificate: read("tls.certificate", &files.certificate)?,
            key: read("tls.key", &files.key)?,
        })
    }

    pub(super) fn print(&self) -> Print {
        let both = Sha256::new().chain_update(&self.certificate).chain_update([0]).chain_update(&self.key);
        both.finalize().into()
    }
}

impl Certificate {
    /// Reads the files and judges what is in them.
    pub(crate) fn read(disk: &dyn Disk, files: &config::Tls, now_us: i64) -> Result<Self, TlsError> {
        let certificate = Self::of(&Pem::read(disk, files)?, files)?;
        certificate.counts_at(now_us, files)?;
        Ok(certificate)
    }

    /// Judges everything but the dates.
    pub(super) fn of(pem: &Pem, files: &config::Tls) -> Result<Self, TlsError> {
        let (path, key_path) = (files.certificate.display().to_string(), files.key.display().to_string());
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem.certificate).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let Some(chain) = chain else { return Err(TlsError::NoCertificate { path }) };
        let Ok(key) = PrivateKeyDer::from_pem_slice(&pem.key) else {
            return Err(TlsError::NoKey { path: key_path });
        };
        let validity = chain.first().and_then(|first| Validity::of(first));
        let Some(validity) = validity else { return Err(TlsError::NotX509 { path }) };
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsError::Mismatch { path: key_path },
            error => TlsError::Unusable(error),
        })?;
        Ok(Self { key: Arc::new(key), validity, print: pem.print() })
    }

    /// Whether it counts now.
    pub(super) fn counts_at(&self, now_us: i64, files: &config::Tls) -> Result<(), TlsError> {
        let path = || files.certificate.display().to_string();
        let Validity { not_before_us, not_after_us } = self.validity;
        if now_us > not_after_us {
            return Err(TlsError::Expired { path: path(), at: instant(not_after_us) });
        }
        if now_us < not_before_us {
            return Err(TlsError::Early { path: path(), at: instant(not_before_us) });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;

    use testing::certificates::Authority;
    use world::SystemDisk;

    use super::*;

    /// 2026-06-01T00:00:00Z
    const NOW_US: i64 = 1_780_272_000_000_000;
    const YEAR_US: i64 = 365 * 86_400 * 1_000_000;

    fn made(until: i32) -> (String, String) {
        let issued = Authority::new().issue_until(until);
        (issued.certificate, issued.key)
    }

    fn read(certificate: &str, key: &str, now_us: i64) -> Result<Certificate, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            let made = File::options().create_new(true).write(true).open(&path);
            made.expect("a file").write_all(text.as_bytes()).expect("written");
            path
        };
        let files = config::Tls { certificate: file("full.pem", certificate), key: file("key.pem", key) };
        Certificate::read(&SystemDisk, &files, now_us).map_err(|error| error.to_string())
    }

    #[test]
    fn a_pair_that_belongs_together_serves_and_tells_its_end() {
        let (certificate, key) = made(2050);
        let read = read(&certificate, &key, NOW_US).expect("a good pair");
        // 2050-01-01 is written in the other of the two forms of dates (RFC 5280 §4.1.2.5).
        assert_eq!(instant(read.validity.not_before_us), "2020-01-01T00:00:00Z");
        assert_eq!(instant(read.validity.not_after_us), "2050-01-01T00:00:00Z");
    }

    #[test]
    fn what_cannot_serve_is_told_with_its_setting() {
        let (certificate, key) = made(2027);
        let (_, other) = made(2027);
        let broken = "-----BEGIN CERTIFICATE-----\nMAUCAQECAQI=\n-----END CERTIFICATE-----\n";
        for (certificate, key, now_us, says) in [
            ("", key.as_str(), NOW_US, "`tls.certificate`"),
            ("no PEM", &key, NOW_US, "holds no certificate"),
            (key.as_str(), &key, NOW_US, "holds no certificate"),
            (broken, &key, NOW_US, "no X.509"),
            (&certificate, "", NOW_US, "`tls.key`"),
            (&certificate, &certificate, NOW_US, "holds no private key"),
            (&certificate, &other, NOW_US, "is not the key of the certificate"),
            (&certificate, &key, NOW_US + YEAR_US, "expired on 2027-01-01"),
            (&certificate, &key, NOW_US - 7 * YEAR_US, "counts from 2020-01-01"),
        ] {
            let message = read(certificate, key, now_us).expect_err(says);
            assert!(message.contains(says) && message.contains("`tls."), "{message}");
        }
        let files = config::Tls { certificate: "/nowhere/full.pem".into(), key: "/nowhere/key.pem".into() };
        let message = Certificate::read(&SystemDisk, &files, NOW_US).expect_err("none").to_string();
        assert!(message.starts_with("`tls.certificate`: cannot read /nowhere/full.pem"), "{message}");
    }
}
