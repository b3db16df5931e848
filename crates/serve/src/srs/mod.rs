//! An SRS v6 node's backend: its HTTP callbacks, its forward back-end, and the comparison with its own list of streams.
//!
//! Belongs here: what SRS says and wants to hear (`trunk/src/app/srs_app_http_hooks.cpp` of its branch `6.0release`), and who
//! publishes there. Not here: what a stream key is worth ([`Keys`]), and the footage itself, which comes by RTMP like
//! everybody's, because the answer to `on_forward` names our own ingest.
//!
//! - [`call`] understands what was posted, [`sessions`] keeps who publishes, [`key_cache`] remembers keys, [`trust`] says who
//!   may call, [`listing`] reads SRS's list of streams: all pure, with time as an argument.
//! - [`dvr`] imports the files of SRS's own recorder where the forward has left something out.
//! - [`backend`] decides, [`reconcile`] asks SRS, [`handler`] answers over HTTP.
//!
//! A key and everything that may contain one (the stream's name, its parameters, the path of a DVR file) is [`Hidden`](hidden::Hidden): it
//! cannot be printed. It leaves through one door, the answer to `on_forward`: our own ingest, and targets that take the key.

mod backend;
mod call;
mod dvr;
mod handler;
mod hidden;
mod key_cache;
pub(crate) mod limits;
mod listing;
mod reconcile;
mod sessions;
mod trust;

pub use backend::{
    DvrFiles, FORWARDED, ForwardTarget, ForwardTargets, Keys, KeysAway, NoTargets, OnUnknownKey, Srs,
    SrsConfig,
};
pub use call::KeyFrom;
pub use dvr::{Dvr, DvrConfig, DvrPattern};
pub use reconcile::SrsServer;
pub use sessions::SrsPublication;
pub use trust::{Network, Trust};
