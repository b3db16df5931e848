//! `[srs]` and `[srs_api]`: an SRS node that this node stands behind, and monitoring as SRS has it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use jiff::tz::TimeZone;
use media::rtmp::RtmpUrl;
use serde_json::{Value, json};
use serve::{
    DvrConfig, DvrPattern, KeyFrom, MonitorDoor, Network, OnUnknownKey, Operators, SrsConfig, SrsServer,
    Trust,
};

use super::ConfigError;
use super::settings::{Keys, listen};
use super::sources::Settings;

/// Shortest secret or password: what cannot be guessed over a network.
const LEAST_SECRET_BYTES: usize = 12;

/// Most networks that are trusted.
const MAX_NETWORKS: usize = 64;

/// `[srs]`: for `serve`.
#[derive(Clone)]
pub(crate) struct Srs {
    trusted: Vec<Network>,
    /// Part of the addresses in `srs.conf`.
    pub(crate) secret: String,
    key: KeyFrom,
    on_unknown_key: OnUnknownKey,
    /// As it was written.
    ingest: String,
    /// `host:port` of SRS's HTTP API.
    pub(crate) server: Option<String>,
    server_user: String,
    server_password: String,
    /// SRS's recordings; [`None`] where they are not taken.
    pub(crate) dvr_folder: Option<PathBuf>,
    /// How the files below it are named.
    pub(crate) dvr_path: DvrPattern,
    dvr_zone: String,
}

impl Srs {
    pub(super) fn read(keys: &Keys<'_>) -> Result<Self, ConfigError> {
        let text = |key: &str| keys.parse(key, |text| Ok::<_, String>(text.to_owned()));
        let dvr_folder = keys.parse("srs.dvr_folder", |text| match text {
            "" => Ok(None),
            text if text.starts_with('/') => Ok(Some(PathBuf::from(text))),
            _ => Err("must be an absolute path, as SRS has a working folder of its own".to_owned()),
        })?;
        Ok(Self {
            trusted: keys.parse("srs.trusted", networks)?,
            secret: keys.parse("srs.secret", secret)?,
            key: keys.parse("srs.key", key_from)?,
            on_unknown_key: keys.parse("srs.on_unknown_key", |text| match text {
                "allow" => Ok(OnUnknownKey::Allow),
                "deny" => Ok(OnUnknownKey::Deny),
                other => Err(format!("`{other}` is neither `allow` nor `deny`")),
            })?,
            ingest: keys.parse("srs.ingest", ingest)?,
            server: keys.parse("srs.server", server)?,
            server_user: text("srs.server_user")?,
            server_password: text("srs.server_password")?,
            dvr_folder,
            dvr_path: keys.parse("srs.dvr_path", str::parse)?,
            dvr_zone: keys.parse("srs.dvr_zone", |text| zone(text).map(|_| text.to_owned()))?,
        })
    }

    /// As `serve` knows it; `rtmp` is where publishers are awaited.
    pub(crate) fn config(&self, rtmp: SocketAddr) -> SrsConfig {
        let secret = Some(self.secret.as_str()).filter(|secret| !secret.is_empty());
        let basic = Some((self.server_user.clone(), self.server_password.clone()));
        SrsConfig {
            trust: Trust::new(self.trusted.clone(), secret),
            key: self.key.clone(),
            on_unknown_key: self.on_unknown_key,
            ingest: self.ingest_url(rtmp),
            server: self.server.as_ref().map(|server| SrsServer {
                basic: basic.filter(|(user, _)| !user.is_empty()),
                ..SrsServer::new(server)
            }),
        }
    }

    /// SRS's recordings, where they are taken.
    pub(crate) fn dvr(&self, ledger: PathBuf) -> Option<DvrConfig> {
        Some(DvrConfig {
            folder: self.dvr_folder.clone()?,
            pattern: self.dvr_path.clone(),
            // Checked when it was read.
            zone: zone(&self.dvr_zone).unwrap_or(TimeZone::UTC),
            key: self.key.clone(),
            ledger,
        })
    }

    /// Our own ingest as SRS reaches it.
    pub(crate) fn ingest_url(&self, rtmp: SocketAddr) -> String {
        if self.ingest.is_empty() { format!("rtmp://{}/live", near(rtmp)) } else { self.ingest.clone() }
    }

    /// Whether nobody can call.
    pub(crate) fn is_closed(&self) -> bool {
        self.trusted.is_empty() && self.secret.is_empty()
    }

    /// Whether a callback of this machine can be let in without a secret.
    pub(crate) fn trusts_loopback(&self) -> bool {
        self.trusted.iter().any(|network| network.holds(Ipv4Addr::LOCALHOST.into()))
    }

    /// Secrets masked.
    pub(super) fn to_json(&self) -> Value {
        let mask = |secret: &str| if secret.is_empty() { "" } else { "***" };
        let trusted: Vec<_> = self.trusted.iter().map(Network::to_string).collect();
        let key = match &self.key {
            KeyFrom::Stream => "stream".to_owned(),
            KeyFrom::Param(name) => format!("param:{name}"),
        };
        json!({
            "trusted": trusted.join(", "),
            "secret": mask(&self.secret),
            "key": key,
            "on_unknown_key": if self.on_unknown_key == OnUnknownKey::Allow { "allow" } else { "deny" },
            "ingest": self.ingest,
            "server": self.server.as_ref().map_or(String::new(), |server| format!("http://{server}")),
            "server_user": self.server_user,
            "server_password": mask(&self.server_password),
            "dvr_folder": self.dvr_folder.clone().unwrap_or_default(),
            "dvr_path": self.dvr_path.to_string(),
            "dvr_zone": self.dvr_zone,
        })
    }
}

impl std::fmt::Debug for Srs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_json().fmt(f)
    }
}

/// `[srs_api]`: for `serve`.
#[derive(Clone)]
pub(crate) struct SrsApi {
    /// Where to listen; [`None`] for nowhere.
    pub(crate) listen: Option<SocketAddr>,
    /// Whether nobody has chosen the address.
    pub(crate) is_default_listen: bool,
    user: String,
    password: String,
}

impl SrsApi {
    pub(super) fn read(keys: &Keys<'_>, settings: &Settings) -> Result<Self, ConfigError> {
        const LISTEN: &str = "srs_api.listen";
        let api = Self {
            listen: keys
                .parse(LISTEN, |text| if text.is_empty() { Ok(None) } else { listen(text).map(Some) })?,
            is_default_listen: settings.get(LISTEN)?.is_default(),
            user: keys.parse("srs_api.user", |text| match text {
                "" => Err("must not be empty".to_owned()),
                text if text.contains(':') => Err("must not have a colon (RFC 7617)".to_owned()),
                text => Ok(text.to_owned()),
            })?,
            password: keys.parse("srs_api.password", |text| match text.len() {
                1..LEAST_SECRET_BYTES => Err(format!("is shorter than {LEAST_SECRET_BYTES} bytes")),
                _ => Ok(text.to_owned()),
            })?,
        };
        if api.password.is_empty()
            && let Some(listen) = api.listen.filter(|listen| !listen.ip().is_loopback())
        {
            let reason = format!(
                "{listen} can be reached from other machines: set `srs_api.password` as well, or listen on 127.0.0.1:{}",
                listen.port()
            );
            return Err(keys.invalid(LISTEN, reason));
        }
        Ok(api)
    }

    /// Who may ask.
    pub(crate) fn door(&self, operators: Operators) -> MonitorDoor {
        let door = MonitorDoor::new(operators);
        if self.password.is_empty() { door } else { door.with_password(&self.user, &self.password) }
    }

    /// Secrets masked.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "listen": self.listen.map_or(String::new(), |listen| listen.to_string()),
            "user": self.user,
            "password": if self.password.is_empty() { "" } else { "***" },
        })
    }
}

impl std::fmt::Debug for SrsApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_json().fmt(f)
    }
}

/// An address as a program on this machine reaches it.
pub(crate) fn near(address: SocketAddr) -> SocketAddr {
    let ip: IpAddr = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn networks(text: &str) -> Result<Vec<Network>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let networks: Vec<Network> = parts.map(str::parse).collect::<Result<_, _>>()?;
    if networks.len() > MAX_NETWORKS {
        Err(format!("has more than {MAX_NETWORKS} networks"))
    } else {
        Ok(networks)
    }
}

/// It stands in addresses, and in a file that SRS reads: letters that neither gives a meaning to.
fn secret(text: &str) -> Result<String, String> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    match text.len() {
        0 => Ok(String::new()),
        LEAST_SECRET_BYTES..=128 if is_plain => Ok(text.to_owned()),
        _ => Err(format!("must have {LEAST_SECRET_BYTES} to 128 letters, digits, - and _")),
    }
}

fn key_from(text: &str) -> Result<KeyFrom, String> {
    let is_name = |name: &str| {
        (1..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    match (text, text.strip_prefix("param:")) {
        ("stream", _) => Ok(KeyFrom::Stream),
        (_, Some(name)) if is_name(name) => Ok(KeyFrom::Param(name.to_owned())),
        _ => Err(format!("`{text}` is neither `stream` nor `param:NAME`")),
    }
}

fn ingest(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let problem = || "is no rtmp://host:port/app, for example rtmp://10.0.0.2:19350/live".to_owned();
    let text = text.trim_end_matches('/');
    // With a name behind it, it must be an address to publish to.
    let url = RtmpUrl::parse(&format!("{text}/key")).map_err(|_| problem())?;
    if url.key.expose() == "key" { Ok(text.to_owned()) } else { Err(problem()) }
}

fn server(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let authority = text.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    let is_sound = |authority: &&str| {
        authority.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
            && !authority.contains(['/', '@', '?', '#', ' '])
    };
    match authority.filter(is_sound) {
        Some(authority) => Ok(Some(authority.to_owned())),
        None => Err("is no http://host:port, for example http://127.0.0.1:1985".to_owned()),
    }
}

fn zone(text: &str) -> Result<TimeZone, String> {
    match text {
        "" => Ok(TimeZone::system()),
        name => TimeZone::get(name).map_err(|_| format!("`{name}` is no IANA time zone, like Europe/Madrid")),
    }
}
