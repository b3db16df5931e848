//! `[tls]`: the certificate of the ports that speak TLS.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::ConfigError;
use super::settings::{Keys, listen};

/// `[tls]`, whole: both files are named, and something listens with them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Tls {
    /// The certificate and those that lead from it to an authority, PEM.
    pub(crate) certificate: PathBuf,
    /// Its private key, PEM.
    pub(crate) key: PathBuf,
}

impl Tls {
    /// `None` where nothing of it is set. `listens` are the ports that need it, by the name of their setting.
    pub(super) fn read(
        keys: &Keys<'_>,
        listens: [(&str, Option<SocketAddr>); 2],
    ) -> Result<Option<Self>, ConfigError> {
        let path = |key: &str| keys.parse(key, |text| Ok((!text.is_empty()).then(|| PathBuf::from(text))));
        let wanted = listens.into_iter().find(|(_, listen)| listen.is_some());
        match (path("tls.certificate")?, path("tls.key")?, wanted) {
            (Some(certificate), Some(key), Some(_)) => Ok(Some(Self { certificate, key })),
            (None, None, None) => Ok(None),
            (None, None, Some((listen, _))) => {
                Err(keys
                    .invalid(listen, "needs a certificate: set `tls.certificate` and `tls.key`".to_owned()))
            }
            (Some(_), None, _) => Err(keys.invalid("tls.key", missing("its private key", "tls.certificate"))),
            (None, Some(_), _) => Err(keys.invalid("tls.certificate", missing("the certificate", "tls.key"))),
            (Some(_), Some(_), None) => {
                let [(http, _), (rtmp, _)] = listens;
                Err(keys.invalid("tls.certificate", format!("no port uses it: set `{http}` or `{rtmp}`")))
            }
        }
    }

    /// As it was written.
    pub(super) fn to_json(tls: Option<&Self>) -> Value {
        json!({
            "certificate": tls.map_or_else(PathBuf::new, |tls| tls.certificate.clone()),
            "key": tls.map_or_else(PathBuf::new, |tls| tls.key.clone()),
        })
    }
}

fn missing(what: &str, other: &str) -> String {
    format!("must name {what}, as `{other}` is set")
}

/// An address to listen on, or none.
pub(super) fn optional_listen(text: &str) -> Result<Option<SocketAddr>, String> {
    if text.is_empty() { Ok(None) } else { listen(text).map(Some) }
}

/// As it was written.
pub(super) fn shown(listen: Option<SocketAddr>) -> String {
    listen.map_or_else(String::new, |listen| listen.to_string())
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Sources};

    fn with(flags: &[(&str, &str)]) -> Result<Config, String> {
        let flags = flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Config::read(&Sources { flags, ..Sources::default() }).map_err(|error| error.to_string())
    }

    const CERTIFICATE: (&str, &str) = ("tls.certificate", "/etc/full.pem");
    const KEY: (&str, &str) = ("tls.key", "/etc/key.pem");
    const HTTP: (&str, &str) = ("http.tls_listen", "0.0.0.0:443");
    const RTMP: (&str, &str) = ("rtmp.tls_listen", "0.0.0.0:1936");

    #[test]
    fn half_of_it_is_an_error_that_names_the_other_half() {
        for (flags, key) in [
            (&[CERTIFICATE, HTTP][..], "`tls.key`"),
            (&[KEY, HTTP], "`tls.certificate`"),
            (&[HTTP], "`http.tls_listen`"),
            (&[RTMP], "`rtmp.tls_listen`"),
            (&[CERTIFICATE, KEY], "`http.tls_listen` or `rtmp.tls_listen`"),
            (&[CERTIFICATE, KEY, ("rtmp.tls_listen", "0.0.0.0:8080")], "already uses"),
            (&[CERTIFICATE, KEY, HTTP, ("rtmp.tls_listen", "0.0.0.0:443")], "already uses"),
        ] {
            let message = with(flags).expect_err(key);
            assert!(message.contains(key), "{message}");
        }
        let config = with(&[CERTIFICATE, KEY, HTTP, RTMP]).expect("whole");
        assert_eq!(config.tls.as_ref().map(|tls| tls.key.display().to_string()).as_deref(), Some(KEY.1));
        let again =
            Config::read(&Sources { file: Some(("printed".into(), config.to_toml())), ..Sources::default() });
        assert_eq!(again.expect("valid").to_json(), config.to_json());
    }

    #[test]
    fn where_keys_only_travel_encrypted_the_address_says_so() {
        let url = |flags: &[(&str, &str)]| with(flags).map(|config| config.rtmp.public_url);
        assert_eq!(url(&[CERTIFICATE, KEY, RTMP]).as_deref(), Ok("rtmp://localhost/live"));
        let home = ("rtmp.listen", "127.0.0.1:1935");
        assert_eq!(url(&[CERTIFICATE, KEY, RTMP, home]).as_deref(), Ok("rtmps://localhost:1936/live"));
        let public = ("rtmp.public_url", "rtmps://video.club.example/live/");
        assert_eq!(url(&[public]).as_deref(), Ok("rtmps://video.club.example/live"));
    }
}
