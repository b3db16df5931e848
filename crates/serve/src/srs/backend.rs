//! What a callback is answered: keys judged, publications kept, addresses to forward to.

use super::{
    call::{Action, Call, Client, KeyFrom, can_be_forwarded},
    hidden::Hidden,
    key_cache::{KeyCache, KeyHash, Remembered},
    limits::{LOOKUP_TIMEOUT, MAX_LOOKUPS},
    reconcile::SrsServer,
    sessions::{Change, Sessions, SrsPublication},
    trust::Trust,
};
use media::rtmp::StreamKey;
use refusals::{Kind, Refusals};
use std::{
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::Semaphore;
use uuid::Uuid;
use world::Clock;

/// Whose key it is.
pub trait Keys: Send + Sync + 'static {
    /// The channel that a key opens: the same answer as an RTMP publisher with it gets.
    fn channel_of<'a>(
        &'a self,
        key: &'a StreamKey,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Uuid>, KeysAway>> + Send + 'a>>;
}

/// Keys cannot be looked up at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("stream keys cannot be looked up at the moment")]
pub struct KeysAway;

/// Where else SRS is to send a channel, beside our own ingest.
pub trait ForwardTargets: Send + Sync + 'static {
    /// The targets of a channel that SRS can serve; `key` is what its publisher showed.
    fn targets(&self, channel_id: Uuid, key: &StreamKey) -> Vec<ForwardTarget>;
}

/// A target that SRS can serve.
#[derive(Clone, PartialEq, Eq)]
pub struct ForwardTarget {
    /// What it is told apart by: letters, digits and hyphens.
    pub id: String,
    /// As SRS takes it, `rtmp://host:port/app/name`. It may hold a key.
    pub url: String,
}

/// The parameter of our own ingest's address that says what else SRS was told: its value are ids of targets, joined by `_`. With
/// it a publication says itself whom nobody else has to serve, whatever became of this process since the answer.
pub const FORWARDED: &str = "forwarded";

/// Takes the files that SRS's own recorder (`dvr`) has finished.
pub trait DvrFiles: Send + Sync + 'static {
    /// A file of a channel is complete. Returns at once. The path comes from a callback and may be anything.
    fn finished(&self, channel_id: Uuid, path: PathBuf);
}

/// Nowhere else.
#[derive(Clone, Copy, Default, Debug)]
pub struct NoTargets;

impl ForwardTargets for NoTargets {
    fn targets(&self, _channel_id: Uuid, _key: &StreamKey) -> Vec<ForwardTarget> {
        Vec::new()
    }
}

/// What is done with a stream whose key opens no channel, or cannot be looked up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnUnknownKey {
    /// SRS may have it; it is not recorded.
    Allow,
    /// SRS turns its publisher away.
    Deny,
}

/// Settings of the SRS side.
#[derive(Clone)]
pub struct SrsConfig {
    /// Who may call.
    pub trust: Trust,
    /// Where the key stands.
    pub key: KeyFrom,
    /// What is done with a key of nobody.
    pub on_unknown_key: OnUnknownKey,
    /// Our own ingest as SRS reaches it, `rtmp://host:port/app`: the key is added as the last part.
    pub ingest: String,
    /// SRS's HTTP API, where it is to be asked.
    pub server: Option<SrsServer>,
}

/// An SRS node's backend. Clones are the same.
#[derive(Clone)]
pub struct Srs {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) config: SrsConfig,
    keys: Arc<dyn Keys>,
    targets: Arc<dyn ForwardTargets>,
    files: Option<Arc<dyn DvrFiles>>,
    pub(super) clock: Arc<dyn Clock>,
    sessions: Mutex<Sessions>,
    cache: Mutex<KeyCache>,
    lookups: Semaphore,
    /// Whether keys could not be looked up the last time, which is said once.
    is_away: AtomicBool,
    pub(super) refusals: Refusals<Refused>,
}

/// Who is refused here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Refused {
    /// It is no SRS of ours: one on another machine is silent about it.
    Caller,
    /// SRS is told not to take it.
    Publisher,
}

impl Kind for Refused {
    fn say(self, peer: Option<SocketAddr>, times: u64, reason: &str) {
        let peer = peer.map(|peer| tracing::field::display(peer.ip()));
        match self {
            Self::Caller => tracing::warn!(peer, times, reason, "a callback of SRS is refused"),
            Self::Publisher => tracing::warn!(peer, times, reason, "SRS publisher refused"),
        }
    }
}

/// What a callback is answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// Go on.
    Granted,
    /// The stream is sent there as well.
    Forward(Vec<String>),
    /// SRS disconnects the publisher, where it still can.
    Refused(Refusal),
}

/// Why SRS is told no. Its log shows the number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// No channel has this key.
    UnknownKey,
    /// Keys cannot be looked up.
    Unavailable,
}

impl Refusal {
    /// The number in `code`, borrowed from HTTP.
    pub(crate) fn code(self) -> u16 {
        match self {
            Self::UnknownKey => 403,
            Self::Unavailable => 503,
        }
    }
}

/// What a key is worth now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Judgement {
    Known(Uuid),
    Unknown,
    Away,
}

impl Srs {
    /// A backend with nobody publishing.
    #[must_use]
    pub fn new(
        config: SrsConfig,
        keys: Arc<dyn Keys>,
        targets: Arc<dyn ForwardTargets>,
        files: Option<Arc<dyn DvrFiles>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                config,
                keys,
                targets,
                files,
                clock,
                sessions: Mutex::default(),
                cache: Mutex::default(),
                lookups: Semaphore::new(MAX_LOOKUPS),
                is_away: AtomicBool::new(false),
                refusals: Refusals::default(),
            }),
        }
    }

    /// Who publishes at SRS, as far as it is known.
    #[must_use]
    pub fn publications(&self) -> Vec<SrsPublication> {
        self.sessions().publications()
    }

    /// Answers a callback.
    pub(crate) async fn answer(&self, call: &Call) -> Answer {
        let now_us = self.inner.clock.now_us();
        match &call.action {
            Action::Publish => match self.permit(call).await {
                Ok((channel, _)) => {
                    let change = self.sessions().publish(&call.client, channel, now_us);
                    tell(&call.client, change, "callback");
                    Answer::Granted
                }
                Err(refusal) => {
                    let (client, server) = (&call.client.id, &call.client.server);
                    let reason = format!("code {}, client {client} of server {server}", refusal.code());
                    self.inner.refusals.note(
                        Refused::Publisher,
                        call.ip.map(|ip| SocketAddr::new(ip, 0)),
                        &reason,
                    );
                    Answer::Refused(refusal)
                }
            },
            Action::Unpublish => {
                let change = self.sessions().unpublish(&call.client);
                tell(&call.client, change, "callback");
                Answer::Granted
            }
            Action::Close => {
                let change = self.sessions().close(&call.client, now_us);
                tell(&call.client, change, "callback");
                Answer::Granted
            }
            Action::Forward => match self.permit(call).await {
                Ok((channel, key)) => Answer::Forward(self.forward_to(channel, key.as_ref())),
                Err(refusal) => Answer::Refused(refusal),
            },
            Action::Dvr { cwd, file } => {
                self.finished_file(call, cwd, file).await;
                Answer::Granted
            }
            Action::Other => Answer::Granted,
        }
    }

    /// A file of SRS's recorder is complete. What is not taken now is found by the next look at the folder.
    async fn finished_file(&self, call: &Call, cwd: &Hidden, file: &Hidden) {
        let Some(files) = &self.inner.files else { return };
        let Some(key) = call.key(&self.inner.config.key) else { return };
        if let Judgement::Known(channel) = self.judge(&key).await {
            files.finished(channel, Path::new(cwd.expose()).join(file.expose()));
        }
    }

    /// The channel of a call whose key is right or may be anything; the key, where the stream is to be sent to us.
    async fn permit(&self, call: &Call) -> Result<(Option<Uuid>, Option<StreamKey>), Refusal> {
        let key = call.key(&self.inner.config.key);
        let judgement = match &key {
            Some(key) => self.judge(key).await,
            None => Judgement::Unknown,
        };
        match (judgement, self.inner.config.on_unknown_key) {
            (Judgement::Known(channel), _) => Ok((Some(channel), key)),
            // Our ingest asks again, and SRS tries again every three seconds: it is recorded as soon as the key can be judged.
            (Judgement::Away, OnUnknownKey::Allow) => Ok((None, key)),
            (Judgement::Unknown, OnUnknownKey::Allow) => Ok((None, None)),
            (Judgement::Away, OnUnknownKey::Deny) => Err(Refusal::Unavailable),
            (Judgement::Unknown, OnUnknownKey::Deny) => Err(Refusal::UnknownKey),
        }
    }

    fn forward_to(&self, channel: Option<Uuid>, key: Option<&StreamKey>) -> Vec<String> {
        let Some(key) = key else { return Vec::new() };
        let targets = channel.map(|channel| self.inner.targets.targets(channel, key)).unwrap_or_default();
        let mut own = format!("{}/{}", self.inner.config.ingest, key.expose());
        if !targets.is_empty() {
            let ids: Vec<&str> = targets.iter().map(|target| target.id.as_str()).collect();
            own.push_str(&format!("?{FORWARDED}={}", ids.join("_")));
        }
        std::iter::once(own).chain(targets.into_iter().map(|target| target.url)).collect()
    }

    /// What a key is worth: from memory, or after one look-up of bounded length.
    pub(super) async fn judge(&self, key: &StreamKey) -> Judgement {
        if !can_be_forwarded(key.expose()) {
            return Judgement::Unknown;
        }
        let hash = KeyHash::of(key);
        let remembered = self.cache().get(hash, self.inner.clock.monotonic_us());
        match remembered {
            Remembered::Known(channel) => return Judgement::Known(channel),
            Remembered::Unknown => return Judgement::Unknown,
            Remembered::Once(_) | Remembered::Nothing => {}
        }
        let asked = async {
            // An error means that the semaphore was closed, which nobody does.
            let _turn = self.inner.lookups.acquire().await.map_err(|_| KeysAway)?;
            self.inner.keys.channel_of(key).await
        };
        match tokio::time::timeout(LOOKUP_TIMEOUT, asked).await {
            Ok(Ok(channel)) => {
                if self.inner.is_away.swap(false, Ordering::Relaxed) {
                    tracing::info!("stream keys can be looked up again");
                }
                self.cache().put(hash, channel, self.inner.clock.monotonic_us());
                channel.map_or(Judgement::Unknown, Judgement::Known)
            }
            Ok(Err(KeysAway)) | Err(_) => {
                if !self.inner.is_away.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        limit_ms = LOOKUP_TIMEOUT.as_millis() as u64,
                        "stream keys cannot be looked up for SRS: those that were right lately still are"
                    );
                }
                match remembered {
                    Remembered::Once(channel) => Judgement::Known(channel),
                    _ => Judgement::Away,
                }
            }
        }
    }

    pub(super) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.inner.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cache(&self) -> MutexGuard<'_, KeyCache> {
        self.inner.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says what has changed, and by whom it is known.
pub(super) fn tell(client: &Client, change: Change, by: &'static str) {
    let (what, channel) = match change {
        Change::None => return,
        Change::Began(channel) => ("publication at SRS", channel),
        Change::Ended(channel) => ("publication at SRS is over", channel),
    };
    let channel = channel.map(tracing::field::display);
    tracing::info!(client = %client.id, server = %client.server, channel, by, "{what}");
}
