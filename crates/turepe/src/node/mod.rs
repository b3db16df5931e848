//! One running node: the rooms, wired.
//!
//! Belongs here: who gets what from whom, the order of start and end. Not here: what any of them does.

mod covers;
mod gate;
mod listen;
mod sink;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use archive::{Archive, ArchiveConfig};
use catalog::Catalog;
use ingest::{RtmpConfig, RtmpServer};
use live::Live;
use live::covers::Covers;
use serve::{BucketAccess, ServeConfig, Server};
use tokio::net::TcpListener;
use tokio::sync::watch;
use uuid::Uuid;
use world::{Clock, Disk, SystemClock, SystemDisk};

use self::gate::CatalogGate;
pub(crate) use self::gate::prefix;
pub(crate) use self::listen::PortSearch;
use crate::config::Config;
use crate::data_folder::{self, Lock};
use crate::failure::Failure;

/// From the first signal to the end of the process, whatever hangs.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(2800);

/// A node whose ports are bound and that does not run yet.
pub(crate) struct Node {
    catalog: Catalog,
    archive: Archive,
    server: Server,
    http: TcpListener,
    rtmp: RtmpServer,
    covers: Covers,
    /// Last: the folder is ours until everything else is gone.
    _lock: Lock,
}

impl Node {
    /// Takes the data folder, binds the ports, opens catalog and archive.
    pub(crate) async fn open(config: &Config, ports: PortSearch) -> Result<Self, Failure> {
        let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let lock = Lock::take(config)?;
        let http = listen::http(config.http.listen, ports)?;
        let catalog = data_folder::open_catalog(config).await?;
        let bucket = config.store.bucket(&clock);
        let bucket = bucket.map_err(|error| Failure::context("cannot use the bucket", error))?;
        let archive = Archive::open_with_bucket(
            archive_config(config),
            disk.clone(),
            clock.clone(),
            catalog.clone(),
            bucket,
        )
        .map_err(|error| Failure::context("cannot open the archive", error))?;
        let live = Live::new();
        let covers = covers::open(config, disk.clone())?;
        let gate = CatalogGate::new(catalog.clone(), archive.clone(), live.clone(), covers.clone());
        let gate = Arc::new(gate);
        let rtmp = listen::rtmp(config.rtmp.listen, ports, |listen| {
            RtmpServer::bind(rtmp_config(config, listen), gate.clone(), clock.clone())
        })?;
        let bucket =
            BucketAccess { origin: config.store.bucket_origin(), url_life: config.store.url_life.duration() };
        let serve_config = ServeConfig {
            data: config.node.data.clone(),
            ffmpeg: config.node.ffmpeg.clone(),
            disk,
            bucket,
            covers: Some(covers.clone()),
        };
        let server =
            Server::new(serve_config, archive.clone(), catalog.clone(), Arc::new(LiveChannels(live)), clock)
                .await
                .map_err(|error| Failure::context("cannot start the HTTP server", error))?;
        Ok(Self { catalog, archive, server, http, rtmp, covers, _lock: lock })
    }

    /// Where HTTP is served.
    pub(crate) fn http_address(&self) -> Result<SocketAddr, Failure> {
        self.http.local_addr().map_err(|error| Failure::context("the HTTP port", error))
    }

    /// Where publishers are awaited.
    pub(crate) fn rtmp_address(&self) -> Result<SocketAddr, Failure> {
        self.rtmp.local_addr().map_err(|error| Failure::context("the RTMP port", error))
    }

    /// The catalog, for what the command wants to say about it.
    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Runs until `shutdown` resolves, then ends within [`SHUTDOWN_TIMEOUT`]: publishers first, so that nothing new
    /// comes; then everything recorded is sealed while the last answers go out.
    pub(crate) async fn run(self, shutdown: impl Future<Output = ()>) {
        let (stop, stopped) = watch::channel(false);
        let wait = |mut stopped: watch::Receiver<bool>| async move {
            // An error means that the sender is gone: that is a stop, too.
            drop(stopped.wait_for(|stopped| *stopped).await);
        };
        let http = tokio::spawn(self.server.run(self.http, wait(stopped.clone())));
        let rtmp = tokio::spawn(self.rtmp.run(wait(stopped.clone())));
        let roster = Arc::new(covers::Channels(self.catalog.clone()));
        let covers = tokio::spawn(async move { self.covers.run(roster, wait(stopped)).await });
        shutdown.await;
        tracing::info!("stopping");
        stop.send_replace(true);
        let archive = self.archive;
        let ending = async {
            let recorded = async {
                if let Err(error) = rtmp.await {
                    tracing::error!(%error, "the RTMP server failed");
                }
                archive.shutdown().await;
            };
            let ((), answered, covered) = tokio::join!(recorded, http, covers);
            if let Err(error) = covered {
                tracing::error!(%error, "covers failed");
            }
            if let Err(error) = answered {
                tracing::error!(%error, "the HTTP server failed");
            }
            if let Err(error) = self.catalog.close().await {
                tracing::error!(%error, "the catalog did not close");
            }
        };
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, ending).await.is_err() {
            tracing::warn!(
                limit_ms = SHUTDOWN_TIMEOUT.as_millis() as u64,
                "stopped in a hurry; the next start repairs what is open"
            );
        }
    }
}

/// Which channels are live, as `serve` asks.
struct LiveChannels(Live);

impl serve::Live for LiveChannels {
    fn is_live(&self, channel: Uuid) -> bool {
        self.0.is_live(channel)
    }
}

/// The archive's settings.
pub(crate) fn archive_config(config: &Config) -> ArchiveConfig {
    ArchiveConfig {
        segment_us: config.archive.segment.micros(),
        sync_us: config.archive.sync.micros(),
        upload: config.store.upload(),
        retention: config.retention.config(),
        play_from: config.store.play_from,
        ..ArchiveConfig::new(config.spool(), &config.store.folder)
    }
}

fn rtmp_config(config: &Config, listen: SocketAddr) -> RtmpConfig {
    RtmpConfig {
        max_connections: config.rtmp.max_connections as usize,
        max_connections_per_address: config.rtmp.max_connections_per_address as usize,
        establish_timeout: config.rtmp.establish_timeout.duration(),
        idle_timeout: config.rtmp.idle_timeout.duration(),
        ..RtmpConfig::new(listen)
    }
}
