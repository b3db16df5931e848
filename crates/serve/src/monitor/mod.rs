//! Monitoring as SRS has it: `GET /api/v1/versions`, `summaries`, `streams`, `clients`, and `DELETE /api/v1/clients/{id}`, for the
//! tools that operators have for SRS.
//!
//! Belongs here: SRS's shapes (`trunk/src/app/srs_app_http_api.cpp`, `srs_app_statistic.cpp` of its branch `6.0release`), rates,
//! and who may ask. Not here: where the facts come from ([`MonitorSource`]).
//!
//! What SRS names by stream key is named by the channel's id here: `name`, `url` and `tcUrl` hold nothing that a publisher
//! has sent. Players of HLS are not connections of a channel and are not listed.

mod door;
mod handlers;
mod players;
mod rates;
mod shapes;

use crate::{
    http::{guard, listen},
    limits::MAX_MONITOR_CONNECTIONS,
};
use axum::{
    Router,
    middleware::{from_fn_with_state, map_response},
    routing::get,
};
use media::SessionConfig;
use rates::Rates;
use std::{
    future::Future,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::net::TcpListener;
use uuid::Uuid;
use world::{Clock, Usage};

pub use door::MonitorDoor;
pub use players::FlvPlayers;
pub(crate) use players::ListedPlayer;

/// How often rates are sampled.
pub(crate) const SAMPLE_TICK: Duration = Duration::from_secs(5);

/// One connection that publishes or plays a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientFacts {
    /// Its number; never used again.
    pub id: u64,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// The channel.
    pub channel_id: Uuid,
    /// What it is.
    pub kind: ClientKind,
    /// UTC microseconds since when it is connected.
    pub since_us: i64,
    /// Bytes that came from it.
    pub received_bytes: u64,
    /// Bytes that it was sent.
    pub sent_bytes: u64,
}

/// How a client is connected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientKind {
    /// It publishes by RTMP.
    Publisher,
    /// It plays by RTMP.
    RtmpPlayer,
    /// It plays by HTTP-FLV.
    FlvPlayer,
}

/// One channel that is published or listened to.
#[derive(Clone, Debug)]
pub struct StreamFacts {
    /// The channel.
    pub channel_id: Uuid,
    /// Whether frames come.
    pub is_live: bool,
    /// Video frames so far.
    pub frames: u64,
    /// Bytes of frames so far.
    pub bytes: u64,
    /// Its tracks, while a session runs.
    pub config: Option<Arc<SessionConfig>>,
}

/// Where the facts come from.
pub trait MonitorSource: Send + Sync + 'static {
    /// All connections that publish or play, by number.
    fn clients(&self) -> Vec<ClientFacts>;
    /// All channels that are published or listened to, by id.
    fn streams(&self) -> Vec<StreamFacts>;
    /// Connections of every kind, also those of RTMP that have not said what they want.
    fn connections(&self) -> usize;
    /// Disconnects a client; false where there is none of that number.
    fn drop_client(&self, id: u64) -> bool;
}

/// The monitoring of a node. Clones are the same.
#[derive(Clone)]
pub struct Monitor {
    inner: Arc<Inner>,
}

struct Inner {
    door: MonitorDoor,
    source: Arc<dyn MonitorSource>,
    clock: Arc<dyn Clock>,
    /// What SRS calls the id of the server and of this run of it.
    server: String,
    service: String,
    started_us: i64,
    rates: Mutex<Rates>,
}

impl Monitor {
    /// Monitoring of this run of a node. `server` tells nodes apart and may be anything that is the same after a restart.
    #[must_use]
    pub fn new(
        door: MonitorDoor,
        server: Uuid,
        source: Arc<dyn MonitorSource>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let started_us = clock.now_us();
        let inner = Inner {
            door,
            source,
            server: format!("vid-{}", server.simple().to_string().get(..7).unwrap_or_default()),
            service: format!("{:x}", started_us.unsigned_abs()),
            started_us,
            rates: Mutex::new(Rates::default()),
            clock,
        };
        let monitor = Self { inner: Arc::new(inner) };
        monitor.sample();
        monitor
    }

    /// Samples rates, and answers on a port of its own where there is one, until `shutdown` resolves.
    pub async fn run(self, listener: Option<TcpListener>, shutdown: impl Future<Output = ()> + Send) {
        let sampling = async {
            loop {
                tokio::time::sleep(SAMPLE_TICK).await;
                self.sample();
            }
        };
        let serving = async {
            match listener {
                Some(listener) => {
                    listen::serve(listener, MAX_MONITOR_CONNECTIONS, self.router(), shutdown).await;
                }
                None => shutdown.await,
            }
        };
        let (sampling, serving) = (pin!(sampling), pin!(serving));
        tokio::select! {
            () = sampling => {}
            () = serving => {}
        }
    }

    /// The routes of its own port.
    fn router(&self) -> Router {
        let routes = Router::new()
            .route("/api/v1/versions", get(handlers::versions))
            .route("/api/v1/summaries", get(handlers::summaries))
            .route("/api/v1/streams", get(handlers::streams))
            .route("/api/v1/streams/", get(handlers::streams))
            .route("/api/v1/streams/{id}", get(handlers::stream))
            .route("/api/v1/clients", get(handlers::clients))
            .route("/api/v1/clients/", get(handlers::clients))
            .route("/api/v1/clients/{id}", get(handlers::client).delete(handlers::drop_client))
            .method_not_allowed_fallback(crate::server::wrong_method)
            .fallback(handlers::nothing_here)
            .layer(from_fn_with_state(self.clone(), door::guarded))
            .layer(map_response(crate::server::not_stored))
            .with_state(self.clone());
        guard::around(guard::paced(routes), None, Arc::default())
    }

    /// The routes that the main port answers as well.
    pub(crate) fn summaries_route(&self) -> Router {
        Router::new()
            .route("/api/v1/summaries", get(handlers::summaries))
            .method_not_allowed_fallback(crate::server::wrong_method)
            .layer(from_fn_with_state(self.clone(), door::guarded))
            .layer(map_response(crate::server::not_stored))
            .with_state(self.clone())
    }

    fn sample(&self) {
        let now_us = self.inner.clock.now_us();
        let (streams, clients) = (self.inner.source.streams(), self.inner.source.clients());
        let usage = Usage::read();
        self.rates().sample(now_us, &streams, &clients, usage);
    }

    fn rates(&self) -> MutexGuard<'_, Rates> {
        self.inner.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
