//! Connections: accepted up to a limit, timed while they send a head or take nothing, and ended in time.
//!
//! `axum::serve` sets no timer, so a head sent byte by byte would hold a connection for ever, and it waits without end
//! for open downloads when it stops.

use crate::limits::{
    ACCEPT_RETRY, HEAD_TIMEOUT, IDLE_TIMEOUT, MAX_CONNECTIONS, MAX_HEAD_BYTES, MAX_HEADERS,
    MAX_STREAM_BUFFER_BYTES, MAX_STREAMS, SHUTDOWN_GRACE, TLS_HANDSHAKE_TIMEOUT, WRITE_STALL_TIMEOUT,
};
use crate::operators::Peer;
use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, header},
};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use std::{
    future::Future,
    io::{self, IoSlice},
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service as _;

/// HTTP/2 as a TLS handshake names it (RFC 9113 §3.2).
const HTTP_2: &[u8] = b"h2";

/// Where connections come in.
pub struct Listeners {
    plain: TcpListener,
    secure: Option<(TcpListener, TlsAcceptor)>,
}

impl From<TcpListener> for Listeners {
    fn from(plain: TcpListener) -> Self {
        Self { plain, secure: None }
    }
}

impl Listeners {
    /// Listens for HTTPS as well; both ports share every limit. What is spoken is what `tls` offers and the peer takes:
    /// HTTP/2 or HTTP/1.1. Each connection asks `tls` anew for its certificate.
    #[must_use]
    pub fn with_tls(self, listener: TcpListener, tls: Arc<ServerConfig>) -> Self {
        Self { secure: Some((listener, TlsAcceptor::from(tls))), ..self }
    }

    /// The next connection of either port, and what it speaks TLS with.
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr, Option<TlsAcceptor>)> {
        let secure = async {
            match &self.secure {
                Some((listener, tls)) => listener.accept().await.map(|accepted| (accepted, tls.clone())),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            accepted = self.plain.accept() => accepted.map(|(stream, peer)| (stream, peer, None)),
            accepted = secure => accepted.map(|((stream, peer), tls)| (stream, peer, Some(tls))),
        }
    }
}

/// Serves until `shutdown` resolves, then lets requests in work go on for [`SHUTDOWN_GRACE`] and closes the rest.
pub(crate) async fn serve(
    listeners: impl Into<Listeners>,
    router: Router,
    shutdown: impl Future<Output = ()>,
) {
    let listeners = listeners.into();
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let connections = TaskTracker::new();
    let stop = CancellationToken::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listeners, &permits) => accepted,
        };
        let Some((stream, peer, tls, permit)) = accepted else { break };
        let router = router.clone();
        let stop = stop.clone();
        connections.spawn(async move {
            connection(stream, peer, tls, router, stop).await;
            drop(permit);
        });
    }
    drop(listeners);
    stop.cancel();
    connections.close();
    connections.wait().await;
}

/// The next connection and its place among [`MAX_CONNECTIONS`]. Without a place nothing is accepted: the backlog waits.
async fn accept(
    listeners: &Listeners,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, Option<TlsAcceptor>, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    loop {
        match listeners.accept().await {
            Ok((stream, peer, tls)) => return Some((stream, peer, tls, permit)),
            // The peer was gone before it was accepted: nothing to tell.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::ConnectionReset
                        | io::ErrorKind::ConnectionRefused
                ) => {}
            Err(error) => {
                tracing::error!(%error, retry_ms = ACCEPT_RETRY.as_millis(), "cannot accept HTTP connections");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    router: Router,
    stop: CancellationToken,
) {
    // Answers are written in one piece: waiting for more to send only delays them. Failing leaves it slower, not broken.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let Some(tls) = tls else { return http_1(stream, peer, router, stop).await };
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, tls.accept(stream)) => shaken,
        () = stop.cancelled() => return,
    };
    match shaken {
        Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(HTTP_2) => {
            http_2(stream, peer, router, stop).await;
        }
        Ok(Ok(stream)) => http_1(stream, peer, router, stop).await,
        // Scanners, and browsers that do not trust the certificate.
        Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS"),
        Err(_) => tracing::debug!(%peer, "the TLS handshake took too long"),
    }
}

async fn http_1(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: SocketAddr,
    router: Router,
    stop: CancellationToken,
) {
    let stream = TokioIo::new(Unstalled::new(stream, WRITE_STALL_TIMEOUT));
    let service = service_fn(move |request: Request<Incoming>| router.clone().call(from_peer(request, peer)));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.max_buf_size(MAX_HEAD_BYTES).max_headers(MAX_HEADERS);
    let mut served = pin!(builder.serve_connection(stream, service));
    let result = tokio::select! {
        result = served.as_mut() => result,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            match tokio::time::timeout(SHUTDOWN_GRACE, served).await {
                Ok(result) => result,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = result {
        // Peers leave in the middle of a download all day long.
        tracing::debug!(%error, "HTTP connection ended");
    }
}

async fn http_2(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: SocketAddr,
    router: Router,
    stop: CancellationToken,
) {
    let stream = Unstalled::new(stream, WRITE_STALL_TIMEOUT);
    let moved = stream.moved.clone();
    let service = service_fn(move |request: Request<Incoming>| router.clone().call(from_peer(request, peer)));
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).max_concurrent_streams(MAX_STREAMS);
    builder.max_header_list_size(MAX_HEAD_BYTES as u32).max_send_buf_size(MAX_STREAM_BUFFER_BYTES);
    let mut served = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let result = tokio::select! {
        result = served.as_mut() => result,
        // A window that is never opened stalls an answer without a write that waits, so the socket's time-out is not enough.
        () = idle(&moved) => return,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            match tokio::time::timeout(SHUTDOWN_GRACE, served).await {
                Ok(result) => result,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "HTTP/2 connection ended");
    }
}

/// Resolves when nothing has moved for [`IDLE_TIMEOUT`], or up to twice as long.
async fn idle(moved: &AtomicU64) {
    let mut seen = moved.load(Ordering::Relaxed);
    loop {
        tokio::time::sleep(IDLE_TIMEOUT).await;
        let now = moved.load(Ordering::Relaxed);
        if now == seen {
            return;
        }
        seen = now;
    }
}

/// A request with what the routes want to know of its connection.
fn from_peer(mut request: Request<Incoming>, peer: SocketAddr) -> Request<Incoming> {
    request.extensions_mut().insert(Peer(peer));
    // HTTP/2 names the host elsewhere (RFC 9113 §8.3.1); who asks for it looks in one place.
    if !request.headers().contains_key(header::HOST)
        && let Some(authority) = request.uri().authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(header::HOST, host);
    }
    request
}

/// A stream whose reader must take something within a time.
struct Unstalled<S> {
    stream: S,
    limit: Duration,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
    /// Grows with each read and write.
    moved: Arc<AtomicU64>,
}

impl<S> Unstalled<S> {
    fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, waiting: None, moved: Arc::default() }
    }

    fn count<T>(&self, polled: &Poll<io::Result<T>>) {
        if polled.is_ready() {
            self.moved.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.waiting = None;
            return polled;
        }
        let limit = self.limit;
        let waiting =
            self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + limit)));
        match waiting.as_mut().poll(cx) {
            Poll::Ready(()) => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the reader takes nothing")))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Unstalled<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.count(&polled);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Unstalled<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.count(&polled);
        self.watch(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.count(&polled);
        self.watch(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::Unstalled;
    use std::{io, time::Duration};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_reader_that_takes_nothing_is_left() {
        let (ours, _theirs) = tokio::io::duplex(8);
        let mut ours = Unstalled::new(ours, Duration::from_millis(20));
        ours.write_all(&[0; 8]).await.unwrap();
        let error = ours.write_all(&[0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_slow_reader_is_not() {
        let (ours, mut theirs) = tokio::io::duplex(1);
        let mut ours = Unstalled::new(ours, Duration::from_secs(60));
        let reader = tokio::spawn(async move {
            let mut all = [0; 64];
            theirs.read_exact(&mut all).await.unwrap();
            all
        });
        ours.write_all(&[9; 64]).await.unwrap();
        assert_eq!(reader.await.unwrap(), [9; 64]);
    }
}
