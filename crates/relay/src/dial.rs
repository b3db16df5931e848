//! The way to a target: its name, TCP, TLS.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use media::rtmp::RtmpUrl;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::limits::CONNECT_TIMEOUT;
use crate::trouble::Trouble;

/// A connection, with TLS or without.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// Connects to targets. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Dialler {
    /// Made when it is first needed: a machine without root certificates relays by RTMP all the same.
    tls: Arc<OnceCell<TlsConnector>>,
}

impl Dialler {
    /// Connects to a target that is not `own`, which is where this node awaits publishers.
    pub(crate) async fn connect(
        &self,
        url: &RtmpUrl,
        own: Option<SocketAddr>,
    ) -> Result<Box<dyn Io>, Trouble> {
        let connected = timeout(CONNECT_TIMEOUT, self.connect_in_time(url, own)).await;
        connected.map_err(|_| Trouble::Timeout { what: "no connection", limit: CONNECT_TIMEOUT })?
    }

    async fn connect_in_time(&self, url: &RtmpUrl, own: Option<SocketAddr>) -> Result<Box<dyn Io>, Trouble> {
        let stream = TcpStream::connect((url.host.as_str(), url.port)).await.map_err(Trouble::Connect)?;
        let (here, there) = (stream.local_addr(), stream.peer_addr());
        if let (Some(own), Ok(here), Ok(there)) = (own, here, there)
            && is_own(own, here.ip(), there)
        {
            return Err(Trouble::Own);
        }
        // What is written is a run of tags: it should not wait for the next one.
        stream.set_nodelay(true).map_err(Trouble::Connect)?;
        if !url.is_tls {
            return Ok(Box::new(stream));
        }
        let name =
            ServerName::try_from(url.host.clone()).map_err(|error| Trouble::TlsSetup(error.to_string()))?;
        let tls = self.tls.get_or_try_init(connector).await?;
        Ok(Box::new(tls.connect(name, stream).await.map_err(Trouble::Tls)?))
    }
}

/// A connection to an address of this very machine has the same address at both ends.
fn is_own(own: SocketAddr, here: IpAddr, there: SocketAddr) -> bool {
    let (here, peer) = (here.to_canonical(), there.ip().to_canonical());
    let is_heard = own.ip().is_unspecified() || own.ip().to_canonical() == peer;
    there.port() == own.port() && here == peer && is_heard
}

/// Whether an address is plainly this node's own ingest, which awaits publishers at `listen`: what can be told without asking
/// for a name. A connection is looked at again when it is made.
#[must_use]
pub fn is_own_ingest(host: &str, port: u16, listen: SocketAddr) -> bool {
    let ip =
        if host.eq_ignore_ascii_case("localhost") { Ok(IpAddr::from([127, 0, 0, 1])) } else { host.parse() };
    let Ok(ip) = ip else { return false };
    if port != listen.port() {
        return false;
    }
    if listen.ip().is_unspecified() { ip.is_loopback() || is_of_this_machine(ip) } else { listen.ip() == ip }
}

/// Whether an address is one of this machine's: then that is where it would be called from. Nothing is sent.
fn is_of_this_machine(ip: IpAddr) -> bool {
    let any: IpAddr = if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // The port is the one for what is to be discarded (RFC 863).
    let asked = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((ip, 9))?;
        socket.local_addr()
    });
    asked.is_ok_and(|own| own.ip() == ip)
}

/// Trusts what this machine trusts.
async fn connector() -> Result<TlsConnector, Trouble> {
    // Root certificates are read from files.
    let made = tokio::task::spawn_blocking(|| {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok::<_, rustls::Error>(config.with_platform_verifier()?.with_no_client_auth())
    });
    let config = made.await.map_err(io::Error::other).map_err(Trouble::Connect)?;
    let config = config.map_err(|error| Trouble::TlsSetup(error.to_string()))?;
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_ingest_is_recognised() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        for (host, port, listen, is_ours) in [
            ("127.0.0.1", 1935, "0.0.0.0:1935", true),
            ("localhost", 1935, "0.0.0.0:1935", true),
            ("::1", 1935, "[::]:1935", true),
            ("127.0.0.1", 1935, "127.0.0.1:1935", true),
            ("10.0.0.2", 1935, "10.0.0.2:1935", true),
            // Another program may listen there.
            ("127.0.0.1", 1935, "10.0.0.2:1935", false),
            ("127.0.0.1", 19350, "0.0.0.0:1935", false),
            ("a.example", 1935, "0.0.0.0:1935", false),
        ] {
            assert_eq!(is_own_ingest(host, port, listen.parse().unwrap()), is_ours, "{host}:{port} {listen}");
        }
        // Wherever this machine would call another one from; 192.0.2.1 is for documentation and nobody's.
        let probe = UdpSocket::bind("0.0.0.0:0").unwrap();
        if probe.connect("192.0.2.1:9").is_ok() {
            let own = probe.local_addr().unwrap().ip().to_string();
            assert!(is_own_ingest(&own, 1935, at("0.0.0.0:1935")), "{own}");
            assert!(!is_own_ingest(&own, 1936, at("0.0.0.0:1935")), "{own}");
        }
        assert!(!is_own_ingest("192.0.2.1", 1935, at("0.0.0.0:1935")));
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(is_own(at("0.0.0.0:1935"), ip("10.0.0.2"), at("10.0.0.2:1935")));
        assert!(is_own(at("[::]:1935"), ip("::ffff:10.0.0.2"), at("10.0.0.2:1935")));
        assert!(!is_own(at("0.0.0.0:1935"), ip("10.0.0.2"), at("10.0.0.3:1935")));
        assert!(!is_own(at("0.0.0.0:1935"), ip("10.0.0.2"), at("10.0.0.2:1936")));
        assert!(!is_own(at("10.0.0.2:1935"), ip("127.0.0.1"), at("127.0.0.1:1935")));
    }
}
