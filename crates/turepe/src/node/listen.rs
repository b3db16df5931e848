//! Binding ports, with errors that name the setting.

use std::io;
use std::net::SocketAddr;

use ingest::RtmpServer;
use serve::Listeners;
use tokio::net::{TcpListener, TcpSocket};

use super::Addresses;
use crate::config::{Config, SrsApi};
use crate::failure::{Failure, Kind};
use crate::tls::{Tls, TlsError};

/// Connections that wait while all workers are busy.
const HTTP_BACKLOG: u32 = 1024;

/// Ports that are tried after a busy one.
const NEXT_PORTS: u16 = 50;

/// What to do about a busy port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PortSearch {
    /// Say so.
    Exact,
    /// Take the next free one.
    NextFree,
}

/// The ports of HTTP, and where they are.
pub(super) struct Http {
    pub(super) listeners: Listeners,
    plain: SocketAddr,
    secure: Option<SocketAddr>,
}

pub(super) fn http(config: &Config, search: PortSearch, tls: Option<&Tls>) -> Result<Http, Failure> {
    let plain = find(config.http.listen, search, "http.listen", bind_http)?;
    let mut http = Http { plain: address_of(&plain)?, secure: None, listeners: plain.into() };
    if let (Some(listen), Some(tls)) = (config.http.tls_listen, tls) {
        let secure = find(listen, search, "http.tls_listen", bind_http)?;
        http.secure = Some(address_of(&secure)?);
        http.listeners = http.listeners.with_tls(secure, tls.http().map_err(unusable)?);
    }
    Ok(http)
}

/// Where a node listens.
pub(super) fn addresses(http: &Http, rtmp: &RtmpServer) -> Result<Addresses, Failure> {
    let problem = |error| Failure::context("the RTMP port", error);
    Ok(Addresses {
        http: http.plain,
        https: http.secure,
        rtmp: rtmp.local_addr().map_err(problem)?,
        rtmps: rtmp.tls_addr().map_err(problem)?,
    })
}

fn address_of(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener.local_addr().map_err(|error| Failure::context("the HTTP port", error))
}

fn unusable(error: TlsError) -> Failure {
    Failure::usage(format!("configuration: {error}"))
}

/// Monitoring. A port that nobody has chosen and that is taken, perhaps by SRS, keeps no node from recording.
pub(super) fn srs_api(api: &SrsApi) -> Result<Option<TcpListener>, Failure> {
    let Some(listen) = api.listen else { return Ok(None) };
    match find(listen, PortSearch::Exact, "srs_api.listen", bind_http) {
        Ok(bound) => Ok(Some(bound)),
        Err(failure) if api.is_default_listen => {
            tracing::warn!("no SRS-compatible monitoring: {failure}; \"\" switches it off");
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

fn bind_http(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(HTTP_BACKLOG)
}

pub(super) fn rtmp(
    config: &Config,
    search: PortSearch,
    tls: Option<&Tls>,
    bind: impl Fn(SocketAddr) -> io::Result<RtmpServer>,
) -> Result<RtmpServer, Failure> {
    let mut server = find(config.rtmp.listen, search, "rtmp.listen", bind)?;
    if let (Some(listen), Some(tls)) = (config.rtmp.tls_listen, tls) {
        let tls = tls.rtmp().map_err(unusable)?;
        find(listen, search, "rtmp.tls_listen", |address| server.bind_tls(address, tls.clone()))?;
    }
    Ok(server)
}

fn find<T>(
    listen: SocketAddr,
    search: PortSearch,
    key: &str,
    mut bind: impl FnMut(SocketAddr) -> io::Result<T>,
) -> Result<T, Failure> {
    let last = match search {
        PortSearch::Exact => listen.port(),
        PortSearch::NextFree => listen.port().saturating_add(NEXT_PORTS),
    };
    for port in listen.port()..=last {
        match bind(SocketAddr::new(listen.ip(), port)) {
            Ok(bound) => return Ok(bound),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && port < last => {}
            Err(error) => return Err(explain(listen, key, &error)),
        }
    }
    Err(explain(listen, key, &io::ErrorKind::AddrInUse.into()))
}

fn explain(listen: SocketAddr, key: &str, error: &io::Error) -> Failure {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is in use by another program: stop that, or choose another port"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 are for privileged programs: choose another port"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address: 0.0.0.0 means all it has"
        }
        _ => "choose another address",
    };
    let variable = key.to_ascii_uppercase().replace('.', "_");
    let message = format!(
        "cannot listen on {listen} (`{key}`): {advice}, for example TUREPE_{variable}=0.0.0.0:{}",
        listen.port().saturating_add(1)
    );
    match error.kind() {
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied | io::ErrorKind::AddrNotAvailable => {
            Failure::new(Kind::Failed, message)
        }
        _ => Failure::new(Kind::Failed, format!("{message} ({error})")),
    }
}
