//! The listener.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use refusals::Refusals;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use world::Clock;

use super::admission::Seats;
use super::connection::{Connection, Shared};
use super::connections::Connections;
use super::link::Link;
use super::refused::Refused;
use super::registry::Publishers;
use crate::gate::Gate;
use crate::limits::{ACCEPT_BACKLOG, ACCEPT_RETRY, SHUTDOWN_TIMEOUT};

/// Where to listen and what to bear.
#[derive(Clone, Debug)]
pub struct RtmpConfig {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Connections that publish at the same time. Nothing else takes one of these places.
    pub max_connections: usize,
    /// The same from one address, or one IPv6 /64 network.
    pub max_connections_per_address: usize,
    /// Connections that play at the same time.
    pub max_players: usize,
    /// The same from one address or network.
    pub max_players_per_address: usize,
    /// Connections that neither publish nor play yet, TLS handshakes among them. Where there are more, the one goes that has waited
    /// longest, of the address that has most of them.
    pub max_waiting: usize,
    /// The same from one address or network, where the oldest goes.
    pub max_waiting_per_address: usize,
    /// Until a connection publishes; [`FIRST_MEDIA_FACTOR`](crate::limits::FIRST_MEDIA_FACTOR) times as long from then
    /// until its first media.
    pub establish_timeout: Duration,
    /// Longest silence of a publisher.
    pub idle_timeout: Duration,
}

impl RtmpConfig {
    /// The documented defaults on an address.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            max_connections: 2000,
            max_connections_per_address: 500,
            max_players: 1000,
            max_players_per_address: 200,
            max_waiting: 1024,
            max_waiting_per_address: 512,
            establish_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
        }
    }
}

/// A bound listener that is not running yet.
pub struct RtmpServer {
    listener: TcpListener,
    /// RTMPS: the same server on a second port.
    secure: Option<(TcpListener, Arc<ServerConfig>)>,
    seats: Seats,
    shared: Arc<Shared>,
}

impl RtmpServer {
    /// Binds the address; connections wait in the backlog until [`RtmpServer::run`].
    ///
    /// # Errors
    ///
    /// When the address is in use or not ours. Must be called inside a Tokio runtime.
    pub fn bind(config: RtmpConfig, gate: Arc<dyn Gate>, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let listener = listen(config.listen)?;
        let seats = Seats::new(&config);
        let shared = Shared {
            config,
            gate,
            clock,
            publishers: Publishers::default(),
            connections: Connections::default(),
            refusals: Refusals::default(),
            grid: Instant::now(),
        };
        Ok(Self { listener, secure: None, seats, shared: Arc::new(shared) })
    }

    /// Listens for RTMPS as well. Both ports share every limit; the handshake is part of what
    /// [`RtmpConfig::establish_timeout`] bounds. Each connection asks `tls` anew for its certificate.
    ///
    /// # Errors
    ///
    /// When the address is in use or not ours.
    pub fn bind_tls(&mut self, address: SocketAddr, tls: Arc<ServerConfig>) -> io::Result<()> {
        self.secure = Some((listen(address)?, tls));
        Ok(())
    }

    /// The address in use for RTMPS; `None` without it.
    ///
    /// # Errors
    ///
    /// When the kernel does not tell.
    pub fn tls_addr(&self) -> io::Result<Option<SocketAddr>> {
        self.secure.as_ref().map(|(listener, _)| listener.local_addr()).transpose()
    }

    /// The address in use.
    ///
    /// # Errors
    ///
    /// When the kernel does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Who publishes, now and later.
    #[must_use]
    pub fn publishers(&self) -> Publishers {
        self.shared.publishers.clone()
    }

    /// Who is connected, now and later.
    #[must_use]
    pub fn connections(&self) -> Connections {
        self.shared.connections.clone()
    }

    /// Serves until `shutdown` resolves, then ends every session (cause `process`) and returns within
    /// [`SHUTDOWN_TIMEOUT`].
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let (stop, stopped) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut refusals_due = tokio::time::interval(refusals::INTERVAL);
        refusals_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut number = 0u64;
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended && error.is_panic() {
                        tracing::error!(%error, "a connection's task panicked");
                    }
                    continue;
                }
                _ = refusals_due.tick() => {
                    self.shared.refusals.tell();
                    continue;
                }
                accepted = self.accept() => accepted,
            };
            let (stream, peer, tls) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept an RTMP connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            // Whoever it is, its socket is closed before its seat is free again.
            let seat = match self.seats.enter(peer.ip()) {
                Ok(seat) => seat,
                Err(reason) => {
                    self.shared.refusals.note(Refused::TurnedAway, peer, &reason);
                    continue;
                }
            };
            number += 1;
            self.prepare(&stream, peer);
            let link = match tls {
                None => Link::plain(stream),
                Some(tls) => match Link::secure(stream, tls) {
                    Ok(link) => link,
                    Err(error) => {
                        tracing::error!(%peer, %error, "cannot begin a TLS connection");
                        continue;
                    }
                },
            };
            let connection = Connection::new(number, peer, link, seat, self.shared.clone());
            connections.spawn(connection.run(stopped.clone()));
        }
        self.shared.refusals.tell();
        // New connections are refused from here on, not left waiting.
        drop((self.listener, self.secure));
        stop.send_replace(true);
        let all_ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, all_ended).await.is_err() {
            tracing::warn!(left = connections.len(), "RTMP connections did not end in time and are cut off");
        }
    }

    /// The next connection of either port, and what it speaks TLS with.
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr, Option<Arc<ServerConfig>>)> {
        let secure = async {
            match &self.secure {
                Some((listener, tls)) => listener.accept().await.map(|accepted| (accepted, tls.clone())),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            accepted = self.listener.accept() => accepted.map(|(stream, peer)| (stream, peer, None)),
            accepted = secure => accepted.map(|((stream, peer), tls)| (stream, peer, Some(tls))),
        }
    }

    /// Replies are small and awaited: Nagle's algorithm would only delay them.
    fn prepare(&self, stream: &TcpStream, peer: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(ACCEPT_BACKLOG)
}
