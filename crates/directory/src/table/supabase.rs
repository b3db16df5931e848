//! The table behind PostgREST: Supabase's, or one of one's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::header::{AUTHORIZATION, CONTENT_RANGE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Response, redirect};
use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt as _;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::postgrest::{KeyFamily, Query, Refusal, changed_rows, refusal};
use super::{Answer, KeyRow, LiveRow, StreamId, Table, Update, rfc3339, within};
use crate::condition::{Condition, Seen};
use crate::config::{Columns, DirectoryConfig, Words};
use crate::error::{ConfigError, TableError, shortened};
use crate::finding::{Finding, Severity};
use crate::identifier::TableName;
use crate::limits::{CONNECT_TIMEOUT, LOOKUP_TIMEOUT, MAX_ANSWER_BYTES, PAGE_ROWS, REQUEST_TIMEOUT};

/// What stands between a Supabase project's address and its tables.
const REST_PATH: &str = "/rest/v1";

/// Not a browser's: Supabase answers 401 to browsers that bring a secret key.
const USER_AGENT: &str = concat!("turepe/", env!("CARGO_PKG_VERSION"));

pub(super) struct Supabase {
    client: Client,
    /// Up to and with the table's name.
    address: String,
    is_https: bool,
    is_local: bool,
    family: KeyFamily,
    table: TableName,
    columns: Columns,
    words: Words,
    /// Whether the server is older than PostgREST 13 and does not know `max-affected`.
    is_old: AtomicBool,
}

impl Supabase {
    pub(super) fn new(url: &str, key: &str, config: &DirectoryConfig) -> Result<Self, ConfigError> {
        let base = base_address(url)?;
        let family = KeyFamily::of(key);
        let client = client(headers(key, &family, &config.table)?, base.starts_with("https:"))?;
        let host = base.split("://").nth(1).unwrap_or_default();
        Ok(Self {
            client,
            address: format!("{base}/{}", config.table.table),
            is_https: base.starts_with("https:"),
            is_local: ["localhost", "127.", "[::1]"].iter().any(|local| host.starts_with(local)),
            family,
            table: config.table.clone(),
            columns: config.columns.clone(),
            words: config.words.clone(),
            is_old: AtomicBool::new(false),
        })
    }

    async fn get(&self, query: Query, limit: Duration) -> Result<Vec<Map<String, Value>>, TableError> {
        within(limit, async {
            let address = format!("{}?{}", self.address, query.finish());
            let response = self.client.get(address).send().await.map_err(unreachable)?;
            let status = response.status();
            let body = body(response).await?;
            if !status.is_success() {
                return Err(self.refused(status.as_u16(), &body));
            }
            serde_json::from_slice(&body).map_err(|_| TableError::Answer("no list of rows".to_owned()))
        })
        .await
    }

    /// A write to the rows that the query names; how many it changed.
    async fn patch(&self, query: Query, values: &Value, most: usize) -> Result<u64, TableError> {
        let address = format!("{}?{}", self.address, query.finish());
        let payload = values.to_string();
        within(REQUEST_TIMEOUT, async {
            loop {
                let is_old = self.is_old.load(Ordering::Relaxed);
                let prefer = if is_old {
                    "return=minimal".to_owned()
                } else {
                    format!("return=minimal, handling=strict, max-affected={most}")
                };
                let request = self
                    .client
                    .request(Method::PATCH, &address)
                    .header("prefer", prefer)
                    .header("content-type", "application/json")
                    .body(payload.clone());
                let response = request.send().await.map_err(unreachable)?;
                let status = response.status();
                if status.is_success() {
                    let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
                    // A proxy may strip the header: then the success is taken at its word.
                    let changed = range.and_then(changed_rows).unwrap_or(1);
                    return if changed > most as u64 { Err(TableError::TooManyRows) } else { Ok(changed) };
                }
                let body = body(response).await?;
                match refusal(status.as_u16(), &body, &self.table) {
                    Refusal::UnknownPreference if !is_old => self.is_old.store(true, Ordering::Relaxed),
                    Refusal::UnknownPreference => return Err(TableError::Refused("PGRST122".to_owned())),
                    Refusal::Error(error) => return Err(error),
                }
            }
        })
        .await
    }

    fn refused(&self, status: u16, body: &[u8]) -> TableError {
        match refusal(status, body, &self.table) {
            Refusal::UnknownPreference => TableError::Refused("PGRST122".to_owned()),
            Refusal::Error(error) => error,
        }
    }

    fn key_rows(&self, rows: Vec<Map<String, Value>>) -> Result<Vec<KeyRow>, TableError> {
        rows.iter()
            .map(|row| {
                let key = row.get(self.columns.stream_id.as_str()).and_then(Value::as_str);
                Ok(KeyRow { id: self.id(row)?, stream_id: StreamId(key.unwrap_or_default().to_owned()) })
            })
            .collect()
    }

    fn id(&self, row: &Map<String, Value>) -> Result<Uuid, TableError> {
        let id = row.get(self.columns.id.as_str()).and_then(Value::as_str);
        id.and_then(|id| Uuid::parse_str(id).ok()).ok_or(TableError::NotUuid)
    }

    fn select_key(&self) -> Query {
        Query::default().pair("select", &format!("{},{}", self.columns.id, self.columns.stream_id))
    }

    fn values(&self, is_live: bool, status: &str, cover: Option<&str>, modified_us: i64) -> Value {
        let mut values = Map::new();
        values.insert(self.columns.is_on_live.to_string(), json!(is_live));
        if let Some(column) = &self.columns.last_status {
            values.insert(column.to_string(), json!(status));
        }
        if let (Some(column), Some(cover)) = (&self.columns.cover, cover) {
            values.insert(column.to_string(), json!(cover));
        }
        if let Some(column) = &self.columns.modified {
            // Django's auto_now and friends do not fire through REST.
            values.insert(column.to_string(), json!(rfc3339(modified_us)));
        }
        Value::Object(values)
    }

    async fn findings(&self, now_us: i64) -> Vec<Finding> {
        let mut findings = vec![self.key_finding(now_us)];
        if !self.is_https && !self.is_local {
            let message = "the address is http:// and not of this machine: the key travels unencrypted";
            findings.push(Finding::new(Severity::Warning, "reach", message));
        }
        let columns = &self.columns;
        let all = [Some(&columns.id), Some(&columns.stream_id), Some(&columns.is_on_live)]
            .into_iter()
            .chain([&columns.last_status, &columns.cover, &columns.modified].map(Option::as_ref))
            .flatten();
        let all: Vec<&str> = all.map(|column| column.as_str()).collect();
        let query = Query::default().pair("select", &all.join(",")).pair("limit", "1");
        let row = self.get(query, REQUEST_TIMEOUT).await;
        let sees_rows = match row.and_then(|rows| rows.first().map(|row| self.id(row)).transpose()) {
            Ok(id) => {
                findings.push(Finding::new(Severity::Good, "reach", "the table and its columns are there"));
                id.is_some()
            }
            Err(error) => {
                let subject = if error.is_temporary() { "reach" } else { "read" };
                findings.push(Finding::new(Severity::Error, subject, error.to_string()));
                return findings;
            }
        };
        findings.push(if sees_rows {
            Finding::new(Severity::Good, "read", "rows can be read")
        } else {
            let message = "no row can be seen: the table is empty, or row-level security is on and has no SELECT \
                           policy for the role of the key";
            Finding::new(Severity::Warning, "read", message)
        });
        findings.extend(self.update_findings(sees_rows).await);
        findings
    }

    /// An update of a row whose id is two things at once: it changes nothing, and needs the same grants.
    async fn update_findings(&self, sees_rows: bool) -> Vec<Finding> {
        let query = Query::default()
            .equals(&self.columns.id, &Uuid::nil().to_string())
            .equals(&self.columns.id, &Uuid::max().to_string());
        let values = self.values(false, &self.words.offline, Some(""), 0);
        if let Err(error) = self.patch(query, &values, 1).await {
            return vec![Finding::new(Severity::Error, "update", error.to_string())];
        }
        let mut findings = vec![Finding::new(Severity::Good, "update", "the grants allow updates")];
        if self.family.is_public() {
            let message = if sees_rows {
                "the public key may read stream keys and has the grant to update: unless a row-level security policy \
                 forbids it, anyone with that key (it is in every browser) can read every stream key and edit the \
                 table. Enable row-level security and use a secret key"
            } else {
                "the public key has the grant to update; whether a row-level security policy lets it is only seen with \
                 a row. Use a secret key"
            };
            findings.push(Finding::new(Severity::Warning, "row-level security", message));
        }
        if self.is_old.load(Ordering::Relaxed) {
            let message = "the server is older than PostgREST 13 and cannot bound the rows of an update: `id` must be \
                           unique";
            findings.push(Finding::new(Severity::Hint, "update", message));
        }
        findings
    }

    fn key_finding(&self, now_us: i64) -> Finding {
        let family = self.family.describe();
        match &self.family {
            KeyFamily::Jwt { expires_s: Some(at), .. } if *at < now_us / 1_000_000 => {
                Finding::new(Severity::Error, "key", TableError::ExpiredKey.to_string())
            }
            KeyFamily::Other => {
                let message = format!("the key is {family}; it is sent as apikey and as bearer token");
                Finding::new(Severity::Hint, "key", message)
            }
            KeyFamily::Jwt { role, .. } if role == "anon" || role == "service_role" => {
                let message = format!(
                    "the key is {family}: a legacy key, which Supabase retires by the end of 2026. Make a secret key \
                     (sb_secret_…) and use that"
                );
                Finding::new(Severity::Hint, "key", message)
            }
            _ => Finding::new(Severity::Good, "key", format!("the key is {family}")),
        }
    }
}

impl Table for Supabase {
    fn find<'a>(&'a self, key: &'a str) -> Answer<'a, Vec<KeyRow>> {
        async move {
            let query = self.select_key().equals(&self.columns.stream_id, key).pair("limit", "2");
            match self.get(query, LOOKUP_TIMEOUT).await {
                // The column has a type that such a text cannot be of: no row has it.
                Err(TableError::Refused(state)) if state.ends_with("22P02") => Ok(Vec::new()),
                rows => self.key_rows(rows?),
            }
        }
        .boxed()
    }

    fn keys<'a>(&'a self, channels: &'a [Uuid]) -> Answer<'a, Vec<KeyRow>> {
        async move {
            let query = self.select_key().ids(&self.columns.id, channels);
            self.key_rows(self.get(query, REQUEST_TIMEOUT).await?)
        }
        .boxed()
    }

    fn update<'a>(&'a self, update: &'a Update) -> Answer<'a, u64> {
        async move {
            let modified = self.columns.modified.as_ref();
            let query = Query::default()
                .equals(&self.columns.id, &update.channel.to_string())
                .condition(modified, &update.condition);
            let cover = update.cover.as_deref();
            let values = self.values(update.is_live, &update.last_status, cover, update.modified_us);
            let changed = self.patch(query, &values, 1).await?;
            if changed == 0 && update.condition == Condition::None {
                // Zero rows are a success to PostgREST, also where a policy hides the row from updates.
                let ids = [update.channel];
                let query = self.select_key().ids(&self.columns.id, &ids).pair("limit", "1");
                if !self.get(query, REQUEST_TIMEOUT).await?.is_empty() {
                    return Err(TableError::UpdateHidden);
                }
            }
            Ok(changed)
        }
        .boxed()
    }

    fn refresh<'a>(&'a self, channels: &'a [Uuid], modified_us: i64) -> Answer<'a, u64> {
        async move {
            let query = Query::default().ids(&self.columns.id, channels);
            let values = self.values(true, &self.words.live, None, modified_us);
            self.patch(query, &values, channels.len()).await
        }
        .boxed()
    }

    fn live_page(&self, after: Option<Uuid>) -> Answer<'_, Vec<LiveRow>> {
        async move {
            let (id, modified) = (&self.columns.id, self.columns.modified.as_ref());
            let select = modified.map_or_else(|| id.to_string(), |modified| format!("{id},{modified}"));
            let mut query = Query::default()
                .pair("select", &select)
                .pair(self.columns.is_on_live.as_str(), "is.true")
                .pair("order", &format!("{id}.asc"))
                .pair("limit", &PAGE_ROWS.to_string());
            if let Some(after) = after {
                query = query.pair(id.as_str(), &format!("gt.{after}"));
            }
            let rows = self.get(query, REQUEST_TIMEOUT).await?;
            rows.iter()
                .map(|row| {
                    let seen = modified.and_then(|modified| row.get(modified.as_str())?.as_str());
                    Ok(LiveRow { id: self.id(row)?, seen: Seen(seen.map(str::to_owned)) })
                })
                .collect()
        }
        .boxed()
    }

    fn check(&self, now_us: i64) -> BoxFuture<'_, Vec<Finding>> {
        self.findings(now_us).boxed()
    }
}

/// The address without the table: that of a project gets [`REST_PATH`].
fn base_address(url: &str) -> Result<String, ConfigError> {
    let problem = |reason: &str| ConfigError(format!("{reason}, for example https://project.supabase.co"));
    let url = url.trim().trim_end_matches('/');
    let parsed = reqwest::Url::parse(url).map_err(|_| problem("the directory's address is no URL"))?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none_or(str::is_empty) {
        return Err(problem("the directory's address must begin with https:// (or http://) and a host"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(problem("the directory's address must not hold a password"));
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(problem("the directory's address must end before any `?` or `#`"));
    }
    // An address with a path is that of a PostgREST of one's own, as it stands.
    if parsed.path() == "/" { Ok(format!("{url}{REST_PATH}")) } else { Ok(url.to_owned()) }
}

/// What every request carries.
fn headers(key: &str, family: &KeyFamily, table: &TableName) -> Result<HeaderMap, ConfigError> {
    let secret = |text: &str| {
        let mut value = HeaderValue::from_str(text)
            .map_err(|_| ConfigError("the directory's key holds characters that no key has".to_owned()))?;
        value.set_sensitive(true);
        Ok::<_, ConfigError>(value)
    };
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("apikey"), secret(key)?);
    if family.is_bearer() {
        headers.insert(AUTHORIZATION, secret(&format!("Bearer {key}"))?);
    }
    if let Some(schema) = &table.schema
        && let Ok(name) = HeaderValue::from_str(schema.as_str())
    {
        // PostgREST reads the first with GET and the second with PATCH.
        headers.insert(HeaderName::from_static("accept-profile"), name.clone());
        headers.insert(HeaderName::from_static("content-profile"), name);
    }
    Ok(headers)
}

fn client(headers: HeaderMap, is_https: bool) -> Result<Client, ConfigError> {
    let problem = |reason: String| ConfigError(format!("cannot prepare TLS for the directory: {reason}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| problem(error.to_string()))?;
    let tls = if is_https {
        tls.with_platform_verifier().map_err(|error| problem(error.to_string()))?.with_no_client_auth()
    } else {
        // No certificate is ever shown: a machine without root certificates must not fail here.
        tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
    };
    Client::builder()
        .tls_backend_preconfigured(tls)
        .default_headers(headers)
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT)
        // A redirect would carry the key to wherever it points.
        .redirect(redirect::Policy::none())
        .build()
        .map_err(|error| problem(error.without_url().to_string()))
}

/// The body, as long as it is sensible.
async fn body(mut response: Response) -> Result<Vec<u8>, TableError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(TableError::Answer("more than it was asked for".to_owned()));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// A request that found no answer. The address holds a stream key: it stays out of the words.
fn unreachable(error: reqwest::Error) -> TableError {
    let error = error.without_url();
    if error.is_timeout() {
        return TableError::timeout();
    }
    let mut deepest: &dyn std::error::Error = &error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    TableError::Unavailable(shortened(&deepest.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (url, base) in [
            ("https://x.supabase.co", "https://x.supabase.co/rest/v1"),
            ("https://x.supabase.co/", "https://x.supabase.co/rest/v1"),
            ("https://x.supabase.co/rest/v1/", "https://x.supabase.co/rest/v1"),
            ("http://127.0.0.1:3000/postgrest", "http://127.0.0.1:3000/postgrest"),
        ] {
            assert_eq!(base_address(url).as_deref(), Ok(base));
        }
        for bad in
            ["", "x.supabase.co", "postgres://h/db", "https://u:secret@h", "https://h/?a=b", "https://"]
        {
            let error = base_address(bad).unwrap_err().to_string();
            assert!(error.contains("https://project") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn only_jwts_are_bearer_tokens_and_no_header_shows_its_key() {
        let table = TableName { schema: Some(Identifier::known("club")), table: Identifier::known("t") };
        let headers_of = |key: &str| headers(key, &KeyFamily::of(key), &table).unwrap();
        let new = headers_of("sb_secret_hunter2");
        assert!(new.contains_key("apikey") && !new.contains_key(AUTHORIZATION));
        let old = headers_of("e30.e30.hunter2");
        assert_eq!(old[AUTHORIZATION], "Bearer e30.e30.hunter2");
        assert!(!format!("{new:?}{old:?}").contains("hunter2"));
        assert_eq!(old["content-profile"], "club");
        assert!(headers("a\nb", &KeyFamily::Other, &table).is_err());
    }

    use crate::identifier::Identifier;
}
