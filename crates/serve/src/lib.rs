//! HTTP: the public API, playlists, media bytes, pictures and the embedded user interface; an SRS node's backend, and
//! monitoring as SRS has it.
//!
//! - **In**: HTTP requests; rows of the catalog; views, ranges and keyframes of the archive; live windows and tags; the clock.
//! - **Out**: JSON with its OpenAPI document, HLS playlists, live parts, FLV streams, MP4 bytes, pictures, the user interface.
//! - **Invariants**: every refusal is a problem document; every limit is named in `limits`; media is reached only
//!   by a signed, expiring token that names its channel and range, and is handed out and taken by `door`, which asks `access`; a token is never logged; what the node says of itself is
//!   for its operators.
//! - **Never**: SQL, files of the archive, protocol parsing, decoding in this process.

pub mod api;
mod app;
mod coverage;
mod direct;
mod door;
mod frames;
mod handlers;
mod handout;
mod http;
pub mod limits;
mod metrics;
mod monitor;
mod openapi;
mod operators;
mod patterns;
mod playlists;
mod problem;
mod query;
mod server;
mod srs;
mod token;
mod ui;
mod viewing;

pub use app::{BucketAccess, Live, Relays, ServeConfig, Watch};
pub use handout::{HandOutError, HandedCode, HandedLink, LinkTo, make_codes, make_link};
pub use http::listen::Listeners;
pub use metrics::{Exposition, Measured};
pub use monitor::{ClientFacts, ClientKind, FlvPlayers, Monitor, MonitorDoor, MonitorSource, StreamFacts};
pub use openapi::openapi_json;
pub use operators::Operators;
pub use problem::{Problem, ProblemCode, ProblemDocument};
pub use server::{ServeError, Server};
pub use srs::{
    Dvr, DvrConfig, DvrFiles, DvrPattern, FORWARDED, ForwardTarget, ForwardTargets, KeyFrom, Keys, KeysAway,
    Network, NoTargets, OnUnknownKey, Srs, SrsConfig, SrsPublication, SrsServer, Trust,
};
pub use viewing::{Viewing, Watching};
