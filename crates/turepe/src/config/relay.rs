//! `[relay]`, and the established variable that names targets.

use std::net::SocketAddr;

use relay::{Address, BaseUrl, Target, is_own_ingest, parse_bases};
use serde_json::{Value, json};

use super::ConfigError;
use super::settings::Keys;
use super::sources::Settings;

const TARGETS: &str = "relay.targets";

/// No targets, whatever the variable says.
const NONE: &str = "none";

/// The variable that other programs of this field have.
const FORWARD_URL: &str = "TARGET_FORWARD_URL";

/// `[relay]`: for `relay`.
#[derive(Clone, Debug)]
pub(crate) struct Relay {
    /// Where every channel goes; their queries may be secrets.
    pub(crate) targets: Vec<BaseUrl>,
}

impl Relay {
    /// `rtmp` is where publishers are awaited. What is wrong is never repeated.
    pub(super) fn read(keys: &Keys<'_>, settings: &Settings, rtmp: SocketAddr) -> Result<Self, ConfigError> {
        let parse = |text: &str| -> Result<Vec<BaseUrl>, String> {
            if text == NONE {
                return Ok(Vec::new());
            }
            let targets = parse_bases(text)?;
            let own = targets.iter().position(|target| {
                let (host, port) = target.authority();
                is_own_ingest(host, port, rtmp)
            });
            match own {
                Some(at) => Err(format!("target {} is this node's own ingest (`rtmp.listen`)", at + 1)),
                None => Ok(targets),
            }
        };
        let setting = settings.get(TARGETS)?;
        let established = settings.established(FORWARD_URL).filter(|_| setting.text.trim().is_empty());
        let targets = match established {
            None => keys.parse(TARGETS, parse)?,
            Some(given) => parse(given.text.trim()).map_err(|reason| ConfigError::Invalid {
                key: TARGETS.to_owned(),
                source_name: given.source.clone(),
                reason,
            })?,
        };
        Ok(Self { targets })
    }

    /// As `relay` knows them.
    pub(crate) fn targets(&self) -> Vec<Target> {
        let target = |(number, base): (usize, &BaseUrl)| Target {
            id: format!("all-{}", number + 1),
            name: None,
            address: Address::WithKey(base.clone()),
        };
        self.targets.iter().enumerate().map(target).collect()
    }

    /// Secrets masked.
    pub(super) fn to_json(&self) -> Value {
        json!({ "targets": self.targets.iter().map(BaseUrl::masked).collect::<Vec<_>>() })
    }
}
