//! Stands between a bucket's client and the service, and does to them what networks and B2 do: refuse, stall, reset,
//! cut bodies, lose answers, change ETags. It also refuses what B2 refuses.
//!
//! One request at a time and connection; bodies are held whole, so that it is nothing for large objects. Parts below
//! 5 MiB are refused by the service behind it.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Longest head of a request or an answer.
const MAX_HEAD: usize = 64 * 1024;

/// What a request asks for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum S3Call {
    /// `HeadObject`
    Head,
    /// `GetObject`
    Get,
    /// `PutObject`
    Put,
    /// `DeleteObject`
    Delete,
    /// `CreateMultipartUpload`
    CreateUpload,
    /// `UploadPart`
    UploadPart,
    /// `ListParts`
    ListParts,
    /// `CompleteMultipartUpload`
    Complete,
    /// `AbortMultipartUpload`
    Abort,
    /// `ListMultipartUploads`
    ListUploads,
    /// `ListObjectVersions`
    ListVersions,
    /// `ListObjectsV2`
    List,
    /// Anything else.
    Other,
}

/// What becomes of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WireFault {
    /// 503 with so many seconds to wait; the connection stays open.
    SlowDown(u32),
    /// 500; the connection stays open.
    InternalError,
    /// 403 as B2 says it when a cap is reached.
    CapExceeded,
    /// The connection is reset before anything is done.
    Reset,
    /// It is done, and the connection is reset in place of the answer.
    AnswerLost,
    /// Nothing ever comes.
    Stall,
    /// Half of the answer's body comes.
    TruncatedBody,
    /// The answer carries another ETag.
    WrongEtag,
    /// `200` whose body is an error; nothing is done.
    ErrorInside200,
    /// A redirect to another region.
    Redirect,
    /// A whole answer with the first half of the range that was asked for, and a `content-range` that says so: RFC 9110, section 15.3.7,
    /// lets a server give less.
    ShortRange,
    /// A page for people with this status, in place of the service: a proxy, or a provider's portal.
    Page(u16),
    /// `404 NoSuchUpload`, as of an upload that was forgotten; nothing is done.
    NoSuchUpload,
}

/// A request that came through.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What it asked for.
    pub call: S3Call,
    /// Path and query.
    pub target: String,
    /// Number of the connection it came on.
    pub connection: usize,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
}

#[derive(Default)]
struct State {
    rules: Vec<(Option<S3Call>, WireFault, u32)>,
    is_away: bool,
    connections: usize,
    seen: Vec<Seen>,
    refused: Vec<String>,
}

/// A running proxy. It ends, with all its connections, with this value.
pub struct FaultProxy {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

impl FaultProxy {
    /// Starts a proxy before the service at `upstream`.
    pub async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, upstream, state.clone()));
        Self { address, state, _tasks: tasks }
    }

    /// The next `times` requests of this kind, or of any, fail so. Earlier rules are asked first.
    pub fn inject(&self, call: impl Into<Option<S3Call>>, fault: WireFault, times: u32) {
        self.lock().rules.push((call.into(), fault, times));
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.lock().rules.clear();
    }

    /// While it is away, every connection is reset.
    pub fn set_away(&self, is_away: bool) {
        self.lock().is_away = is_away;
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.lock().seen.clone()
    }

    /// How many requests of a kind there were.
    pub fn calls(&self, call: S3Call) -> usize {
        self.lock().seen.iter().filter(|seen| seen.call == call).count()
    }

    /// What was sent that B2 does not take.
    pub fn refused(&self) -> Vec<String> {
        self.lock().refused.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

async fn accept(listener: TcpListener, upstream: SocketAddr, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let connection = {
            let mut state = state.lock().unwrap();
            state.connections += 1;
            state.connections
        };
        let state = state.clone();
        connections.spawn(async move {
            // A peer that goes away is what this is for.
            let _ = serve(socket, upstream, &state, connection).await;
        });
    }
}

/// A message of HTTP/1.1 with its body.
struct Message {
    first_line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Message {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.first_line);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        [text.as_bytes(), &self.body].concat()
    }

    fn call(&self) -> S3Call {
        let mut words = self.first_line.split(' ');
        let method = words.next().unwrap_or_default();
        let (path, query) = words.next().unwrap_or_default().split_once('?').unwrap_or_default();
        let path = if path.is_empty() { self.first_line.split(' ').nth(1).unwrap_or_default() } else { path };
        let has = |key: &str| query.split('&').any(|pair| pair.split('=').next() == Some(key));
        let is_object = path.trim_start_matches('/').contains('/');
        match method {
            "GET" if has("uploads") => S3Call::ListUploads,
            "POST" if has("uploads") => S3Call::CreateUpload,
            "PUT" if has("partNumber") => S3Call::UploadPart,
            "GET" if has("uploadId") => S3Call::ListParts,
            "POST" if has("uploadId") => S3Call::Complete,
            "DELETE" if has("uploadId") => S3Call::Abort,
            "GET" if has("versions") => S3Call::ListVersions,
            "GET" if has("list-type") => S3Call::List,
            "HEAD" if is_object => S3Call::Head,
            "GET" if is_object => S3Call::Get,
            "PUT" if is_object => S3Call::Put,
            "DELETE" if is_object => S3Call::Delete,
            _ => S3Call::Other,
        }
    }

    /// An answer with the first half of its range. One byte stays.
    fn shorten(&mut self) {
        let given = self.header("content-range").and_then(|range| {
            let (range, of) = range.strip_prefix("bytes ")?.split_once('/')?;
            Some((range.split_once('-')?.0.parse::<usize>().ok()?, of.to_owned()))
        });
        let Some((first, of)) = given else { return };
        self.body.truncate((self.body.len() / 2).max(1));
        let last = first + self.body.len() - 1;
        for (name, value) in &mut self.headers {
            match name.as_str() {
                "content-range" => *value = format!("bytes {first}-{last}/{of}"),
                "content-length" => *value = self.body.len().to_string(),
                _ => {}
            }
        }
    }

    /// What B2 would not take of it.
    fn refused_by_b2(&self) -> Option<String> {
        let is_header_refused = |name: &str| {
            name.starts_with("x-amz-checksum-")
                || name.starts_with("x-amz-sdk-checksum-")
                || matches!(name, "x-amz-tagging" | "x-amz-trailer")
        };
        self.headers
            .iter()
            .find(|(name, value)| {
                is_header_refused(name)
                    || (name == "content-encoding" && value.contains("aws-chunked"))
                    || (name == "x-amz-content-sha256" && value.starts_with("STREAMING"))
            })
            .map(|(name, _)| format!("Unsupported header '{name}' received for this API call."))
    }
}

async fn serve(
    mut client: TcpStream,
    upstream: SocketAddr,
    state: &Mutex<State>,
    connection: usize,
) -> io::Result<()> {
    loop {
        let request = read_message(&mut client, BodyEnd::Length).await?;
        if state.lock().unwrap().is_away {
            return client.set_zero_linger();
        }
        let (call, refused) = (request.call(), request.refused_by_b2());
        let fault = {
            let mut state = state.lock().unwrap();
            let target = request.first_line.split(' ').nth(1).unwrap_or_default().to_owned();
            state.seen.push(Seen { call, target, connection, headers: request.headers.clone() });
            state.refused.extend(refused.clone());
            let rule = state
                .rules
                .iter_mut()
                .find(|(wanted, _, left)| *left > 0 && wanted.is_none_or(|wanted| wanted == call));
            rule.map(|(_, fault, left)| {
                *left -= 1;
                *fault
            })
        };
        let is_head = call == S3Call::Head;
        if let Some(message) = refused {
            client.write_all(&error(400, "InvalidArgument", &message, "", is_head)).await?;
            continue;
        }
        let cap =
            "Cannot upload files, storage cap exceeded. See the Caps & Alerts page to increase your cap.";
        let own = match fault {
            Some(WireFault::SlowDown(seconds)) => {
                let wait = format!("retry-after: {seconds}\r\n");
                Some(error(503, "SlowDown", "no tomes available", &wait, is_head))
            }
            Some(WireFault::InternalError) => {
                Some(error(500, "InternalError", "An internal error occurred.", "", is_head))
            }
            Some(WireFault::CapExceeded) => Some(error(403, "AccessDenied", cap, "", is_head)),
            Some(WireFault::ErrorInside200) => {
                Some(error(200, "InternalError", "We encountered an internal error.", "", is_head))
            }
            Some(WireFault::Redirect) => {
                let region = "x-amz-bucket-region: eu-central-003\r\nlocation: http://127.0.0.1:9/\r\n";
                Some(error(301, "PermanentRedirect", "elsewhere", region, is_head))
            }
            Some(WireFault::NoSuchUpload) => {
                Some(error(404, "NoSuchUpload", "The specified upload does not exist.", "", is_head))
            }
            Some(WireFault::Page(status)) => {
                let page = "<!doctype html><title>Welcome</title><p>Please sign in to the hotel's network.";
                let head = format!("HTTP/1.1 {status} X\r\ncontent-type: text/html; charset=utf-8\r\n");
                let body = if is_head { "" } else { page };
                Some(format!("{head}content-length: {}\r\n\r\n{body}", page.len()).into_bytes())
            }
            _ => None,
        };
        if let Some(own) = own {
            client.write_all(&own).await?;
            continue;
        }
        match fault {
            Some(WireFault::Reset) => return client.set_zero_linger(),
            Some(WireFault::Stall) => std::future::pending().await,
            _ => {}
        }
        let mut answer = forward(upstream, request, is_head).await?;
        match fault {
            Some(WireFault::AnswerLost) => return client.set_zero_linger(),
            Some(WireFault::WrongEtag) => {
                for (_, value) in answer.headers.iter_mut().filter(|(name, _)| name == "etag") {
                    *value = "\"00000000000000000000000000000000\"".into();
                }
            }
            Some(WireFault::TruncatedBody) => answer.body.truncate(answer.body.len() / 2),
            Some(WireFault::ShortRange) => answer.shorten(),
            _ => {}
        }
        // The service was asked to close, and says so: the client does not use this connection again.
        client.write_all(&answer.bytes()).await?;
        return client.shutdown().await;
    }
}

/// How a body's end is known.
#[derive(PartialEq, Eq)]
enum BodyEnd {
    /// From `content-length`.
    Length,
    /// From the connection's end.
    Connection,
}

async fn forward(upstream: SocketAddr, mut request: Message, is_head: bool) -> io::Result<Message> {
    request.headers.retain(|(name, _)| name != "connection");
    request.headers.push(("connection".into(), "close".into()));
    let mut service = TcpStream::connect(upstream).await?;
    service.write_all(&request.bytes()).await?;
    let mut answer = read_message(&mut service, BodyEnd::Connection).await?;
    if answer.header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        answer.body = unchunked(&answer.body);
        answer.headers.retain(|(name, _)| name != "transfer-encoding" && name != "content-length");
        if !is_head {
            answer.headers.push(("content-length".into(), answer.body.len().to_string()));
        }
    }
    Ok(answer)
}

async fn read_message(socket: &mut TcpStream, end: BodyEnd) -> io::Result<Message> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if bytes.len() > MAX_HEAD || socket.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut body = bytes.split_off(head_end + 4);
    let mut lines = head.split("\r\n");
    let first_line = lines.next().unwrap_or_default().to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut message = Message { first_line, headers, body: Vec::new() };
    let length: usize = message.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    if end == BodyEnd::Connection {
        socket.read_to_end(&mut body).await?;
    } else {
        while body.len() < length {
            if socket.read_buf(&mut body).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
    message.body = body;
    Ok(message)
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(at) = bytes.windows(2).position(|window| window == b"\r\n") {
        let line = String::from_utf8_lossy(&bytes[..at]).into_owned();
        let length =
            usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16).unwrap_or(0);
        if length == 0 {
            break;
        }
        whole.extend_from_slice(&bytes[at + 2..at + 2 + length]);
        bytes = &bytes[at + 4 + length..];
    }
    whole
}

fn error(status: u16, code: &str, message: &str, headers: &str, is_head: bool) -> Vec<u8> {
    let message = message.replace('&', "&amp;");
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    let length = body.len();
    let body = if is_head { "" } else { &body };
    format!(
        "HTTP/1.1 {status} X\r\n{headers}content-type: application/xml\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
