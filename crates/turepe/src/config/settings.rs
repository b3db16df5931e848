//! What each key means: a struct per room, checked at start.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use catalog::{DatabaseOptions, MAX_NODE_NAME_CHARS, is_direction, masked_url};
use serde_json::{Value, json};

use super::shown::shown;
use super::sources::{Setting, Settings, Sources};
use super::tls::{optional_listen, shown as shown_listen};
use super::{Access, ConfigError, Covers, Directory, Relay, Retention, Size, Span, Srs, SrsApi, Store, Tls};

/// The configuration in force.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// `[node]`
    pub(crate) node: Node,
    /// `[tls]`; `None` where nothing speaks TLS.
    pub(crate) tls: Option<Tls>,
    /// `[http]`
    pub(crate) http: Http,
    /// `[rtmp]`
    pub(crate) rtmp: Rtmp,
    /// `[live]`
    pub(crate) live: Live,
    /// `[archive]`
    pub(crate) archive: Archive,
    /// `[access]`
    pub(crate) access: Access,
    /// `[covers]`
    pub(crate) covers: Covers,
    /// `[database]`
    pub(crate) database: Database,
    /// `[store]`
    pub(crate) store: Store,
    /// `[retention]`
    pub(crate) retention: Retention,
    /// `[directory]`
    pub(crate) directory: Directory,
    /// `[relay]`
    pub(crate) relay: Relay,
    /// `[srs]`
    pub(crate) srs: Srs,
    /// `[srs_api]`
    pub(crate) srs_api: SrsApi,
    /// `[log]`
    pub(crate) log: Log,
}

/// `[node]`: the machine.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// The folder that holds everything else by default.
    pub(crate) data: PathBuf,
    /// Whether nobody has named a folder.
    pub(crate) is_default_data: bool,
    /// What people call it; `None` when nobody has said.
    pub(crate) name: Option<String>,
    /// Makes pictures and covers.
    pub(crate) ffmpeg: PathBuf,
}

/// `[http]`: for `serve`.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// Where to listen for HTTPS; [`Config::tls`] is set with it.
    pub(crate) tls_listen: Option<SocketAddr>,
    /// Who is an operator.
    pub(crate) operators: OperatorsRule,
    /// Holds the operators' token.
    pub(crate) operators_token_file: PathBuf,
    /// Where people reach the website; `None` when nobody has said.
    pub(crate) public_url: Option<String>,
    /// Longest range that a stranger may choose.
    pub(crate) free_range: Span,
    /// What answers may hold for their readers.
    pub(crate) memory: Size,
}

/// Who may see what the node says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OperatorsRule {
    /// Whoever has the token.
    Token,
    /// And whoever asks on this machine.
    Loopback,
}

impl OperatorsRule {
    fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Loopback => "loopback",
        }
    }
}

/// `[rtmp]`: for `ingest`.
#[derive(Clone, Debug)]
pub(crate) struct Rtmp {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// Where to listen for RTMPS; [`Config::tls`] is set with it.
    pub(crate) tls_listen: Option<SocketAddr>,
    /// What people enter in OBS; derived from the ports when it is not set.
    pub(crate) public_url: String,
    /// That publish, in all.
    pub(crate) max_connections: u32,
    /// That publish, from one address.
    pub(crate) max_connections_per_address: u32,
    /// That play, in all.
    pub(crate) max_players: u32,
    /// That play, from one address.
    pub(crate) max_players_per_address: u32,
    /// That do neither yet, in all.
    pub(crate) max_waiting: u32,
    /// That do neither yet, from one address.
    pub(crate) max_waiting_per_address: u32,
    /// Until publishing.
    pub(crate) establish_timeout: Span,
    /// Without a byte.
    pub(crate) idle_timeout: Span,
}

/// `[live]`: for `live`.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    /// Length of what is kept in memory per channel.
    pub(crate) window: Span,
}

/// `[archive]`: for `archive`.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    /// Whether what is published is recorded.
    pub(crate) record: bool,
    /// Divides an hour.
    pub(crate) segment: Span,
    /// Group commit.
    pub(crate) sync: Span,
}

/// `[database]`: for `catalog`.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    /// Its URL is always set: the default is made from the data folder. May hold a password; its `Debug` does not show it.
    pub(crate) options: DatabaseOptions,
    /// Holds the key of the catalog's secrets.
    pub(crate) key_file: PathBuf,
}

/// `[log]`.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// For whom.
    pub(crate) format: LogFormat,
    /// What.
    pub(crate) filter: String,
    /// Whether nobody has set the filter.
    pub(crate) is_default_filter: bool,
}

/// For whom the log is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("`{other}` is neither `text` nor `json`")),
        }
    }
}

/// The operators' token, in the data folder.
pub(crate) const OPERATORS_TOKEN_FILE: &str = "operators.token";

/// The key of the catalog's secrets, in the data folder.
pub(crate) const CATALOG_KEY_FILE: &str = "catalog.key";

/// With less, one download of a long match would be all there is room for.
const LEAST_MEMORY: &str = "64MiB";

fn memory(text: &str) -> Result<Size, String> {
    let (size, least): (Size, Size) = (text.parse()?, LEAST_MEMORY.parse()?);
    if size < least { Err(format!("{size} is less than {least}")) } else { Ok(size) }
}

const HOUR_MS: u64 = 3_600_000;
const SHORTEST_SEGMENT: Span = Span::from_millis(5000);

impl Config {
    /// Reads every layer and checks every value.
    pub(crate) fn read(sources: &Sources) -> Result<Self, ConfigError> {
        let settings = Settings::read(sources)?;
        let keys = Keys(&settings);
        let data: PathBuf = keys.parse("node.data", |text| folder_or_file(text, "a folder"))?;
        let rtmp_listen = keys.parse("rtmp.listen", listen)?;
        let rtmp_tls = keys.parse("rtmp.tls_listen", optional_listen)?;
        let http_tls = keys.parse("http.tls_listen", optional_listen)?;
        let config = Self {
            tls: Tls::read(&keys, [("http.tls_listen", http_tls), ("rtmp.tls_listen", rtmp_tls)])?,
            http: Http {
                listen: keys.parse("http.listen", listen)?,
                tls_listen: http_tls,
                operators: keys.parse("http.operators", operators_rule)?,
                operators_token_file: keys.parse("http.operators_token_file", |text| {
                    Ok::<_, String>(file_or(text, &data, OPERATORS_TOKEN_FILE))
                })?,
                public_url: keys.parse("http.public_url", website)?,
                free_range: keys.span("http.free_range", "1s", "1d")?,
                memory: keys.parse("http.memory", memory)?,
            },
            rtmp: Rtmp {
                listen: rtmp_listen,
                tls_listen: rtmp_tls,
                public_url: keys.parse("rtmp.public_url", |text| public_url(text, rtmp_listen, rtmp_tls))?,
                max_connections: keys.parse("rtmp.max_connections", |text| number(text, 1, 1_000_000))?,
                max_connections_per_address: keys
                    .parse("rtmp.max_connections_per_address", |text| number(text, 1, 1_000_000))?,
                max_players: keys.parse("rtmp.max_players", |text| number(text, 1, 1_000_000))?,
                max_players_per_address: keys
                    .parse("rtmp.max_players_per_address", |text| number(text, 1, 1_000_000))?,
                max_waiting: keys.parse("rtmp.max_waiting", |text| number(text, 16, 1_000_000))?,
                max_waiting_per_address: keys
                    .parse("rtmp.max_waiting_per_address", |text| number(text, 1, 1_000_000))?,
                establish_timeout: keys.span("rtmp.establish_timeout", "100ms", "5m")?,
                idle_timeout: keys.span("rtmp.idle_timeout", "100ms", "1h")?,
            },
            live: Live { window: keys.span("live.window", "6s", "1m")? },
            archive: Archive {
                record: keys.flag("archive.record")?,
                segment: keys.parse("archive.segment", segment)?,
                sync: keys.span("archive.sync", "100ms", "1m")?,
            },
            access: Access::read(&keys)?,
            covers: Covers::read(&keys, &data)?,
            database: Database {
                options: DatabaseOptions {
                    url: keys.parse("database.url", |text| database_url(text, &data))?,
                    max_connections: keys.parse("database.max_connections", |text| number(text, 1, 1000))?,
                    connect_timeout: keys.span("database.connect_timeout", "100ms", "1m")?.duration(),
                    statement_timeout: keys.span("database.statement_timeout", "1s", "10m")?.duration(),
                },
                key_file: keys.parse("database.key_file", |text| {
                    Ok::<_, String>(file_or(text, &data, CATALOG_KEY_FILE))
                })?,
            },
            store: Store::read(&keys, &settings, &data)?,
            retention: Retention::read(&keys)?,
            directory: Directory::read(&keys, &settings)?,
            relay: Relay::read(&keys, &settings, rtmp_listen)?,
            srs: Srs::read(&keys)?,
            srs_api: SrsApi::read(&keys, &settings)?,
            log: Log {
                format: keys.parse("log.format", LogFormat::from_str)?,
                filter: keys.parse("log.filter", |text| {
                    tracing_subscriber::EnvFilter::try_new(text)
                        .map(|_| text.to_owned())
                        .map_err(|e| e.to_string())
                })?,
                is_default_filter: settings.get("log.filter")?.is_default(),
            },
            node: Node {
                is_default_data: settings.get("node.data")?.is_default(),
                name: keys.parse("node.name", node_name)?,
                ffmpeg: keys.parse("node.ffmpeg", |text| folder_or_file(text, "a program"))?,
                data,
            },
        };
        let ports = config.ports();
        for (at, (key, port)) in ports.iter().enumerate() {
            let taken = ports.iter().take(at).find(|(_, other)| other == port && port.port() != 0);
            if let Some((other, _)) = taken {
                return Err(keys.invalid(key, format!("`{other}` already uses {port}")));
            }
        }
        Ok(config)
    }

    /// The ports of players and publishers, by the name of their setting.
    pub(crate) fn ports(&self) -> Vec<(&'static str, SocketAddr)> {
        let all = [
            ("http.listen", Some(self.http.listen)),
            ("rtmp.listen", Some(self.rtmp.listen)),
            ("http.tls_listen", self.http.tls_listen),
            ("rtmp.tls_listen", self.rtmp.tls_listen),
        ];
        all.into_iter().filter_map(|(key, port)| Some((key, port?))).collect()
    }

    /// What no program that this node starts may see.
    pub(crate) fn private_folders(&self) -> Vec<PathBuf> {
        let key = self.tls.as_ref().map(|tls| tls.key.clone());
        [
            self.node.data.clone(),
            self.store.folder.clone(),
            self.database.key_file.clone(),
            self.http.operators_token_file.clone(),
        ]
        .into_iter()
        .chain(key)
        .collect()
    }

    /// Where segments grow.
    pub(crate) fn spool(&self) -> PathBuf {
        self.node.data.join("spool")
    }

    /// The configuration in force by section and key, of which secrets are masked ([`shown`](super::shown)).
    pub(crate) fn to_json(&self) -> Value {
        shown(json!({
            "node": {
                "data": self.node.data,
                "name": self.node.name.as_deref().unwrap_or_default(),
                "ffmpeg": self.node.ffmpeg,
            },
            "tls": Tls::to_json(self.tls.as_ref()),
            "http": {
                "listen": self.http.listen.to_string(),
                "tls_listen": shown_listen(self.http.tls_listen),
                "operators": self.http.operators.as_str(),
                "operators_token_file": shown_file(&self.http.operators_token_file, &self.node.data, OPERATORS_TOKEN_FILE),
                "public_url": self.http.public_url.as_deref().unwrap_or_default(),
                "free_range": self.http.free_range.to_string(),
                "memory": self.http.memory.to_string(),
            },
            "rtmp": {
                "listen": self.rtmp.listen.to_string(),
                "tls_listen": shown_listen(self.rtmp.tls_listen),
                "public_url": self.rtmp.public_url,
                "max_connections": self.rtmp.max_connections,
                "max_connections_per_address": self.rtmp.max_connections_per_address,
                "max_players": self.rtmp.max_players,
                "max_players_per_address": self.rtmp.max_players_per_address,
                "max_waiting": self.rtmp.max_waiting,
                "max_waiting_per_address": self.rtmp.max_waiting_per_address,
                "establish_timeout": self.rtmp.establish_timeout.to_string(),
                "idle_timeout": self.rtmp.idle_timeout.to_string(),
            },
            "live": { "window": self.live.window.to_string() },
            "archive": {
                "record": self.archive.record,
                "segment": self.archive.segment.to_string(),
                "sync": self.archive.sync.to_string(),
            },
            "access": self.access.to_json(),
            "covers": self.covers.to_json(),
            "database": {
                "url": masked_url(&self.database.options.url),
                "max_connections": self.database.options.max_connections,
                "connect_timeout": span_of(self.database.options.connect_timeout),
                "statement_timeout": span_of(self.database.options.statement_timeout),
                "key_file": shown_file(&self.database.key_file, &self.node.data, CATALOG_KEY_FILE),
            },
            "store": self.store.to_json(&self.node.data),
            "retention": self.retention.to_json(),
            "directory": self.directory.to_json(),
            "relay": self.relay.to_json(),
            "srs": self.srs.to_json(),
            "srs_api": self.srs_api.to_json(),
            "log": {
                "format": self.log.format.as_str(),
                "filter": self.log.filter,
            },
        }))
    }

    /// The same as TOML that can be read back.
    pub(crate) fn to_toml(&self) -> String {
        let mut text = String::new();
        // Sections in the order of the documented defaults.
        for section in [
            "node",
            "tls",
            "http",
            "rtmp",
            "live",
            "access",
            "covers",
            "archive",
            "database",
            "store",
            "retention",
            "directory",
            "relay",
            "srs",
            "srs_api",
            "log",
        ] {
            text.push_str(&format!("[{section}]\n"));
            if let Some(keys) = self.to_json()[section].as_object() {
                for (key, value) in keys {
                    // JSON strings without control characters are TOML basic strings.
                    text.push_str(&format!("{key} = {value}\n"));
                }
            }
            text.push('\n');
        }
        text.truncate(text.trim_end().len());
        text
    }
}

/// Settings, with errors that name key and source.
pub(super) struct Keys<'a>(&'a Settings);

impl Keys<'_> {
    pub(super) fn parse<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        parse(self.0.get(key)?.text.trim()).map_err(|reason| self.invalid(key, reason))
    }

    pub(super) fn span(&self, key: &str, shortest: &str, longest: &str) -> Result<Span, ConfigError> {
        self.parse(key, |text| {
            let span: Span = text.parse()?;
            let (low, high) = (shortest.parse()?, longest.parse()?);
            if span < low || span > high {
                return Err(format!("{span} is outside {shortest} to {longest}"));
            }
            Ok(span)
        })
    }

    pub(super) fn flag(&self, key: &str) -> Result<bool, ConfigError> {
        self.parse(key, |text| text.parse().map_err(|_| format!("`{text}` is neither true nor false")))
    }

    pub(super) fn invalid(&self, key: &str, reason: String) -> ConfigError {
        let source_name = match self.0.get(key) {
            Ok(Setting { source, .. }) => source.clone(),
            Err(error) => return error,
        };
        ConfigError::Invalid { key: key.to_owned(), source_name, reason }
    }
}

fn folder_or_file(text: &str, what: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err(format!("must name {what}")) } else { Ok(PathBuf::from(text)) }
}

pub(super) fn number<T: FromStr + PartialOrd + Display>(text: &str, low: T, high: T) -> Result<T, String> {
    match text.parse::<T>() {
        Ok(number) if number >= low && number <= high => Ok(number),
        _ => Err(format!("`{text}` is no whole number from {low} to {high}")),
    }
}

pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("`{text}` is no address with port, like 0.0.0.0:8080 or [::]:8080"))
}

fn operators_rule(text: &str) -> Result<OperatorsRule, String> {
    match text {
        "token" => Ok(OperatorsRule::Token),
        "loopback" => Ok(OperatorsRule::Loopback),
        other => Err(format!("`{other}` is neither `token` nor `loopback`")),
    }
}

/// A file, or one of this name in the data folder where nobody has named one.
pub(super) fn file_or(text: &str, data: &Path, name: &str) -> PathBuf {
    if text.is_empty() { data.join(name) } else { PathBuf::from(text) }
}

/// As it was written: empty for that in the data folder.
pub(super) fn shown_file(file: &Path, data: &Path, name: &str) -> String {
    if file == data.join(name) { String::new() } else { file.display().to_string() }
}

fn segment(text: &str) -> Result<Span, String> {
    let span: Span = text.parse()?;
    if span < SHORTEST_SEGMENT {
        return Err(format!("{span} is shorter than {SHORTEST_SEGMENT}"));
    }
    if span.millis() > HOUR_MS || !HOUR_MS.is_multiple_of(span.millis()) {
        return Err(format!("{span} does not divide an hour; 5s, 10s, 1m, 5m, 10m, 15m, 20m, 30m and 1h do"));
    }
    Ok(span)
}

fn public_url(text: &str, listen: SocketAddr, tls: Option<SocketAddr>) -> Result<String, String> {
    if text.is_empty() {
        // A plain port that only this machine reaches is none to enter in OBS.
        if let Some(tls) = tls.filter(|_| listen.ip().is_loopback()) {
            let port = if tls.port() == 443 { String::new() } else { format!(":{}", tls.port()) };
            return Ok(format!("rtmps://localhost{port}/live"));
        }
        let port = if listen.port() == 1935 { String::new() } else { format!(":{}", listen.port()) };
        return Ok(format!("rtmp://localhost{port}/live"));
    }
    let rest = text
        .strip_prefix("rtmp://")
        .or_else(|| text.strip_prefix("rtmps://"))
        .filter(|rest| rest.split_once('/').is_some_and(|(h, a)| !h.is_empty() && !a.is_empty()));
    match rest {
        Some(_) => Ok(text.trim_end_matches('/').to_owned()),
        None => Err("is no rtmp://host/app, for example rtmp://video.club.example/live".to_owned()),
    }
}

/// An address of the website; empty: not known.
fn node_name(text: &str) -> Result<Option<String>, String> {
    if text.chars().count() > MAX_NODE_NAME_CHARS
        || text.chars().any(|letter| letter.is_control() || is_direction(letter))
    {
        return Err(format!(
            "is at most {MAX_NODE_NAME_CHARS} characters in one line, without marks that turn its direction"
        ));
    }
    Ok(Some(text.trim().to_owned()).filter(|name| !name.is_empty()))
}

fn website(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    origin_of(text).map(|_| Some(text.trim_end_matches('/').to_owned()))
}

/// Scheme, host and port of a web address, as browsers name where a page is from.
pub(crate) fn origin_of(url: &str) -> Result<String, String> {
    let wrong = || "is no web address, for example https://video.club.example".to_owned();
    let scheme =
        ["https://", "http://"].into_iter().find(|scheme| url.starts_with(scheme)).ok_or_else(wrong)?;
    let host = url[scheme.len()..].split(['/', '?', '#']).next().unwrap_or_default();
    let is_host = |letter: char| letter.is_ascii_alphanumeric() || ".-:[]".contains(letter);
    if host.is_empty() || host.starts_with(':') || !host.chars().all(is_host) {
        return Err(wrong());
    }
    let default_port = if scheme == "https://" { ":443" } else { ":80" };
    Ok(format!("{scheme}{}", host.strip_suffix(default_port).unwrap_or(host).to_ascii_lowercase()))
}

fn database_url(text: &str, data: &Path) -> Result<String, String> {
    if text.is_empty() {
        return Ok(format!("sqlite:{}", data.join("turepe.db").display()));
    }
    if matches!(scheme(text), "sqlite" | "mysql" | "mariadb" | "postgres" | "postgresql") {
        return Ok(text.to_owned());
    }
    // The value may hold a password: only its scheme is repeated.
    Err(format!(
        "`{}:` is not supported; write sqlite:/path/turepe.db, mysql://user:password@host/database or \
         postgres://user:password@host/database",
        scheme(text)
    ))
}

pub(super) fn scheme(url: &str) -> &str {
    url.split_once(':').map_or("", |(scheme, _)| scheme)
}

/// A length of time as it is written in the configuration.
fn span_of(duration: Duration) -> String {
    Span::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(key: &str, value: &str) -> Result<Config, ConfigError> {
        Config::read(&Sources { flags: vec![(key.to_owned(), value.to_owned())], ..Sources::default() })
    }

    #[test]
    fn the_defaults_are_valid_and_as_documented() {
        let config = Config::read(&Sources::default()).expect("defaults");
        assert_eq!(config.http.listen.to_string(), "0.0.0.0:8080");
        assert_eq!(config.rtmp.public_url, "rtmp://localhost/live");
        assert_eq!(config.archive.segment.micros(), 900_000_000);
        assert_eq!(config.database.options.url, "sqlite:./data/turepe.db");
        assert_eq!(config.store.folder, Path::new("./data/store"));
    }

    #[test]
    fn the_effective_configuration_reads_back_as_itself() {
        let config = with("archive.segment", "5s").expect("valid");
        let again = Config::read(&Sources {
            file: Some(("printed".to_owned(), config.to_toml())),
            ..Sources::default()
        })
        .expect("what is printed is valid");
        assert_eq!(again.to_json(), config.to_json());
        assert_eq!(again.archive.segment.to_string(), "5s");
    }

    #[test]
    fn every_bad_value_is_refused_with_key_source_and_reason() {
        for (key, value, reason) in [
            ("archive.segment", "7m", "does not divide an hour"),
            ("archive.segment", "4s", "shorter than 5s"),
            ("archive.segment", "2h", "does not divide an hour"),
            ("archive.segment", "soon", "no length of time"),
            ("archive.sync", "10ms", "outside 100ms to 1m"),
            ("archive.record", "maybe", "neither true nor false"),
            ("http.listen", "8080", "no address with port"),
            ("http.operators", "everybody", "neither"),
            ("http.public_url", "video.club.example", "no web address"),
            ("http.public_url", "https://user@club.example", "no web address"),
            ("http.free_range", "2d", "outside 1s to 1d"),
            ("http.memory", "16MiB", "less than 64MiB"),
            ("rtmp.listen", "0.0.0.0:8080", "already uses"),
            ("rtmp.listen", "0.0.0.0:99999", "no address with port"),
            ("rtmp.public_url", "http://x/live", "no rtmp://host/app"),
            ("rtmp.max_connections", "0", "no whole number"),
            ("covers.slate_after", "soon", "no length of time"),
            ("covers.slate_after", "31d", "outside"),
            ("database.url", "oracle://u:topsecret@h/db", "not supported"),
            ("database.max_connections", "0", "no whole number"),
            ("database.connect_timeout", "1h", "outside 100ms to 1m"),
            ("relay.targets", "rtmp://topsecret", "target 1: the address must end in /application"),
            ("relay.targets", "rtmp://a/live,http://topsecret/live", "target 2: the address must begin"),
            ("relay.targets", "rtmp://127.0.0.1/live?topsecret", "target 1 is this node's own ingest"),
            ("srs.trusted", "localhost", "no network"),
            ("srs.secret", "short", "must have 12 to 128"),
            ("srs.key", "param:", "neither `stream` nor `param:NAME`"),
            ("srs.on_unknown_key", "maybe", "neither `allow` nor `deny`"),
            ("srs.ingest", "http://x/live", "no rtmp://host:port/app"),
            ("srs.server", "https://srs:1985", "no http://host:port"),
            ("srs.dvr_folder", "objs/dvr", "absolute path"),
            ("srs.dvr_path", "[court].flv", "none of [app]"),
            ("srs.dvr_zone", "Mars/Olympus", "no IANA time zone"),
            ("srs_api.listen", "0.0.0.0:1985", "srs_api.password"),
            ("srs_api.password", "short", "shorter than 12"),
            ("store.url", "s3://bucket", "endpoint"),
            ("store.url", "/srv/store", "a store is"),
            ("store.part_size", "1MiB", "outside 5MiB to 256MiB"),
            ("store.concurrency", "0", "no whole number"),
            ("store.play_from", "home", "neither"),
            ("store.url_life", "8d", "outside"),
            ("retention.days", "-1", "no whole number"),
            ("retention.min_free", "much", "no number of bytes"),
            ("retention.on_full", "panic", "neither"),
            ("retention.keep_local", "long", "no length of time"),
            ("retention.max_share", "101%", "no share"),
            ("retention.max_share", "0.5", "no share"),
            ("log.format", "xml", "neither"),
            ("log.filter", "ingest=loud", "level"),
        ] {
            let message = with(key, value).expect_err(key).to_string();
            assert!(message.contains(&format!("`{key}` from flag")) && message.contains(reason), "{message}");
            assert!(!message.contains("topsecret"), "{message}");
        }
    }

    const BUCKET: &str = "s3://footage/club?endpoint=https://s3.us-west-004.backblazeb2.com";

    fn with_bucket(key_id: &str, secret: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let flags = [("store.url", BUCKET), ("store.key_id", key_id), ("store.secret_key", secret)];
        let owned = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        Config::read(&Sources { flags: owned(&flags), environment: owned(environment), ..Sources::default() })
    }

    #[test]
    fn a_half_configured_bucket_is_an_error() {
        let aws = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "topsecret")];
        for (key_id, secret, environment) in
            [("", "", &aws[..0]), ("id", "", &aws), ("", "topsecret", &aws), ("", "", &aws[..1])]
        {
            let message = with_bucket(key_id, secret, environment).expect_err("half").to_string();
            assert!(message.contains("`store.key_id`"), "{message}");
            assert!(!message.contains("topsecret"), "{message}");
        }
        let config = with_bucket("", "", &aws).expect("whole");
        assert_eq!(config.store.folder, Path::new("./data/store"), "the copies on their way");
        let origin = config.store.bucket_origin();
        assert_eq!(origin.as_deref(), Some("https://s3.us-west-004.backblazeb2.com"));
        assert!(!config.to_toml().contains("topsecret"));
        assert!(!format!("{config:?}").contains("topsecret"));
    }

    #[test]
    fn databases_on_the_network_are_accepted_and_their_passwords_masked() {
        for url in ["mysql://u:topsecret@h/db", "postgres://u:topsecret@h/db?sslmode=verify-full"] {
            let config = with("database.url", url).expect("valid");
            assert_eq!(config.database.options.url, url);
            assert!(!config.to_toml().contains("topsecret") && config.to_toml().contains("u:***@h/db"));
            assert!(!format!("{config:?}").contains("topsecret"));
        }
        let config = with("database.statement_timeout", "30s").expect("valid");
        assert_eq!(config.database.options.statement_timeout, Duration::from_secs(30));
        assert_eq!(config.database.options.connect_timeout, DatabaseOptions::DEFAULT_CONNECT_TIMEOUT);
        assert_eq!(config.database.options.max_connections, DatabaseOptions::DEFAULT_MAX_CONNECTIONS);
    }

    #[test]
    fn relay_targets_are_a_list_or_the_established_variable_and_masked() {
        let read = |file: &str, environment: &[(&str, &str)]| {
            Config::read(&Sources {
                file: Some(("turepe.toml".to_owned(), file.to_owned())),
                environment: environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
                ..Sources::default()
            })
        };
        let listed = "[relay]\ntargets = [\"rtmp://a/live\", \"rtmps://b/app?token=topsecret\"]\n";
        let config = read(listed, &[]).expect("valid");
        assert_eq!(config.relay.targets.len(), 2);
        assert!(!config.to_toml().contains("topsecret") && !format!("{config:?}").contains("topsecret"));
        assert!(config.to_toml().contains("rtmps://b/app/***"), "{}", config.to_toml());
        let forward = [("TARGET_FORWARD_URL", "rtmp://c/live, rtmp://d/live")];
        assert_eq!(read("", &forward).expect("valid").relay.targets.len(), 2);
        // What is said here counts.
        let config = read("[relay]\ntargets = \"rtmp://a/live\"\n", &forward).expect("valid");
        assert_eq!(config.relay.targets[0].authority(), ("a", 1935));
        assert!(read("[relay]\ntargets = \"none\"\n", &forward).expect("valid").relay.targets.is_empty());
        let message = read("", &[("TARGET_FORWARD_URL", "topsecret")]).expect_err("none").to_string();
        assert!(message.contains("`relay.targets` from TARGET_FORWARD_URL in environment"), "{message}");
        assert!(!message.contains("topsecret"), "{message}");
    }

    #[test]
    fn an_origin_is_what_browsers_send() {
        for (url, origin) in [
            ("https://Video.Club.example/", "https://video.club.example"),
            ("https://club.example:443/x?y#z", "https://club.example"),
            ("http://10.0.0.4:8080", "http://10.0.0.4:8080"),
            ("http://[fe80::1]:80/", "http://[fe80::1]"),
        ] {
            assert_eq!(origin_of(url).as_deref(), Ok(origin));
        }
        let config = with("http.public_url", "https://club.example/video/").expect("valid");
        assert_eq!(config.http.public_url.as_deref(), Some("https://club.example/video"));
    }
}
