//! One pair of a channel and a target, for as long as the channel is live.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use live::Live;
use media::rtmp::RtmpUrl;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use world::Clock;

use crate::backoff::{BackOff, mix};
use crate::connection::Connection;
use crate::dial::Dialler;
use crate::relays::Totals;
use crate::state::{Progress, State};
use crate::trouble::Trouble;

/// What a task works with.
pub(crate) struct Task {
    pub(crate) live: Live,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) dialler: Dialler,
    /// Where this node awaits publishers.
    pub(crate) own: Option<SocketAddr>,
    pub(crate) channel_id: Uuid,
    pub(crate) target_id: String,
    pub(crate) url: RtmpUrl,
    pub(crate) progress: Arc<Progress>,
    pub(crate) totals: Arc<Totals>,
    /// The target is not wanted any more, or the node stops.
    pub(crate) stop: CancellationToken,
}

impl Task {
    /// Relays until the channel ends or it is stopped.
    pub(crate) async fn run(self) {
        let mut relaying = pin!(self.relay());
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            () = &mut relaying => return,
        }
        if matches!(self.progress.state(), State::Live { .. }) {
            // It sees the stop, too, and says goodbye.
            relaying.await;
        }
    }

    async fn relay(&self) {
        let target = self.target_id.bytes().fold(0, |hash, byte| mix(hash ^ u64::from(byte)));
        let salt = target ^ mix(self.channel_id.as_u64_pair().1);
        let mut back_off = BackOff::new(salt);
        let mut told = String::new();
        loop {
            self.progress.set(State::Waiting);
            if !self.has_something_to_send().await {
                return;
            }
            self.progress.set(State::Connecting);
            let mut lasted = Duration::ZERO;
            let Err(trouble) = self.publish(salt, &mut lasted).await else { return };
            let (address, channel, reason) = (self.url.masked(), self.channel_id, trouble.to_string());
            if trouble.is_final() {
                tracing::warn!(%channel, target = self.target_id, address, reason, "relay stopped");
                self.progress.set(State::Stopped { reason });
                return self.channel_ended().await;
            }
            let pause = back_off.pause(lasted);
            let wait_ms = pause.as_millis() as u64;
            // A target that stays away is told of once.
            if lasted > Duration::ZERO || told != reason {
                tracing::warn!(%channel, target = self.target_id, address, reason, wait_ms, "relay failed");
            } else {
                tracing::debug!(%channel, target = self.target_id, address, reason, wait_ms, "relay failed again");
            }
            told.clone_from(&reason);
            let pause_us = i64::try_from(pause.as_micros()).unwrap_or(i64::MAX);
            let next_us = self.clock.now_us().saturating_add(pause_us);
            self.progress.set(State::BackingOff { reason, next_us });
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.channel_ended() => return,
            }
            self.progress.reconnects.fetch_add(1, Ordering::Relaxed);
            self.totals.reconnects.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until a first keyframe is there; not, where the channel has ended.
    async fn has_something_to_send(&self) -> bool {
        match self.live.tags(self.channel_id) {
            Some(mut reader) => reader.next().await.is_some(),
            None => false,
        }
    }

    /// One publication, until the channel ends or it is stopped.
    async fn publish(&self, salt: u64, lasted: &mut Duration) -> Result<(), Trouble> {
        let stream = self.dialler.connect(&self.url, self.own).await?;
        let (clock, progress) = (self.clock.as_ref(), self.progress.as_ref());
        let mut connection = Connection::new(stream, &self.url, clock, salt, progress, &self.totals);
        connection.establish().await?;
        progress.set(State::Live { since_us: clock.now_us() });
        tracing::info!(channel = %self.channel_id, target = self.target_id, address = self.url.masked(), "relaying");
        let began = Instant::now();
        // From the newest keyframe on; where the channel has ended meanwhile, there is nothing but a goodbye.
        if let Some(mut reader) = self.live.tags(self.channel_id) {
            let relayed = tokio::select! {
                biased;
                () = self.stop.cancelled() => Ok(()),
                relayed = connection.relay(&mut reader) => relayed,
            };
            *lasted = began.elapsed();
            relayed?;
        }
        tracing::info!(channel = %self.channel_id, target = self.target_id, "relay over");
        connection.goodbye().await;
        Ok(())
    }

    /// Waits until nobody publishes the channel any more.
    async fn channel_ended(&self) {
        let mut changes = self.live.changes();
        while self.live.tags(self.channel_id).is_some() {
            // An error means that the hubs are gone, and the channel with them.
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}
