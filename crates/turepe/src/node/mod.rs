//! One running node: the rooms, wired.
//!
//! Belongs here: who gets what from whom, the order of start and end. Not here: what any of them does.

mod audio;
mod covers;
mod facts;
mod gate;
mod keys;
mod listen;
mod metrics;
mod presence;
mod relays;
mod sink;
mod watching;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use archive::{Archive, ArchiveConfig};
use catalog::{Catalog, Publishers};
use directory::Directory;
use ingest::{RtmpConfig, RtmpServer};
use live::Live;
use live::covers::Covers;
use relay::Relays;
use serve::{BucketAccess, Dvr, DvrFiles, Listeners, Measured, Monitor, ServeConfig, Server, Srs};
use tokio::net::TcpListener;
use tokio::sync::watch;
use uuid::Uuid;
use world::{Clock, Disk, SystemClock, SystemDisk};

use self::audio::AudioNotes;
use self::facts::NodeFacts;
use self::gate::CatalogGate;
pub(crate) use self::gate::prefix;
use self::keys::StreamKeys;
pub(crate) use self::listen::PortSearch;
use self::metrics::RoomMetrics;
use self::relays::NodeRelays;
use self::watching::{Watch, Watched};
use crate::config::Config;
use crate::data_folder::{self, Listening, Lock};
use crate::descriptors::{Descriptors, Door};
use crate::failure::Failure;
use crate::identity::{self, Held, Identity};
use crate::tls::Tls;

/// From the first signal to the end of the process, whatever hangs.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(2800);

/// What the outside directory may believe because of this node, in the data folder.
const DIRECTORY_FILE: &str = "directory.json";

/// Which of SRS's recordings were taken, in the data folder.
const DVR_FILE: &str = "srs_dvr.txt";

/// Where a node listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    /// HTTP
    pub(crate) http: SocketAddr,
    /// HTTPS
    pub(crate) https: Option<SocketAddr>,
    /// RTMP
    pub(crate) rtmp: SocketAddr,
    /// RTMPS
    pub(crate) rtmps: Option<SocketAddr>,
}

/// A node whose ports are bound and that does not run yet.
pub(crate) struct Node {
    catalog: Catalog,
    archive: Archive,
    publishers: Arc<Publishers>,
    server: Server,
    http: Listeners,
    addresses: Addresses,
    tls: Option<Tls>,
    rtmp: RtmpServer,
    directory: Option<Directory>,
    live: Live,
    covers: Covers,
    relays: Relays,
    srs: Srs,
    dvr: Option<Dvr>,
    monitor: Monitor,
    srs_api: Option<TcpListener>,
    watch: Watch,
    name: String,
    _held: Held,
    /// Last: the folder is ours until everything else is gone.
    _lock: Lock,
}

impl Node {
    /// Takes the data folder, binds the ports, opens catalog and archive.
    pub(crate) async fn open(config: &Config, ports: PortSearch) -> Result<Self, Failure> {
        let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let lock = Lock::take(config)?;
        data_folder::make_store(config)?;
        let (identity, held) = Identity::hold(&config.node.data)?;
        let tls = config.tls.as_ref().map(|files| Tls::open(files, disk.clone(), clock.clone())).transpose();
        let tls = tls.map_err(|error| Failure::usage(format!("configuration: {error}")))?;
        let http = listen::http(config, ports, tls.as_ref())?;
        let catalog = data_folder::await_catalog(config).await?.for_node(identity.id);
        let former = data_folder::former_nodes(config, &identity);
        tell_of_former(&catalog, &identity, &former).await;
        let bucket = config.store.bucket(&clock);
        let bucket = bucket.map_err(|error| Failure::context("cannot use the bucket", error))?;
        let archive = Archive::open_with_bucket(
            archive_config(config, former),
            disk.clone(),
            clock.clone(),
            catalog.clone(),
            bucket,
        )
        .map_err(|error| Failure::context("cannot open the archive", error))?;
        archive.set_time_keeping(Arc::new(crate::clock_state::Systemd));
        let operators = crate::operators::open(config)?;
        let live = Live::with_window(config.live.window.micros());
        let covers = covers::open(config, disk.clone())?;
        let directory = open_directory(config, &disk, &clock)?;
        let publishers = Arc::new(Publishers::new(catalog.clone()));
        let bucket =
            BucketAccess { origin: config.store.bucket_origin(), url_life: config.store.url_life.duration() };
        let relays = Relays::new(live.clone(), clock.clone(), config.relay.targets());
        let node_relays = Arc::new(NodeRelays(relays.clone()));
        let metrics =
            Arc::new(RoomMetrics::new(live.clone(), covers.clone(), directory.clone(), relays.clone()));
        let descriptors = Descriptors::here(config);
        if !descriptors.are_enough() {
            let Descriptors { limit, recording, viewers } = descriptors;
            tracing::warn!(
                limit,
                recording,
                viewers,
                "few files may be open: viewers get fewer connections (`turepe doctor`)"
            );
        }
        let door = Door::here(descriptors);
        let watch = Watch::new(Watched {
            disk: disk.clone(),
            clock: clock.clone(),
            folders: watched_folders(config),
            places: watched_places(config),
            archive: archive.clone(),
            catalog: catalog.clone(),
            live: live.clone(),
            door: door.clone(),
            records: config.archive.record,
            knows_cameras: config.archive.record && config.srs.dvr(config.node.data.join(DVR_FILE)).is_none(),
        });
        let serve_config = ServeConfig {
            watch: Some(Arc::new(watch.clone())),
            memory_bytes: config.http.memory.bytes(),
            max_connections: descriptors.max_viewers(),
            free_range_us: config.http.free_range.micros(),
            data: config.node.data.clone(),
            ffmpeg: config.node.ffmpeg.clone(),
            private: config.private_folders(),
            disk,
            bucket,
            hubs: live.clone(),
            covers: Some(covers.clone()),
            operators: operators.clone(),
            measured: measured(&metrics, tls.as_ref()),
            relays: Some(node_relays.clone()),
            of_no_club: config.access.channels_of_no_club,
        };
        let live_channels = Arc::new(LiveChannels(live.clone()));
        let server =
            Server::new(serve_config, archive.clone(), catalog.clone(), live_channels, clock.clone())
                .await
                .map_err(|error| Failure::context("cannot start the HTTP server", error))?;
        let keys = Arc::new(StreamKeys::new(Arc::clone(&publishers), catalog.clone(), directory.clone()));
        let gate = Arc::new(CatalogGate::new(
            keys.clone(),
            config.archive.record.then(|| (archive.clone(), door)),
            live.clone(),
            covers.clone(),
            relays.clone(),
            AudioNotes::start(catalog.clone(), clock.clone()),
            server.viewing(),
        ));
        let rtmp = listen::rtmp(config, ports, tls.as_ref(), |listen| {
            RtmpServer::bind(rtmp_config(config, descriptors, listen), gate.clone(), clock.clone())
        })?;
        metrics.set_publishers(rtmp.publishers());
        let addresses = listen::addresses(&http, &rtmp)?;
        relays.set_own_ingest(addresses.rtmp);
        let dvr = config
            .srs
            .dvr(config.node.data.join(DVR_FILE))
            .map(|dvr| Dvr::new(dvr, archive.clone(), keys.clone(), Arc::new(SystemDisk), clock.clone()));
        let files = dvr.clone().map(|dvr| Arc::new(dvr) as Arc<dyn DvrFiles>);
        let srs = Srs::new(config.srs.config(addresses.rtmp), keys, node_relays, files, clock.clone());
        let srs_api = listen::srs_api(&config.srs_api)?;
        let monitoring = srs_api.as_ref().and_then(|listener| listener.local_addr().ok());
        if let Err(error) = lock.note(Listening { http: addresses.http, monitoring }) {
            // Recording does not depend on it, on a full disk for one.
            tracing::warn!(%error, "cannot note where the node listens: `turepe ask` does not find it");
        }
        let facts = NodeFacts {
            live: live.clone(),
            connections: rtmp.connections(),
            flv_players: server.flv_players(),
        };
        let monitor = Monitor::new(config.srs_api.door(operators), identity.id, Arc::new(facts), clock);
        let server = server.with_srs(srs.clone()).with_monitor(monitor.clone());
        Ok(Self {
            catalog,
            archive,
            publishers,
            server,
            http: http.listeners,
            addresses,
            tls,
            rtmp,
            directory,
            live,
            covers,
            relays,
            srs,
            dvr,
            monitor,
            srs_api,
            watch,
            name: identity::name(config),
            _held: held,
            _lock: lock,
        })
    }

    /// Where it listens.
    pub(crate) fn addresses(&self) -> Addresses {
        self.addresses
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
        let memory = tokio::spawn(keys::keep_fresh(self.publishers));
        let presence = tokio::spawn(presence::tell(self.catalog.clone(), self.name));
        let watched = tokio::spawn(self.watch.run());
        let targets = tokio::spawn(relays::keep_fresh(self.catalog.clone(), self.relays.clone()));
        let relayed = tokio::spawn(self.relays.run(wait(stopped.clone())));
        let http = tokio::spawn(self.server.run(self.http, wait(stopped.clone())));
        let publishing = Publishing { live: self.live, publishers: self.rtmp.publishers() };
        let rtmp = tokio::spawn(self.rtmp.run(wait(stopped.clone())));
        let directory = self
            .directory
            .map(|directory| tokio::spawn(directory.run(Arc::new(publishing), wait(stopped.clone()))));
        let roster = Arc::new(covers::Channels(self.catalog.clone()));
        let covered = wait(stopped.clone());
        let covers = tokio::spawn(async move { self.covers.run(roster, covered).await });
        let watching = tokio::spawn(self.monitor.run(self.srs_api, wait(stopped.clone())));
        tokio::spawn(self.srs.reconcile(wait(stopped.clone())));
        if let Some(tls) = self.tls {
            tokio::spawn(tls.follow(wait(stopped.clone())));
        }
        if let Some(dvr) = self.dvr {
            tokio::spawn(dvr.run(wait(stopped)));
        }
        shutdown.await;
        tracing::info!("stopping");
        stop.send_replace(true);
        memory.abort();
        presence.abort();
        targets.abort();
        watched.abort();
        let archive = self.archive;
        let ending = async {
            let recorded = async {
                if let Err(error) = rtmp.await {
                    tracing::error!(%error, "the RTMP server failed");
                }
                archive.shutdown().await;
            };
            let told = async {
                if let Some(directory) = directory
                    && let Err(error) = directory.await
                {
                    tracing::error!(%error, "the directory failed");
                }
            };
            let ((), (), answered, covered, watched, relayed) =
                tokio::join!(recorded, told, http, covers, watching, relayed);
            if let Err(error) = relayed {
                tracing::error!(%error, "relays failed");
            }
            if let Err(error) = watched {
                tracing::error!(%error, "the monitoring failed");
            }
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

/// Folders that recording writes to.
fn watched_folders(config: &Config) -> Vec<PathBuf> {
    let (data, store) = (config.node.data.clone(), config.store.folder.clone());
    if store.starts_with(&data) { vec![data] } else { vec![data, store] }
}

/// Folders and files that are not to be deleted or replaced while the node runs.
fn watched_places(config: &Config) -> Vec<PathBuf> {
    let mut places = vec![config.node.data.clone()];
    places.extend(identity::sqlite_file(config));
    places.extend([config.spool(), config.store.folder.clone()]);
    places
}

/// Whoever has numbers for `/metrics`.
fn measured(rooms: &Arc<RoomMetrics>, tls: Option<&Tls>) -> Vec<Arc<dyn Measured>> {
    let mut all: Vec<Arc<dyn Measured>> = vec![rooms.clone()];
    all.extend(tls.map(|tls| Arc::new(tls.clone()) as Arc<dyn Measured>));
    all
}

/// Says what to do about footage that this folder had under another id and may not take over by itself.
async fn tell_of_former(catalog: &Catalog, identity: &Identity, taken_over: &[Uuid]) {
    for id in identity.former.iter().filter(|id| !taken_over.contains(id)) {
        let held = catalog.held_segments(Some(*id), i64::MIN, 1).await;
        // A database that does not answer now says it at the next start.
        if held.is_ok_and(|held| !held.is_empty()) {
            tracing::warn!(
                was = %id,
                "this data folder was another node before, and the catalog holds footage for that one: it is read from here, \
                 and neither uploaded nor removed. If that folder is gone: turepe admin node adopt {id}"
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

/// What the directory asks of this node.
struct Publishing {
    live: Live,
    publishers: ingest::Publishers,
}

impl directory::Node for Publishing {
    fn live_channels(&self) -> Vec<Uuid> {
        self.live.channels().iter().filter(|status| status.is_live).map(|status| status.channel_id).collect()
    }

    fn drop_publisher(&self, channel: Uuid) {
        self.publishers.drop_publisher(channel);
    }
}

/// The outside directory, where one is configured.
pub(crate) fn open_directory(
    config: &Config,
    disk: &Arc<dyn Disk>,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Directory>, Failure> {
    let Some(settings) = config.directory.open_with(config.node.data.join(DIRECTORY_FILE)) else {
        return Ok(None);
    };
    Directory::open(settings, disk.clone(), clock.clone())
        .map(Some)
        .map_err(|error| Failure::usage(format!("configuration: `[directory]`: {error}")))
}

/// The archive's settings.
pub(crate) fn archive_config(config: &Config, former_nodes: Vec<Uuid>) -> ArchiveConfig {
    ArchiveConfig {
        former_nodes,
        segment_us: config.archive.segment.micros(),
        sync_us: config.archive.sync.micros(),
        upload: config.store.upload(),
        retention: config.retention.config(),
        play_from: config.store.play_from,
        ..ArchiveConfig::new(config.spool(), &config.store.folder)
    }
}

fn rtmp_config(config: &Config, descriptors: Descriptors, listen: SocketAddr) -> RtmpConfig {
    RtmpConfig {
        max_connections: config.rtmp.max_connections as usize,
        max_connections_per_address: config.rtmp.max_connections_per_address as usize,
        max_players: descriptors.at_most(config.rtmp.max_players as usize),
        max_players_per_address: config.rtmp.max_players_per_address as usize,
        max_waiting: descriptors.at_most(config.rtmp.max_waiting as usize),
        max_waiting_per_address: config.rtmp.max_waiting_per_address as usize,
        establish_timeout: config.rtmp.establish_timeout.duration(),
        idle_timeout: config.rtmp.idle_timeout.duration(),
        ..RtmpConfig::new(listen)
    }
}
