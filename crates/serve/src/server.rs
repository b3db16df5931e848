//! The server as the program wires it: routes, what stands around them, and the listener.

use crate::{
    app::{App, Live, Parts, ServeConfig},
    door::Door,
    frames::Frames,
    handlers::{self, Readiness},
    http::{
        guard, listen,
        listen::Listeners,
        memory::{Accountant, Memory, accounted},
    },
    limits::GZIP_BYTES,
    monitor::{FlvPlayers, Monitor},
    openapi::Document,
    patterns,
    playlists::Playlists,
    problem::{Problem, ProblemCode},
    srs::Srs,
    token::Signer,
    ui,
    viewing::Viewing,
};
use archive::Archive;
use axum::{
    Router,
    http::{HeaderValue, Method, Response, header},
    middleware::{from_fn_with_state, map_response},
    routing::get,
};
use catalog::Catalog;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use tower_http::{
    CompressionLevel,
    compression::CompressionLayer,
    cors::{Any, CorsLayer},
};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};
use world::Clock;

/// Name of the secret that signs media addresses.
const SECRET: &str = "media";

/// How long a browser may remember what other sites may ask of media.
const PREFLIGHT_AGE: Duration = Duration::from_secs(86_400);

/// Why a server cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The secret that signs addresses cannot be read or made.
    #[error("the catalog has no secret to sign addresses with")]
    Secret(#[source] catalog::CatalogError),
}

/// The HTTP side of a node.
#[derive(Clone)]
pub struct Server {
    app: App,
    max_connections: usize,
    srs: Option<Srs>,
    monitor: Option<Monitor>,
}

impl Server {
    /// Makes a server over the other rooms.
    ///
    /// # Errors
    ///
    /// When the catalog cannot give the signing secret.
    pub async fn new(
        config: ServeConfig,
        archive: Archive,
        catalog: Catalog,
        live: Arc<dyn Live>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ServeError> {
        let secret = catalog.secret(SECRET).await.map_err(ServeError::Secret)?;
        let signer = Signer::new(&secret);
        let hubs = config.hubs.clone();
        let door = Door::new(catalog.clone(), Arc::clone(&clock), config.of_no_club);
        let viewing = Viewing::new(hubs.clone(), door.clone(), signer.clone(), Arc::clone(&clock));
        let parts = Parts {
            archive,
            catalog,
            live,
            clock,
            signer,
            hubs,
            door,
            viewing,
            code_turn: Arc::new(Semaphore::new(1)),
            frames: Frames::open(&config).await,
            readiness: Readiness::new(&config),
            bucket: config.bucket.clone(),
            operators: config.operators.clone(),
            answers: Arc::default(),
            memory: Memory::new(config.memory_bytes),
            playlists: Playlists::default(),
            free_range_us: config.free_range_us,
            measured: config.measured.clone(),
            watch: config.watch.clone(),
            covers: config.covers.clone(),
            flv_players: FlvPlayers::default(),
            relays: config.relays.clone(),
        };
        let max_connections = config.max_connections;
        Ok(Self { app: App::new(parts), max_connections, srs: None, monitor: None })
    }

    /// Answers an SRS node's callbacks as well.
    #[must_use]
    pub fn with_srs(self, srs: Srs) -> Self {
        Self { srs: Some(srs), ..self }
    }

    /// Answers the summaries of a monitoring as well.
    #[must_use]
    pub fn with_monitor(self, monitor: Monitor) -> Self {
        Self { monitor: Some(monitor), ..self }
    }

    /// Who may watch what live: the same answer for every way of watching.
    #[must_use]
    pub fn viewing(&self) -> Viewing {
        self.app.viewing.clone()
    }

    /// Who watches by HTTP-FLV, now and later.
    #[must_use]
    pub fn flv_players(&self) -> FlvPlayers {
        self.app.flv_players.clone()
    }

    /// All routes, with everything around them.
    pub fn router(&self) -> Router {
        let [api, entry, playlists, operations] = described().map(|group| {
            // Before the layers below, which then see these refusals as well: a preflight is such a method.
            Router::from(group).method_not_allowed_fallback(wrong_method)
        });
        let files = files().method_not_allowed_fallback(wrong_method);
        let operations = operations
            .route("/openapi.json", get(handlers::openapi))
            .method_not_allowed_fallback(wrong_method);
        // What is made in memory counts; files count for themselves, and operators are answered in any case.
        let counted = |encoder_bytes| {
            from_fn_with_state(Accountant { app: self.app.clone(), encoder_bytes }, accounted)
        };
        let pictures = pictures().method_not_allowed_fallback(wrong_method).layer(counted(0));
        let live = live_media().method_not_allowed_fallback(wrong_method).layer(counted(0)).layer(cors());
        let answers = api.layer(counted(GZIP_BYTES)).layer(compression()).layer(map_response(not_stored));
        let media = playlists.layer(counted(GZIP_BYTES)).layer(compression()).merge(files).layer(cors());
        let covers = covers().method_not_allowed_fallback(wrong_method).layer(counted(0)).layer(cors());
        let routes = guard::paced(answers.merge(media))
            // What strangers try keeps nobody from what is there.
            .merge(guard::tried(entry.layer(map_response(not_stored))))
            // A page of start times asks for dozens of pictures at once, and each may wait for its ffmpeg.
            .merge(guard::paced(pictures))
            // Reloads wait for the next half second, most of the time.
            .merge(guard::waiting(live))
            // Wall of covers: as many at once, every few seconds, and each costs next to nothing.
            .merge(guard::paced(covers))
            // Whoever watches over the server is answered even when players are not.
            .merge(guard::paced(operations.layer(map_response(not_stored))))
            .fallback(ui::fallback)
            .with_state(self.app.clone());
        // SRS holds up its publisher until it is answered: it waits for nobody else's turn.
        let more = [self.srs.as_ref().map(Srs::routes), self.monitor.as_ref().map(Monitor::summaries_route)];
        let routes = more.into_iter().flatten().fold(routes, |routes, more| routes.merge(guard::paced(more)));
        guard::around(routes, self.app.bucket.origin.as_deref(), Arc::clone(&self.app.answers))
    }

    /// Serves until `shutdown` resolves; ends within three seconds of it, whatever is being downloaded.
    pub async fn run(
        self,
        listeners: impl Into<Listeners> + Send,
        shutdown: impl Future<Output = ()> + Send,
    ) {
        listen::serve(listeners, self.max_connections, self.router(), shutdown).await;
    }
}

/// The OpenAPI document: what the routes say of themselves.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    let groups = described().into_iter();
    let mut document =
        groups.fold(OpenApiRouter::with_openapi(Document::openapi()), OpenApiRouter::merge).into_openapi();
    patterns::add(&mut document);
    document
}

/// The routes whose path the router and the document write alike: described and routed from one place.
///
/// In order: the JSON API, entry with links and codes, playlists, operations.
fn described() -> [OpenApiRouter<App>; 4] {
    let api = OpenApiRouter::default()
        .routes(routes!(handlers::list_clubs))
        .routes(routes!(handlers::get_club))
        .routes(routes!(handlers::list_days))
        .routes(routes!(handlers::list_slots))
        .routes(routes!(handlers::get_replay));
    let entry = OpenApiRouter::default().routes(routes!(handlers::open_access));
    let playlists = OpenApiRouter::default().routes(routes!(handlers::get_playlist));
    let operations = OpenApiRouter::default()
        .routes(routes!(handlers::healthz))
        .routes(routes!(handlers::readyz))
        .routes(routes!(handlers::get_ledger))
        .routes(routes!(handlers::get_relays))
        .routes(routes!(handlers::get_metrics))
        .routes(routes!(handlers::list_links, handlers::create_link))
        .routes(routes!(handlers::revoke_link))
        .routes(routes!(handlers::list_codes, handlers::create_codes))
        .routes(routes!(handlers::revoke_code))
        .routes(routes!(handlers::get_channel_live));
    [api, entry, playlists, operations]
}

/// The files of media. They have an extension behind the parameter, which the router cannot write: `{token}` takes the
/// whole part, and the handler looks for the extension. They are described in [`Document`].
fn files() -> Router<App> {
    Router::new()
        .route("/replay/{token}", get(handlers::get_download))
        .route("/media/{token}/{segment}", get(handlers::get_media))
        .route("/init/{hash}", get(handlers::get_init))
}

/// What is being broadcast; like [`files`].
fn live_media() -> Router<App> {
    Router::new()
        .route("/live/{channel}", get(handlers::get_live_flv))
        .route("/live/{channel}/{file}", get(handlers::get_live_file))
}

/// The pictures of matches; like [`files`], but for this site alone.
fn pictures() -> Router<App> {
    Router::new().route("/frame/{token}", get(handlers::get_frame))
}

/// The covers of channels, which any site may show.
fn covers() -> Router<App> {
    Router::new().route("/thumbs/{file}", get(handlers::get_cover))
}

/// Media may be played from any site: who has the signed address has what it grants, and cookies are not looked at.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD])
        .allow_headers([header::RANGE, header::IF_RANGE, header::IF_NONE_MATCH, header::IF_MATCH])
        .expose_headers([
            header::ACCEPT_RANGES,
            header::CONTENT_DISPOSITION,
            header::CONTENT_LENGTH,
            header::CONTENT_RANGE,
            header::ETAG,
        ])
        .max_age(PREFLIGHT_AGE)
        // The answer is the same for every origin, so caches need not tell them apart.
        .vary([])
}

fn compression() -> CompressionLayer {
    CompressionLayer::new().quality(CompressionLevel::Fastest)
}

pub(crate) async fn not_stored<B>(mut response: Response<B>) -> Response<B> {
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The router adds the `Allow` field.
pub(crate) async fn wrong_method(method: Method) -> Problem {
    Problem::new(
        ProblemCode::MethodNotAllowed,
        format!("{method} is not answered at this address; see the Allow field"),
    )
}
