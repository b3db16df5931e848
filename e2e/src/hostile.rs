//! Everything that a stranger can do to a node at once, while cameras publish: what became of the recording, of the health check,
//! and of the node's memory and descriptors.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use databases::free_port;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::Value;
use testing::certificates::Authority;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use crate::clip::Clip;
use crate::exact::us;
use crate::node::{Court, Node, NodeOptions, now_us, wait_until};
use crate::publisher::Publisher;

/// Longest wait for any single thing.
const PATIENCE: Duration = Duration::from_secs(120);
/// How soon after the attack the node is to have given back what it took.
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(60);
/// Segments of the match that is attacked: a reader could hold each of them open.
const SEGMENTS: usize = 5;
/// Bytes that a stalled reader lets the kernel keep for it.
const SMALL_WINDOW: u32 = 4096;
/// What a node may write to its log while it is attacked: each kind of refusal of each address once in ten seconds, with their number.
const LOG_LINES: usize = 100;
/// See above; seven addresses, and five kinds.
const LOG_LINES_PER_S: usize = 2;
/// Ticks and microseconds are rounded, and a session begins at a keyframe.
const TOLERANCE_US: i64 = 3_000_000;

/// What is tried.
#[derive(Debug, Clone, Copy)]
pub struct HostilePlan {
    /// How many cameras publish.
    pub publishers: usize,
    /// How many hostile connections there are of each kind.
    pub crowd: usize,
    /// For how long.
    pub lasting: Duration,
    /// Largest memory that the node may have at any time, bytes.
    pub memory: u64,
    /// Longest time that a health check may take.
    pub health: Duration,
    /// By how much more than before the attack its memory may be afterwards, bytes.
    pub memory_kept: u64,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct HostileReport {
    /// Health checks that were answered.
    pub healthy: u64,
    /// The slowest of them.
    pub slowest_health: Duration,
    /// Answers that the attackers got: what was let through, and what was turned away (503, 429, or closed).
    pub answered: u64,
    /// See above.
    pub refused: u64,
    /// Of those let through, matches by HTTP/2, and segments of the live window.
    pub answered_http_2: u64,
    /// See above.
    pub answered_live: u64,
    /// Resident memory in bytes: before, at its highest, and a minute after at most.
    pub memory: [u64; 3],
    /// Open descriptors, at the same times.
    pub descriptors: [u64; 3],
    /// Lines that the node wrote to its log meanwhile.
    pub log_lines: usize,
    /// Recorded time over all channels, and what it should be.
    pub recorded_us: i64,
    /// See above.
    pub elapsed_us: i64,
    /// Everything that is not as it must be, in words.
    pub faults: Vec<String>,
}

/// What the attackers know and count.
struct Attack {
    http: SocketAddr,
    https: SocketAddr,
    rtmp: SocketAddr,
    host: String,
    trust: Arc<ClientConfig>,
    /// Addresses that any visitor gets: a match, and its playlist.
    download: String,
    playlist: String,
    /// The folders of live channels.
    live: Vec<String>,
    is_over: AtomicBool,
    answered: AtomicU64,
    refused: AtomicU64,
    answered_http_2: AtomicU64,
    answered_live: AtomicU64,
}

/// Runs the plan.
pub fn attack(plan: &HostilePlan) -> HostileReport {
    let authority = Authority::new();
    let (folder, https) = (tempfile::tempdir().expect("a folder"), free_port());
    let options = NodeOptions {
        is_on_all_addresses: true,
        settings: with_tls(&authority, folder.path(), https),
        ..NodeOptions::default()
    };
    let node = Node::start(options);
    node.add_club("club", 60);
    let courts: Vec<Court> =
        (0..plan.publishers).map(|number| node.add_court("club", &format!("c{number}"))).collect();
    let keys: Vec<&str> = courts.iter().skip(1).map(|court| court.key.as_str()).collect();
    let begin_us = now_us();
    // One match is far larger than what the kernel keeps for a reader that stands still.
    let cameras = [
        Publisher::turepe(Clip::Heavy, &node.rtmp_url(&courts[0].key)),
        Publisher::turepe_many(Clip::H264, &node, &keys),
    ];
    for court in &courts {
        wait_until("footage of every camera", PATIENCE, || {
            let replay = node.replay(court, begin_us, now_us());
            (replay["fragments"].as_array()?.len() >= SEGMENTS).then_some(())
        });
    }

    let replay = node.replay(&courts[0], begin_us - 3_600_000_000, now_us());
    let address = |name: &str| replay[name].as_str().expect("an address").to_owned();
    let own = own_address();
    let attack = Arc::new(Attack {
        http: SocketAddr::new(own, node.http.port()),
        https: SocketAddr::new(own, https),
        trust: {
            let mut trust = (*authority.client()).clone();
            trust.alpn_protocols = vec![b"h2".to_vec()];
            Arc::new(trust)
        },
        rtmp: SocketAddr::new(own, node.rtmp.port()),
        host: SocketAddr::new(own, node.http.port()).to_string(),
        download: address("downloadUrl"),
        playlist: address("playlistUrl"),
        live: courts.iter().map(|court| format!("/live/{}", court.channel)).collect(),
        is_over: AtomicBool::new(false),
        answered: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        answered_http_2: AtomicU64::new(0),
        answered_live: AtomicU64::new(0),
    });
    let mut report = HostileReport::default();
    (report.memory[0], report.descriptors[0]) = usage(&node);
    let said = lines_of_log(&node);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    for number in 0..plan.crowd {
        runtime.spawn(Arc::clone(&attack).keep_at_it(number, stalled_download));
        runtime.spawn(Arc::clone(&attack).keep_at_it(number, slow_head));
        runtime.spawn(Arc::clone(&attack).keep_at_it(number, half_open));
        runtime.spawn(Arc::clone(&attack).keep_at_it(number, closed_window));
        runtime.spawn(Arc::clone(&attack).keep_at_it(number, stalled_live));
        // Of these each is worth many of the others.
        if number.is_multiple_of(8) {
            runtime.spawn(Arc::clone(&attack).keep_at_it(number, flood));
        }
    }

    let start = Instant::now();
    while start.elapsed() < plan.lasting {
        let asked = Instant::now();
        match health(node.http) {
            Ok(()) => report.healthy += 1,
            Err(error) => report.faults.push(format!("no answer of /healthz: {error}")),
        }
        report.slowest_health = report.slowest_health.max(asked.elapsed());
        let (memory, descriptors) = usage(&node);
        report.memory[1] = report.memory[1].max(memory);
        report.descriptors[1] = report.descriptors[1].max(descriptors);
        std::thread::sleep(Duration::from_millis(500));
    }
    attack.is_over.store(true, Ordering::Relaxed);
    runtime.shutdown_background();
    report.log_lines = lines_of_log(&node) - said;
    let most = LOG_LINES + LOG_LINES_PER_S * usize::try_from(plan.lasting.as_secs()).unwrap_or_default();
    if report.log_lines > most {
        report.faults.push(format!("{} lines of log, {most} are explained", report.log_lines));
    }
    report.answered = attack.answered.load(Ordering::Relaxed);
    report.refused = attack.refused.load(Ordering::Relaxed);
    report.answered_http_2 = attack.answered_http_2.load(Ordering::Relaxed);
    report.answered_live = attack.answered_live.load(Ordering::Relaxed);
    if report.answered_http_2 == 0 || report.answered_live == 0 {
        report.faults.push("some of the attackers met nobody".into());
    }
    if report.slowest_health > plan.health {
        report.faults.push(format!("/healthz took {:?}", report.slowest_health));
    }

    let after = Instant::now();
    loop {
        (report.memory[2], report.descriptors[2]) = usage(&node);
        let is_back = report.memory[2] <= report.memory[0] + plan.memory_kept
            && report.descriptors[2] <= report.descriptors[0] + 32;
        if is_back || after.elapsed() > GIVEN_BACK_WITHIN {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    let end_us = now_us();
    cameras.into_iter().for_each(Publisher::stop);
    for court in &courts {
        let replay = node.ended(court, begin_us);
        check_court(court, &replay, end_us, &mut report);
    }
    check_usage(plan, &mut report);
    if node.log().contains("panicked at") {
        report.faults.push("the log speaks of a panic".into());
    }
    report
}

/// Everything that the camera sent is there, without a gap.
fn check_court(court: &Court, replay: &Value, end_us: i64, report: &mut HostileReport) {
    let gaps = replay["gaps"].as_array().expect("gaps");
    if !gaps.is_empty() {
        report.faults.push(format!("gaps of {}: {gaps:?}", court.court));
    }
    let (start, recorded) = (us(&replay["start"]), us(&replay["end"]));
    report.recorded_us += recorded - start;
    report.elapsed_us += end_us - start;
    if recorded < end_us - TOLERANCE_US {
        report.faults.push(format!("{} ends {} ms early", court.court, (end_us - recorded) / 1000));
    }
}

/// Lines of the log that do not tell of the recording, which goes on as ever.
fn lines_of_log(node: &Node) -> usize {
    node.log().lines().filter(|line| !line.contains("turepe_archive::")).count()
}

/// Settings of a node that speaks HTTPS as well, with which browsers speak HTTP/2.
fn with_tls(authority: &Authority, folder: &Path, port: u16) -> Vec<(String, String)> {
    let issued = authority.issue();
    let put = |name: &str, text: &str| {
        let path = folder.join(name);
        #[expect(clippy::disallowed_methods, reason = "a test sets a node up")]
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let settings = [
        ("TUREPE_TLS_CERTIFICATE", put("fullchain.pem", &issued.certificate)),
        ("TUREPE_TLS_KEY", put("privkey.pem", &issued.key)),
        ("TUREPE_HTTP_TLS_LISTEN", format!("0.0.0.0:{port}")),
    ];
    settings.map(|(name, value)| (name.to_owned(), value)).into()
}

fn check_usage(plan: &HostilePlan, report: &mut HostileReport) {
    let [before, highest, after] = report.memory;
    if highest > plan.memory {
        report.faults.push(format!("{} MB of memory at the highest", highest >> 20));
    }
    if after > before + plan.memory_kept {
        report.faults.push(format!("{} MB of memory afterwards, {} before", after >> 20, before >> 20));
    }
    let [before, highest, after] = report.descriptors;
    // Every connection costs one, however much it has asked for; recording goes on beside them.
    let most = before + 6 * plan.crowd as u64 + 64;
    if highest > most {
        report.faults.push(format!("{highest} descriptors at the highest, {most} are explained"));
    }
    if after > before + 32 {
        report.faults.push(format!("{after} descriptors afterwards, {before} before"));
    }
}

/// The machine's own address, where it has one beside loopback: some limits spare the machine itself.
fn own_address() -> IpAddr {
    let probe = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a socket");
    // Nothing is sent: it only asks the routing table. 192.0.2.0/24 is for documentation.
    let told = probe.connect("192.0.2.1:9").and_then(|()| probe.local_addr());
    told.map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip())
}

/// Resident memory in bytes, and open descriptors.
fn usage(node: &Node) -> (u64, u64) {
    let folder = format!("/proc/{}", node.process());
    let status = std::fs::read_to_string(format!("{folder}/status")).expect("the node runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    let descriptors = std::fs::read_dir(format!("{folder}/fd")).expect("descriptors").count();
    (kilobytes * 1024, descriptors as u64)
}

/// As a load balancer asks: a connection of its own, and patience of ten seconds.
fn health(http: SocketAddr) -> std::io::Result<()> {
    use std::io::{Read as _, Write as _};
    let limit = Duration::from_secs(10);
    let mut stream = std::net::TcpStream::connect_timeout(&http, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(std::io::Error::other(answer)) }
}

impl Attack {
    /// The same again and again, as soon as it is thrown out.
    async fn keep_at_it<F>(self: Arc<Self>, number: usize, kind: fn(Arc<Self>, usize) -> F)
    where
        F: Future<Output = std::io::Result<()>>,
    {
        while !self.is_over.load(Ordering::Relaxed) {
            if kind(Arc::clone(&self), number).await.is_err() {
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
            // One who comes back without a pause is held up by his own machine first.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn connect(&self, to: SocketAddr) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(SMALL_WINDOW)?;
        socket.connect(to).await
    }

    fn head(&self, path: &str, more: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{more}\r\n", self.host)
    }
}

/// Asks for a match, reads the answer's head, and no more for ever.
async fn stalled_download(attack: Arc<Attack>, _: usize) -> std::io::Result<()> {
    let mut stream = attack.connect(attack.http).await?;
    stream.write_all(attack.head(&attack.download, "").as_bytes()).await?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    if !head.ends_with(b" 200") {
        return Err(std::io::Error::other("refused"));
    }
    attack.answered.fetch_add(1, Ordering::Relaxed);
    // One byte now and then, as if the line were bad.
    let mut byte = [0; 1];
    while stream.read(&mut byte).await? > 0 {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    Ok(())
}

/// Sends a head one letter at a time.
async fn slow_head(attack: Arc<Attack>, _: usize) -> std::io::Result<()> {
    let mut stream = attack.connect(attack.http).await?;
    for letter in attack.head("/api/clubs", "X-Long: and so on, and so on, and so on\r\n").bytes() {
        stream.write_all(&[letter]).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    Ok(())
}

/// Says RTMP's first byte and nothing more; every second one from another address of the machine's own.
async fn half_open(attack: Arc<Attack>, number: usize) -> std::io::Result<()> {
    let mut stream = if number.is_multiple_of(2) {
        attack.connect(attack.rtmp).await?
    } else {
        let socket = TcpSocket::new_v4()?;
        let last = 2 + u8::try_from(number / 2 % 5).unwrap_or_default();
        socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into())?;
        socket.connect((Ipv4Addr::LOCALHOST, attack.rtmp.port()).into()).await?
    };
    stream.write_all(&[3]).await?;
    let mut byte = [0; 1];
    while stream.read(&mut byte).await? > 0 {}
    Err(std::io::Error::other("thrown out"))
}

/// Pictures of any moment, the first byte of a match, playlists, free ranges that differ by a moment: as fast as answers come.
async fn flood(attack: Arc<Attack>, number: usize) -> std::io::Result<()> {
    let mut stream = attack.connect(attack.http).await?;
    for round in 0..50_u32 {
        let moment = i64::from(round) * 1_037 + i64::try_from(number).unwrap_or_default();
        let end = crate::node::rfc3339(now_us());
        let start = crate::node::rfc3339(now_us() - 3_600_000_000 - moment);
        let requests = match round % 3 {
            0 => vec![attack.head(&attack.download, "Range: bytes=0-0\r\n")],
            1 => vec![attack.head(&attack.playlist, "")],
            _ => {
                let asked = format!("/api/clubs/club/courts/c0/replay?from={start}&to={end}");
                stream.write_all(attack.head(&asked, "").as_bytes()).await?;
                let replay: Value = serde_json::from_slice(&read_answer(&mut stream).await?.1)?;
                ["thumbnailUrl", "playlistUrl"]
                    .iter()
                    .filter_map(|name| Some(attack.head(replay[*name].as_str()?, "")))
                    .collect()
            }
        };
        for request in requests {
            stream.write_all(request.as_bytes()).await?;
            let (is_let_in, _) = read_answer(&mut stream).await?;
            let count = if is_let_in { &attack.answered } else { &attack.refused };
            count.fetch_add(1, Ordering::Relaxed);
        }
        if attack.is_over.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(())
}

/// Longest answer that is read.
const MAX_ANSWER: u64 = 64 << 20;

/// Whether one answer of HTTP/1.1 that says its length gives what was asked for, and its body.
async fn read_answer(stream: &mut TcpStream) -> std::io::Result<(bool, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > 64 * 1024 {
            return Err(std::io::Error::other("no end of the head"));
        }
        head.push(stream.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length =
        text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<u64>().ok());
    let length = length.filter(|length| *length <= MAX_ANSWER);
    let length = length.ok_or_else(|| std::io::Error::other("no length that is read"))?;
    let mut body = vec![0; usize::try_from(length).unwrap_or_default()];
    stream.read_exact(&mut body).await?;
    Ok((text.starts_with("http/1.1 2"), body))
}

/// Asks for the newest whole segment of a live window, and stands still: the window goes on, and what is read of it stays.
async fn stalled_live(attack: Arc<Attack>, number: usize) -> std::io::Result<()> {
    let folder = attack.live.get(number % attack.live.len()).cloned().unwrap_or_default();
    let mut stream = attack.connect(attack.http).await?;
    stream.write_all(attack.head(&format!("{folder}/index.m3u8"), "").as_bytes()).await?;
    let (is_let_in, playlist) = read_answer(&mut stream).await?;
    let playlist = String::from_utf8_lossy(&playlist).into_owned();
    let newest = playlist.lines().rfind(|line| line.ends_with(".m4s") && !line.starts_with('#'));
    let (true, Some(segment)) = (is_let_in, newest) else { return Err(std::io::Error::other("refused")) };
    stream.write_all(attack.head(&format!("{folder}/{segment}"), "").as_bytes()).await?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    if !head.ends_with(b" 200") {
        return Err(std::io::Error::other("refused"));
    }
    attack.answered.fetch_add(1, Ordering::Relaxed);
    attack.answered_live.fetch_add(1, Ordering::Relaxed);
    let mut byte = [0; 1];
    while stream.read(&mut byte).await? > 0 {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    Ok(())
}

/// HTTP/2: a hundred matches on one connection whose window stays shut, and a PING now and then.
async fn closed_window(attack: Arc<Attack>, number: usize) -> std::io::Result<()> {
    let stream = attack.connect(attack.https).await?;
    let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
    let stream = TlsConnector::from(Arc::clone(&attack.trust)).connect(name, stream).await?;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(1).initial_connection_window_size(65_535);
    let other = |error: h2::Error| std::io::Error::other(error);
    let (mut client, mut connection) = builder.handshake::<_, Bytes>(stream).await.map_err(other)?;
    let mut ping = connection.ping_pong();
    let pinging = async {
        while let Some(ping) = ping.as_mut() {
            if ping.ping(h2::Ping::opaque()).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    };
    let asking = async {
        let mut answers = Vec::new();
        for _ in 0..=number % 100 {
            client = client.clone().ready().await.map_err(other)?;
            let request = http::Request::get(format!("https://localhost{}", attack.download)).body(());
            let request = request.map_err(std::io::Error::other)?;
            let (answer, _) = client.send_request(request, true).map_err(other)?;
            let answer = answer.await.map_err(other)?;
            if answer.status() == http::StatusCode::OK {
                attack.answered.fetch_add(1, Ordering::Relaxed);
                attack.answered_http_2.fetch_add(1, Ordering::Relaxed);
            } else {
                attack.refused.fetch_add(1, Ordering::Relaxed);
            }
            answers.push(answer);
        }
        // Held, and not read.
        std::future::pending::<std::io::Result<()>>().await
    };
    tokio::select! {
        result = &mut connection => result.map_err(other),
        () = pinging => Ok(()),
        result = asking => result,
    }
}
