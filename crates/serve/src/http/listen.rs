//! Connections: each gets a seat ([`super::seats`]), is timed while it sends a head or takes nothing, and ends in time.
//!
//! `axum::serve` sets no timer, so a head sent byte by byte would hold a connection for ever, and it waits without end
//! for open downloads when it stops.

use super::{
    client_of,
    memory::Reader,
    progress::Progress,
    seats::{Answering, Seat, SeatLimits, Seats, TurnedAway},
};
use crate::direct::Peer;
use crate::limits::{
    ACCEPT_RETRY, HEAD_TIMEOUT, IDLE_TIMEOUT, MAX_BODY_BYTES, MAX_HEAD_BYTES, MAX_HEADERS,
    MAX_STREAM_BUFFER_BYTES, MAX_STREAMS, SHUTDOWN_GRACE, TLS_HANDSHAKE_TIMEOUT, WRITE_STALL_TIMEOUT,
};
use crate::problem;
use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::{HeaderValue, Response, header},
};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use refusals::{Kind, Refusals};
use rustls::ServerConfig;
use std::{
    convert::Infallible,
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
    time::{Instant, MissedTickBehavior, Sleep},
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

/// What somebody who finds no seat is told, where he speaks plain HTTP.
const NO_SEAT: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Serves up to `max_connections` at once until `shutdown` resolves, then lets requests in work go on for [`SHUTDOWN_GRACE`] and
/// closes the rest.
pub(crate) async fn serve(
    listeners: impl Into<Listeners>,
    max_connections: usize,
    router: Router,
    shutdown: impl Future<Output = ()>,
) {
    serve_at(&Seats::new(SeatLimits::of(max_connections)), listeners.into(), router, shutdown).await;
}

async fn serve_at(
    seats: &Arc<Seats>,
    listeners: Listeners,
    router: Router,
    shutdown: impl Future<Output = ()>,
) {
    let connections = TaskTracker::new();
    let stop = CancellationToken::new();
    let turned_away = Refusals::default();
    let mut refusals_due = tokio::time::interval(refusals::INTERVAL);
    refusals_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, peer, tls) = tokio::select! {
            () = &mut shutdown => break,
            _ = refusals_due.tick() => {
                turned_away.tell();
                problem::tell_failures();
                continue;
            }
            accepted = accept(&listeners) => accepted,
        };
        let seat = match seats.enter(peer.ip()) {
            Ok(seat) => Arc::new(seat),
            Err(reason) => {
                turned_away.note(reason, peer, &reason);
                if tls.is_none() {
                    // As far as the socket takes it at once: nobody without a seat is waited for.
                    let _ = stream.try_write(NO_SEAT);
                }
                continue;
            }
        };
        let (router, stop) = (router.clone(), stop.clone());
        connections.spawn(async move {
            tokio::select! {
                () = seat.is_needed() => tracing::debug!(%peer, "an idle connection made room for a newcomer"),
                () = connection(stream, peer, tls, router, stop, Arc::clone(&seat)) => {}
            }
        });
    }
    turned_away.tell();
    problem::tell_failures();
    drop(listeners);
    stop.cancel();
    connections.close();
    connections.wait().await;
}

/// The next connection.
async fn accept(listeners: &Listeners) -> (TcpStream, SocketAddr, Option<TlsAcceptor>) {
    loop {
        match listeners.accept().await {
            Ok(accepted) => return accepted,
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

impl Kind for TurnedAway {
    fn say(self, peer: Option<SocketAddr>, connections: u64, reason: &str) {
        let peer = peer.map(tracing::field::display);
        tracing::warn!(peer, connections, reason, "turned HTTP connections away");
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    router: Router,
    stop: CancellationToken,
    seat: Arc<Seat>,
) {
    // Answers are written in one piece: waiting for more to send only delays them. Failing leaves it slower, not broken.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let Some(tls) = tls else { return http_1(stream, peer, router, stop, seat).await };
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, tls.accept(stream)) => shaken,
        () = stop.cancelled() => return,
    };
    match shaken {
        Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(HTTP_2) => {
            http_2(stream, peer, router, stop, seat).await;
        }
        Ok(Ok(stream)) => http_1(stream, peer, router, stop, seat).await,
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
    seat: Arc<Seat>,
) {
    let stream = TokioIo::new(Unstalled::new(stream, WRITE_STALL_TIMEOUT));
    let moved = Arc::default();
    // One answer after the other: the connection gets on as its answer does.
    let progress = Progress::new();
    let service = {
        let progress = Arc::clone(&progress);
        service_fn(move |request| answer(request, peer, router.clone(), &seat, &moved, &progress))
    };
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.max_buf_size(MAX_HEAD_BYTES).max_headers(MAX_HEADERS);
    let mut served = pin!(builder.serve_connection(stream, service));
    let result = tokio::select! {
        result = served.as_mut() => result,
        () = progress.over(WRITE_STALL_TIMEOUT) => return,
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
    seat: Arc<Seat>,
) {
    let stream = Unstalled::new(stream, WRITE_STALL_TIMEOUT);
    let moved = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&moved);
    // Each stream has a task and a progress of its own.
    let unknown = Progress::new();
    let service = service_fn(move |request| answer(request, peer, router.clone(), &seat, &counted, &unknown));
    let stuck = CancellationToken::new();
    let mut builder = http2::Builder::new(Streams { stuck: stuck.clone() });
    builder.timer(TokioTimer::new()).max_concurrent_streams(MAX_STREAMS);
    builder.max_header_list_size(MAX_HEAD_BYTES as u32).max_send_buf_size(MAX_STREAM_BUFFER_BYTES);
    // Of what is sent to us no more waits here than is ever read: a body before it is looked at is nobody's budget.
    builder
        .initial_stream_window_size(MAX_BODY_BYTES as u32)
        .initial_connection_window_size(MAX_BODY_BYTES as u32);
    let mut served = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let result = tokio::select! {
        result = served.as_mut() => result,
        // PING and SETTINGS frames move bytes for ever: only requests and bodies count.
        () = idle(&moved) => return,
        () = stuck.cancelled() => return,
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

tokio::task_local! {
    /// How the answer on a stream of HTTP/2 gets on.
    static STREAM: Arc<Progress>;
}

/// Runs the streams of a connection of HTTP/2, each for as long as its answer gets on. A window that is never opened stalls an answer
/// without a write that waits, and a stream next to it may move all the time: dropping the stream's task resets it alone.
#[derive(Clone)]
struct Streams {
    /// The end of an answer waits in the connection, which nobody can take it from: all of it has to go.
    stuck: CancellationToken,
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let (progress, stuck) = (Progress::new(), self.stuck.clone());
        tokio::spawn(STREAM.scope(Arc::clone(&progress), async move {
            tokio::select! {
                () = stream => {}
                () = progress.over(WRITE_STALL_TIMEOUT) => return,
            }
            // The last piece may be larger than the reader's window: it is with the connection now.
            tokio::select! {
                () = progress.taken() => {}
                () = progress.over(WRITE_STALL_TIMEOUT) => stuck.cancel(),
            }
        }));
    }
}

/// Answers one request, whose seat is busy until the body of the answer has gone. What it is seen to get on by is the stream's own, or
/// that of a connection without streams.
fn answer(
    request: Request<Incoming>,
    peer: SocketAddr,
    mut router: Router,
    seat: &Arc<Seat>,
    moved: &Arc<AtomicU64>,
    connection: &Arc<Progress>,
) -> impl Future<Output = Result<Response<AnswerBody>, Infallible>> + use<> {
    let (answering, moved, connection) = (seat.answering(), Arc::clone(moved), Arc::clone(connection));
    // Behind a proxy on this machine its clients have their shares, each his own.
    let network = client_of(peer, request.headers());
    moved.fetch_add(1, Ordering::Relaxed);
    async move {
        let stream = STREAM.try_with(Arc::clone);
        let has_stream = stream.is_ok();
        let progress = stream.unwrap_or(connection);
        progress.is_ours();
        answering.gets_on_by(&progress);
        let mut request = from_peer(request, peer);
        request.extensions_mut().insert(Reader { network, progress: Arc::clone(&progress) });
        let response = router.call(request).await?;
        progress.given();
        Ok(response.map(|body| AnswerBody { body, moved, progress, has_stream, _answering: answering }))
    }
}

/// The body of an answer, which keeps its connection's seat and counts what is taken of it.
struct AnswerBody {
    body: Body,
    /// Grows with each request and each piece of a body that goes.
    moved: Arc<AtomicU64>,
    progress: Arc<Progress>,
    /// Whether its pieces may wait in a connection that has others to send.
    has_stream: bool,
    _answering: Answering,
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_ready() {
            self.moved.fetch_add(1, Ordering::Relaxed);
            self.progress.given();
        } else {
            self.progress.is_ours();
        }
        if !self.has_stream {
            return polled;
        }
        let follow = |frame: Frame<Bytes>| frame.map_data(|bytes| self.progress.follow(bytes));
        polled.map(|next| next.map(|frame| frame.map(follow)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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
}

impl<S> Unstalled<S> {
    fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, waiting: None }
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
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Unstalled<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
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
    use super::{
        Listeners, SeatLimits, Seats, TokioIo, TokioTimer, Unstalled, WRITE_STALL_TIMEOUT, http_2, serve_at,
    };
    use axum::{
        Router,
        body::{Body, Bytes, to_bytes},
        http::Request,
        routing::get,
    };
    use futures_util::StreamExt;
    use hyper_util::rt::TokioExecutor;
    use std::{io, sync::Arc, time::Duration};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        sync::oneshot,
    };
    use tokio_util::sync::CancellationToken;

    /// A server with few seats; it ends when the sender is dropped.
    async fn server(total: usize) -> (std::net::SocketAddr, oneshot::Sender<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/ok", get(|| async { "fine" }))
            .route("/never", get(std::future::pending::<&'static str>));
        let seats = Seats::new(SeatLimits { total, loopback: 0, per_address: total });
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(async move {
            serve_at(&seats, Listeners::from(listener), router, async { drop(stopped.await) }).await;
        });
        (address, stop)
    }

    async fn send(address: std::net::SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn whole_answer(mut stream: TcpStream) -> String {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    const ASK: &str = "GET /ok HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn half_sent_heads_and_silent_connections_keep_nobody_out() {
        let (address, _stop) = server(8).await;
        let mut held = Vec::new();
        for number in 0..24 {
            let half = ["", "GET /ok HTT", "GET /ok HTTP/1.1\r\nhost: x\r\nx-slow: "][number % 3];
            held.push(send(address, half).await);
            let answer = whole_answer(send(address, ASK).await).await;
            assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("fine"), "{number}: {answer}");
        }
        // The oldest made room: its peer sees the end of it.
        assert_eq!(held[0].read(&mut [0; 16]).await.unwrap_or(0), 0);
    }

    #[tokio::test]
    async fn a_connection_between_two_requests_counts_as_idle_and_one_that_is_answered_does_not() {
        let (address, _stop) = server(2).await;
        let never = "GET /never HTTP/1.1\r\nhost: x\r\n\r\n";
        let mut answered = send(address, never).await;
        let mut kept = send(address, "GET /ok HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let mut first = [0; 12];
        kept.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        // Both seats are taken; the one between two requests goes.
        let mut second = send(address, never).await;
        let mut rest = Vec::new();
        kept.read_to_end(&mut rest).await.unwrap();
        assert!(rest.ends_with(b"fine"));
        // Now both are being answered: a newcomer is told so.
        let answer = whole_answer(TcpStream::connect(address).await.unwrap()).await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after"), "{answer}");
        for stream in [&mut answered, &mut second] {
            assert!(
                stream.try_read(&mut [0; 1]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            );
        }
    }

    /// Asks a server on a connection of HTTP/2 with small windows.
    #[derive(Clone)]
    struct Client(hyper::client::conn::http2::SendRequest<Body>);

    impl Client {
        async fn new() -> Self {
            let piece = || Ok::<_, io::Error>(Bytes::from_static(&[7; 16 * 1024]));
            let pieces =
                move || async move { Body::from_stream(futures_util::stream::repeat_with(piece).take(64)) };
            let late = || async {
                tokio::time::sleep(WRITE_STALL_TIMEOUT * 3).await;
                "late, and our own fault"
            };
            let router = Router::new()
                .route("/ok", get(|| async { "fine" }))
                .route("/pieces", get(pieces))
                .route("/whole", get(|| async { vec![7; 1024 * 1024] }))
                .route("/late", get(late));
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            let seats = Seats::new(SeatLimits::of(8));
            let seat = Arc::new(seats.enter([192, 0, 2, 1].into()).unwrap());
            let peer = "192.0.2.1:1".parse().unwrap();
            tokio::spawn(http_2(ours, peer, router, CancellationToken::new(), seat));
            let mut client = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
            client.timer(TokioTimer::new()).initial_stream_window_size(1024);
            let (sender, connection) = client.handshake(TokioIo::new(theirs)).await.unwrap();
            tokio::spawn(connection);
            Self(sender)
        }

        async fn ask(mut self, path: &str) -> hyper::Result<Body> {
            let request = Request::get(format!("http://x{path}")).body(Body::empty()).unwrap();
            self.0.send_request(request).await.map(|response| Body::new(response.into_body()))
        }

        /// Asks for this and that for so many stall times; whether all of it was answered.
        async fn keeps_asking(&self, stalls: u32) -> bool {
            for _ in 0..4 * stalls {
                tokio::time::sleep(WRITE_STALL_TIMEOUT / 4).await;
                let Ok(body) = self.clone().ask("/ok").await else { return false };
                assert_eq!(to_bytes(body, 100).await.unwrap(), "fine");
            }
            true
        }
    }

    /// Somebody else on the same connection moves bytes all the time: that is no reason to keep what he does not take.
    #[tokio::test(start_paused = true)]
    async fn a_stream_whose_window_stays_closed_is_reset_and_the_others_go_on() {
        let client = Client::new().await;
        let stalled = client.clone().ask("/pieces").await.unwrap();
        let late = tokio::spawn(client.clone().ask("/late"));
        assert!(client.keeps_asking(5).await);
        assert!(to_bytes(stalled, usize::MAX).await.is_err(), "it was reset");
        let late = late.await.unwrap().unwrap();
        assert!(to_bytes(late, 100).await.unwrap().starts_with(b"late"));
    }

    /// Of an answer in one piece everything waits in the connection, behind a window that stays closed.
    #[tokio::test(start_paused = true)]
    async fn a_connection_that_keeps_the_end_of_an_answer_to_itself_is_closed() {
        let client = Client::new().await;
        let taken = client.clone().ask("/whole").await.unwrap();
        assert_eq!(to_bytes(taken, usize::MAX).await.unwrap().len(), 1024 * 1024);
        assert!(client.keeps_asking(3).await, "it was taken");
        let _stalled = client.clone().ask("/whole").await.unwrap();
        assert!(!client.keeps_asking(3).await);
    }

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
