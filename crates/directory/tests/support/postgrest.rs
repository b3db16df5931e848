//! A stand-in for Supabase: its gateway and PostgREST over a real PostgreSQL with real roles and row-level security.
//!
//! Made from PostgREST's documentation (version 13) and Supabase's of its keys, as no PostgREST can be installed here.
//!
//! - **As there**: the gateway's refusals of missing and unknown keys; both key families; JWTs (HS256, `exp`, `role`);
//!   the role is set in the transaction, so grants and policies are PostgreSQL's own; `select`, `order`, `limit`, the
//!   operators `eq`, `gt`, `in` and `is`; `PATCH` with `json_populate_record`; `Prefer` with `return`, `handling` and
//!   `max-affected`, and a version 12 that does not know the last; `Content-Range` of writes; error codes and statuses.
//! - **Not there**: other operators, embedding, RPC, counts, `return=representation`, CSV, the schema cache's reload,
//!   `safeupdate`, profiles, HTTP/2 and TLS. Error messages are PostgREST's in the parts that are read.

use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Router, routing};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, Row as _};
use tokio::task::JoinHandle;

/// Signs the legacy keys.
const JWT_SECRET: &[u8] = b"a secret of at least thirty-two bytes";
pub const PUBLISHABLE: &str = "sb_publishable_for-browsers";
pub const SECRET: &str = "sb_secret_for-servers";

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: String,
}

/// The running stand-in.
pub struct Postgrest {
    pub url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    pool: PgPool,
    version: AtomicU64,
    /// Answers this status to everything, where it is not 0.
    broken: AtomicU16,
    requests: Mutex<Vec<Request>>,
}

impl Postgrest {
    pub async fn start(pool: PgPool) -> Self {
        let shared =
            Arc::new(Shared { pool, version: 13.into(), broken: 0.into(), requests: Mutex::default() });
        let app = Router::new().route("/rest/v1/{table}", routing::any(handle)).with_state(shared.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, shared, task }
    }

    /// Which PostgREST it is.
    pub fn set_version(&self, version: u64) {
        self.shared.version.store(version, Ordering::SeqCst);
    }

    /// Answers a status to everything, or works again.
    pub fn set_broken(&self, status: Option<u16>) {
        self.shared.broken.store(status.unwrap_or(0), Ordering::SeqCst);
    }

    /// All requests since the last call.
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.shared.requests.lock().unwrap())
    }
}

impl Drop for Postgrest {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A legacy key.
pub fn jwt(role: &str, expires_s: i64) -> String {
    let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = encode(json!({ "alg": "HS256", "typ": "JWT" }));
    let signed = format!("{header}.{}", encode(json!({ "role": role, "iss": "supabase", "exp": expires_s })));
    let signature = URL_SAFE_NO_PAD.encode(mac(&signed).finalize().into_bytes());
    format!("{signed}.{signature}")
}

fn mac(signed: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(JWT_SECRET).unwrap();
    mac.update(signed.as_bytes());
    mac
}

/// An error as PostgREST writes it.
struct Failed(StatusCode, Value);

fn failed(status: u16, code: &str, message: &str) -> Failed {
    let body = json!({ "code": code, "message": message, "details": null, "hint": null });
    Failed(StatusCode::from_u16(status).unwrap(), body)
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    Path(table): Path<String>,
    method: Method,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let query = query.unwrap_or_default();
    let text = String::from_utf8_lossy(&body).into_owned();
    let request =
        Request { method: method.to_string(), query: query.clone(), headers: headers.clone(), body: text };
    shared.requests.lock().unwrap().push(request);
    let broken = shared.broken.load(Ordering::SeqCst);
    if broken != 0 {
        return (StatusCode::from_u16(broken).unwrap(), "<html>no</html>").into_response();
    }
    let answered = match role(&headers) {
        Ok(role) if method == Method::GET => read(&shared, &role, &table, &query).await,
        Ok(role) if method == Method::PATCH => write(&shared, &role, &table, &query, &headers, &body).await,
        Ok(_) => Err(failed(405, "PGRST117", "Unsupported HTTP method")),
        Err(error) => Err(error),
    };
    answered.unwrap_or_else(|Failed(status, body)| (status, axum::Json(body)).into_response())
}

/// The gateway: which role a key is.
fn role(headers: &HeaderMap) -> Result<String, Failed> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let gateway = |message: &str| Failed(StatusCode::UNAUTHORIZED, json!({ "message": message }));
    let Some(key) = header("apikey") else { return Err(gateway("No API key found in request")) };
    let from_key = match key {
        PUBLISHABLE => Some("anon".to_owned()),
        SECRET => {
            if header("user-agent").is_some_and(|agent| agent.contains("Mozilla")) {
                return Err(gateway("Forbidden use of secret API key in browser"));
            }
            Some("service_role".to_owned())
        }
        key if key.matches('.').count() == 2 => None,
        _ => return Err(gateway("Invalid API key")),
    };
    match (header("authorization").and_then(|value| value.strip_prefix("Bearer ")), from_key) {
        (Some(token), _) => claims(token),
        (None, Some(role)) => Ok(role),
        // A legacy key alone is let in as anon.
        (None, None) => Ok("anon".to_owned()),
    }
}

fn claims(token: &str) -> Result<String, Failed> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        return Err(failed(401, "PGRST301", "Expected 3 parts in JWT; got 1"));
    };
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    if mac(&format!("{header}.{payload}")).verify_slice(&signature).is_err() {
        return Err(failed(401, "PGRST301", "JWSError JWSInvalidSignature"));
    }
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    let now_s = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
    // Thirty seconds of skew, as there.
    if claims["exp"].as_i64().is_some_and(|exp| exp + 30 < now_s) {
        return Err(failed(401, "PGRST303", "JWT expired"));
    }
    Ok(claims["role"].as_str().unwrap_or("anon").to_owned())
}

async fn read(shared: &Shared, role: &str, table: &str, query: &str) -> Result<Response, Failed> {
    check_table(shared, table).await?;
    let (mut select, mut order, mut limit, mut filters) =
        ("*".to_owned(), String::new(), String::new(), Vec::new());
    for (name, value) in pairs(query) {
        match name.as_str() {
            "select" => select = value.split(',').map(quoted).collect::<Vec<_>>().join(", "),
            "order" => order = format!(" ORDER BY {} ASC", quoted(value.strip_suffix(".asc").unwrap())),
            "limit" => limit = format!(" LIMIT {}", value.parse::<u32>().unwrap()),
            _ => filters.push(filter(table, &name, &value)?),
        }
    }
    let filter = where_of(&filters);
    let table = quoted(table);
    let sql = format!(
        "SELECT coalesce(json_agg(one), '[]')::text FROM (SELECT {select} FROM {table}{filter}{order}{limit}) one"
    );
    let mut transaction = begin(shared, role).await?;
    let row = sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch_one(&mut *transaction).await;
    let row = row.map_err(|error| database(error, role))?;
    let rows: String = row.get(0);
    Ok(([("content-type", "application/json")], rows).into_response())
}

async fn write(
    shared: &Shared,
    role: &str,
    table: &str,
    query: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, Failed> {
    check_table(shared, table).await?;
    let (mut is_strict, mut most, mut unknown) = (false, None, Vec::new());
    let is_old = shared.version.load(Ordering::SeqCst) < 13;
    for preference in headers.get_all("prefer").iter().flat_map(|value| value.to_str().unwrap().split(',')) {
        match preference.trim().split_once('=').unwrap() {
            ("return", "minimal") => {}
            ("handling", handling) => is_strict = handling == "strict",
            ("max-affected", number) if !is_old => most = Some(number.parse::<i64>().unwrap()),
            _ => unknown.push(preference.trim()),
        }
    }
    if is_strict && !unknown.is_empty() {
        return Err(failed(400, "PGRST122", "Invalid preferences given with handling=strict"));
    }
    let filters: Vec<String> =
        pairs(query).iter().map(|(name, value)| filter(table, name, value)).collect::<Result<_, _>>()?;
    assert!(!filters.is_empty(), "a PATCH without a filter: {query}");
    let values: Value =
        serde_json::from_slice(body).map_err(|_| failed(400, "PGRST102", "Empty or invalid json"))?;
    let mut sets = Vec::new();
    for name in values.as_object().unwrap().keys() {
        check_column(shared, table, name).await?;
        sets.push(format!("{0} = given.{0}", quoted(name)));
    }
    let (target, sets, filter) = (quoted(table), sets.join(", "), where_of(&filters));
    let json = literal(&values.to_string());
    let sql = format!(
        "WITH changed AS (UPDATE {target} SET {sets} FROM (SELECT * FROM json_populate_record(null::{target}, {json}::json)) \
         given{filter} RETURNING 1) SELECT count(*) FROM changed"
    );
    let mut transaction = begin(shared, role).await?;
    let row = sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch_one(&mut *transaction).await;
    let changed: i64 = row.map_err(|error| database(error, role))?.get(0);
    if is_strict && most.is_some_and(|most| changed > most) {
        return Err(failed(400, "PGRST124", "Query result exceeds max-affected preference constraint"));
    }
    transaction.commit().await.map_err(|error| database(error, role))?;
    let range = if changed == 0 { "*/*".to_owned() } else { format!("0-{}/*", changed - 1) };
    Ok((StatusCode::NO_CONTENT, [("content-range", range)]).into_response())
}

async fn begin(shared: &Shared, role: &str) -> Result<sqlx::Transaction<'static, sqlx::Postgres>, Failed> {
    let unavailable = |_| failed(503, "PGRST001", "Could not query the database");
    let mut transaction = shared.pool.begin().await.map_err(unavailable)?;
    let sql = format!("SET LOCAL ROLE {}", quoted(role));
    sqlx::query(AssertSqlSafe(sql))
        .execute(&mut *transaction)
        .await
        .map_err(|error| database(error, role))?;
    Ok(transaction)
}

async fn check_table(shared: &Shared, table: &str) -> Result<(), Failed> {
    let known =
        sqlx::query("SELECT to_regclass($1) IS NOT NULL").bind(quoted(table)).fetch_one(&shared.pool).await;
    let known = known.map_err(|_| failed(503, "PGRST001", "Could not query the database"))?;
    if known.get::<bool, _>(0) {
        return Ok(());
    }
    let message = format!("Could not find the table 'public.{table}' in the schema cache");
    Err(failed(404, "PGRST205", &message))
}

async fn check_column(shared: &Shared, table: &str, column: &str) -> Result<(), Failed> {
    let sql = "SELECT count(*) FROM information_schema.columns WHERE table_name = $1 AND column_name = $2";
    let known = sqlx::query(sql).bind(table).bind(column).fetch_one(&shared.pool).await;
    if known.map_err(|error| database(error, ""))?.get::<i64, _>(0) > 0 {
        return Ok(());
    }
    let message = format!("Could not find the '{column}' column of '{table}' in the schema cache");
    Err(failed(400, "PGRST204", &message))
}

/// PostgREST's table of SQLSTATEs and statuses.
fn database(error: sqlx::Error, role: &str) -> Failed {
    let sqlx::Error::Database(error) = error else {
        return failed(503, "PGRST001", "Could not query the database");
    };
    let code = error.code().unwrap_or_default().into_owned();
    let status = match code.as_str() {
        "42501" if role == "anon" => 401,
        "42501" => 403,
        "42P01" => 404,
        "23503" | "23505" => 409,
        code if code.starts_with("08") || code.starts_with("53") || code.starts_with("57P") => 503,
        _ => 400,
    };
    failed(status, &code, error.message())
}

fn where_of(filters: &[String]) -> String {
    if filters.is_empty() { String::new() } else { format!(" WHERE {}", filters.join(" AND ")) }
}

fn filter(table: &str, name: &str, value: &str) -> Result<String, Failed> {
    let column = format!("{}.{}", quoted(table), quoted(name));
    let problem = || failed(400, "PGRST100", "failed to parse filter");
    let (operator, value) = value.split_once('.').ok_or_else(problem)?;
    Ok(match operator {
        "eq" => format!("{column} = {}", literal(value)),
        "gt" => format!("{column} > {}", literal(value)),
        "is" if ["true", "false", "null"].contains(&value) => format!("{column} IS {value}"),
        "in" => {
            let list = value.strip_prefix('(').and_then(|list| list.strip_suffix(')')).ok_or_else(problem)?;
            let list: Vec<String> = elements(list).iter().map(|element| literal(element)).collect();
            format!("{column} IN ({})", list.join(", "))
        }
        _ => return Err(problem()),
    })
}

/// `a,"b,c","d\"e"`
fn elements(list: &str) -> Vec<String> {
    let (mut elements, mut element, mut is_quoted) = (Vec::new(), String::new(), false);
    let mut chars = list.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => is_quoted = !is_quoted,
            '\\' if is_quoted => element.extend(chars.next()),
            ',' if !is_quoted => elements.push(std::mem::take(&mut element)),
            c => element.push(c),
        }
    }
    elements.push(element);
    elements
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| -> String {
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            match byte {
                b'%' => {
                    let hex = std::str::from_utf8(&rest[..2]).unwrap();
                    bytes.push(u8::from_str_radix(hex, 16).unwrap());
                    rest = &rest[2..];
                }
                b'+' => bytes.push(b' '),
                byte => bytes.push(*byte),
            }
        }
        String::from_utf8(bytes).unwrap()
    };
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap();
        (decode(name), decode(value))
    };
    query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Of unknown type, as PostgREST sends it.
fn literal(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}
