//! RTMPS and HTTPS with real peers, and a certificate that is renewed under them.

#![expect(clippy::expect_used, reason = "a test stops at what it did not expect")]

use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use databases::free_port;
use testing::certificates::{Authority, Issued};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use turepe_e2e::{
    Clip, Node, NodeOptions, Publisher, counters, decode_warnings, holes, now_us, tool, wait_until,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Frames of a clip before it begins anew.
const CLIP_FRAMES: u64 = 600;

/// A node with a certificate in links, as certbot lays them out.
struct Secure {
    node: Node,
    authority: Authority,
    folder: tempfile::TempDir,
    https: SocketAddr,
    rtmps: SocketAddr,
}

impl Secure {
    fn start() -> (Self, Issued) {
        let authority = Authority::new();
        let issued = authority.issue();
        let folder = tempfile::tempdir().expect("a folder");
        place(folder.path(), 1, &issued.certificate, &issued.key);
        let local = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (https, rtmps) = (local(), local());
        let settings = [
            ("TUREPE_TLS_CERTIFICATE", folder.path().join("live/fullchain.pem").display().to_string()),
            ("TUREPE_TLS_KEY", folder.path().join("live/privkey.pem").display().to_string()),
            ("TUREPE_HTTP_TLS_LISTEN", https.to_string()),
            ("TUREPE_RTMP_TLS_LISTEN", rtmps.to_string()),
        ];
        let settings = settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let node = Node::start(NodeOptions { settings, ..NodeOptions::default() });
        (Self { node, authority, folder, https, rtmps }, issued)
    }

    fn rtmps_url(&self, name: &str) -> String {
        format!("rtmps://{}/live/{name}", self.rtmps)
    }

    /// A connection, and the certificate that it was shown.
    async fn connect(&self, to: SocketAddr) -> (TlsStream<TcpStream>, CertificateDer<'static>) {
        let stream = TcpStream::connect(to).await.expect("it listens");
        let name = ServerName::try_from("localhost").expect("a name");
        let connector = TlsConnector::from(self.authority.client());
        let stream = connector.connect(name, stream).await.expect("a handshake");
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first().cloned());
        (stream, shown.expect("a certificate"))
    }

    /// Waits until both ports show a certificate to who comes anew.
    async fn until_shown(&self, issued: &Issued) {
        for port in [self.https, self.rtmps] {
            let shown = async {
                while self.connect(port).await.1 != issued.der() {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            };
            tokio::time::timeout(PATIENCE, shown).await.expect("the new certificate");
        }
    }
}

/// Writes a pair under a number and has the links point to it, one after the other.
fn place(folder: &Path, number: u32, certificate: &str, key: &str) {
    for (name, text) in [("fullchain", certificate), ("privkey", key)] {
        let kept = folder.join("archive").join(format!("{name}{number}.pem"));
        let (live, new) = (folder.join("live").join(format!("{name}.pem")), folder.join("live/new"));
        let parent = |path: &PathBuf| path.parent().expect("a folder").to_owned();
        std::fs::create_dir_all(parent(&kept)).expect("a folder");
        std::fs::create_dir_all(parent(&live)).expect("a folder");
        put(&kept, text);
        symlink(Path::new("../archive").join(kept.file_name().expect("named")), &new).expect("a link");
        swap(&new, &live);
    }
}

#[expect(clippy::disallowed_methods, reason = "a test plays certbot")]
fn put(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
}

#[expect(clippy::disallowed_methods, reason = "a test plays certbot")]
fn swap(from: &Path, to: &Path) {
    std::fs::rename(from, to).expect("renamed");
}

async fn ask(stream: &mut TlsStream<TcpStream>) -> String {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("it takes a request");
    let mut answer = vec![0; 4096];
    let count = stream.read(&mut answer).await.expect("it answers");
    String::from_utf8_lossy(answer.get(..count).expect("read")).into_owned()
}

/// A match that came in by RTMPS is the same in every way of fetching it, and live players are served by RTMPS.
#[test]
fn what_is_published_by_rtmps_is_recorded_replayed_and_played() {
    let (secure, _) = Secure::start();
    let node = &secure.node;
    node.add_club("club", 60);
    let (by_tls, plain) = (node.add_court("club", "uno"), node.add_court("club", "dos"));
    let begin = now_us();
    let publisher = Publisher::ffmpeg(Clip::H264, &secure.rtmps_url(&by_tls.key));
    let beside = Publisher::ffmpeg(Clip::H264, &node.rtmp_url(&plain.key));
    let seconds = || {
        let replay = node.replay(&by_tls, begin, now_us());
        replay["coverage"].as_f64().expect("coverage") * (now_us() - begin) as f64 / 1e6
    };
    wait_until("footage", PATIENCE, || (seconds() > 2.0).then_some(()));
    let played = Command::new(tool("ffmpeg"))
        .args(["-v", "warning", "-nostdin", "-rw_timeout", "15000000", "-i"])
        .arg(secure.rtmps_url(&by_tls.channel))
        .args(["-t", "4", "-f", "null", "-"])
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg starts");
    let said = String::from_utf8_lossy(&played.stderr);
    assert!(played.status.success() && !said.contains("rror"), "{said}");
    wait_until("eight seconds of footage", PATIENCE, || (seconds() > 8.0).then_some(()));
    publisher.stop();
    beside.stop();
    for court in [&by_tls, &plain] {
        let replay = node.ended(court, begin);
        let path = replay["playlistUrl"].as_str().expect("playlistUrl");
        let (plain, secure) = (node.url(path), format!("https://{}{path}", secure.https));
        assert_eq!(decode_warnings(&secure, &[]), "");
        let frames = counters(&secure, &[]);
        assert!(frames.len() > 200, "{}", frames.len());
        assert_eq!(holes(&frames, CLIP_FRAMES), 0, "{frames:?}");
        assert_eq!(frames, counters(&plain, &[]));
    }
    assert!(!node.log().contains(&by_tls.key), "the key is in the log");
}

#[test]
fn a_renewed_certificate_is_for_who_comes_next() {
    let (mut secure, first) = Secure::start();
    secure.node.add_club("club", 60);
    let court = secure.node.add_court("club", "uno");
    let mut publisher = Publisher::ffmpeg(Clip::H264, &secure.rtmps_url(&court.key));
    let begin = now_us();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (mut old, shown) = secure.connect(secure.https).await;
        assert_eq!(shown, first.der());
        assert!(ask(&mut old).await.starts_with("HTTP/1.1 200"));
        let second = secure.authority.issue();
        place(secure.folder.path(), 2, &second.certificate, &second.key);
        secure.until_shown(&second).await;
        // It lives on with what it began with.
        assert!(ask(&mut old).await.starts_with("HTTP/1.1 200"));

        // What is no good is not taken, and said once.
        let stranger = Authority::new().issue();
        place(secure.folder.path(), 3, &second.certificate, &stranger.key);
        wait_until("the warning", PATIENCE, || secure.node.log().contains("are no good").then_some(()));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(secure.node.log().matches("are no good").count(), 1);
        secure.until_shown(&second).await;

        // As a service manager asks for it.
        let third = secure.authority.issue();
        place(secure.folder.path(), 4, &third.certificate, &third.key);
        let process = secure.node.process();
        let status = Command::new("kill").args(["-HUP", &process.to_string()]).status().expect("kill starts");
        assert!(status.success());
        secure.until_shown(&third).await;
    });
    assert!(publisher.is_running(), "the camera has noticed nothing");
    publisher.stop();
    let replay = secure.node.ended(&court, begin);
    assert_eq!(replay["gaps"].as_array().map(Vec::len), Some(0), "{replay}");
    secure.node.stop();
}
