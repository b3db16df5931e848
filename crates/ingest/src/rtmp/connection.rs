//! One connection, from its first byte to its last: the loop around [`ServerSession`].

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use media::flv::{FlvTag, TagRole};
use media::framing::{Framed, Framer};
use media::rtmp::StreamKey;
use media::rtmp::server::{ServerConfig, ServerEvent, ServerSession};
use media::timeline::{
    Arrival, AudioProblem, Timeline, TimelineConfig, TimelineError, TimelineEvent, TimelineNotice,
};
use media::{EndCause, TrackKind};
use refusals::Refusals;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;
use world::Clock;

use super::admission::{NoSeat, Purpose, Seat};
use super::connections::{Connections, Listed, Role};
use super::error::ConnectionError;
use super::link::Link;
use super::playing::Sending;
use super::reading::Reading;
use super::refused::Refused;
use super::registry::{Dismissed, Lease, NoLease, Publishers};
use super::scratch;
use super::server::RtmpConfig;
use super::transmit::Transmit;
use crate::gate::{Feed, Gate, Publication, Refusal, Sink};
use crate::limits::{
    AUTHORISE_TIMEOUT, FIRST_MEDIA_FACTOR, LINGER_TIMEOUT, MAX_AHEAD_US, MAX_LINGER_BYTES,
    PLAYER_LINGER_TIMEOUT, TAKEOVER_TIMEOUT,
};

/// What all connections of a server have in common.
pub(super) struct Shared {
    pub(super) config: RtmpConfig,
    pub(super) gate: Arc<dyn Gate>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) publishers: Publishers,
    pub(super) connections: Connections,
    pub(super) refusals: Refusals<Refused>,
    pub(super) grid: Instant,
}

/// A connection and its state.
pub(super) struct Connection {
    number: u64,
    peer: SocketAddr,
    link: Link,
    shared: Arc<Shared>,
    session: ServerSession,
    reading: Reading,
    transmit: Transmit,
    publishing: Option<Publishing>,
    /// What is played, while something is.
    feed: Option<Box<dyn Feed>>,
    has_played: bool,
    /// What was read has not all been taken: see [`Publishing::not_before_us`].
    is_held: bool,
    received_bytes: u64,
    /// Its line in the list of connections.
    listed: Listed,
    /// Last: it is free again when the socket is closed.
    seat: Seat,
}

/// A publication that was accepted.
struct Publishing {
    channel_id: Uuid,
    sink: Box<dyn Sink>,
    framer: Framer,
    /// What the framer gave and the timeline has not got yet.
    framed: Vec<Framed>,
    timeline: Timeline,
    /// What the sink was told last.
    audio_problem: Option<AudioProblem>,
    /// What came since the last time it was passed on.
    tags: Vec<FlvTag>,
    /// Sessions begin too fast: before this instant of the monotonic clock nothing more of it is taken.
    not_before_us: i64,
    /// Last: the next connection may go on only after everything above is done.
    lease: Lease,
}

/// Why the loop ended without an error.
enum Ended {
    /// The peer, or the protocol's course, closed the connection.
    Closed,
    /// The node stops.
    Stopping,
}

/// What the loop woke up for.
enum Wake {
    Stop,
    Dismissed(Dismissed),
    Displaced,
    Readable(io::Result<()>),
    Writable(io::Result<()>),
    Timer,
}

impl Connection {
    pub(super) fn new(number: u64, peer: SocketAddr, link: Link, seat: Seat, shared: Arc<Shared>) -> Self {
        let config = ServerConfig {
            seed: number,
            setup_limit_us: micros(shared.config.establish_timeout),
            first_media_limit_us: micros(shared.config.establish_timeout).saturating_mul(FIRST_MEDIA_FACTOR),
            idle_limit_us: micros(shared.config.idle_timeout),
            ..ServerConfig::default()
        };
        let session = ServerSession::new(config, shared.clock.monotonic_us());
        let listed = shared.connections.enter(number, peer, shared.clock.now_us());
        Self {
            number,
            peer,
            link,
            session,
            reading: Reading::new(shared.grid),
            shared,
            transmit: Transmit::default(),
            publishing: None,
            feed: None,
            has_played: false,
            is_held: false,
            received_bytes: 0,
            listed,
            seat,
        }
    }

    /// Runs until the connection ends, for whatever reason, and says so once.
    pub(super) async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        tracing::debug!(connection = self.number, peer = %self.peer, "RTMP connection");
        let result = self.serve(&mut stopped).await;
        let (cause, was_publishing) = (
            match &result {
                Ok(Ended::Stopping) => EndCause::Process,
                Ok(Ended::Closed) => EndCause::Network,
                Err(error) => error.end_cause(),
            },
            self.publishing.is_some(),
        );
        let channel =
            self.publishing.as_ref().map(|publishing| tracing::field::display(publishing.channel_id));
        self.end_publication(cause);
        match &result {
            Err(ConnectionError::Replaced) => self.session.close("a newer connection publishes this channel"),
            Err(ConnectionError::Revoked) => self.session.close("the stream key is no longer valid"),
            Err(ConnectionError::Dropped) => self.session.close("an operator has ended this connection"),
            Ok(Ended::Stopping) => self.session.close("the server stops"),
            _ => {}
        }
        let limit = if self.has_played && result.is_ok() { PLAYER_LINGER_TIMEOUT } else { LINGER_TIMEOUT };
        let (connection, peer, byte_offset) = (self.number, self.peer, self.received_bytes);
        match result {
            // The room was needed: nobody is waited for.
            Err(ConnectionError::NoSeat(reason @ NoSeat::Displaced)) => {
                return self.shared.refusals.note(Refused::TurnedAway, peer, &reason);
            }
            Err(ConnectionError::Refused(reason)) => {
                self.shared.refusals.note(Refused::Publisher, peer, &reason);
            }
            Err(ConnectionError::NoSeat(reason)) => {
                self.shared.refusals.note(Refused::Publisher, peer, &reason);
            }
            // Players leave in the middle all day long.
            Err(error) if self.has_played => tracing::debug!(connection, %peer, %error, "player left"),
            Err(error) if channel.is_none() => self.shared.refusals.note(Refused::Stranger, peer, &error),
            Err(error) => {
                tracing::warn!(connection, %peer, channel, byte_offset, %error, "RTMP connection ended")
            }
            Ok(_) if was_publishing => {
                tracing::info!(connection, %peer, channel, byte_offset, "publisher left")
            }
            Ok(_) => tracing::debug!(connection, %peer, byte_offset, "RTMP connection closed"),
        }
        // Apart, so that a connection does not carry the room for its end all its life.
        Box::pin(self.close(limit, &mut stopped)).await;
    }

    async fn serve(&mut self, stopped: &mut watch::Receiver<bool>) -> Result<Ended, ConnectionError> {
        loop {
            self.flush()?;
            if *stopped.borrow() {
                return Ok(Ended::Stopping);
            }
            if self.session.should_close() {
                return Ok(Ended::Closed);
            }
            if let Some(feed) = self.feed.take()
                && let Some(ended) = Box::pin(self.play(feed, stopped)).await?
            {
                return Ok(ended);
            }
            match self.wait(stopped).await {
                Wake::Stop => return Ok(Ended::Stopping),
                Wake::Dismissed(dismissed) => return Err(dismissed.into()),
                Wake::Displaced => return Err(NoSeat::Displaced.into()),
                Wake::Writable(result) => result.map_err(ConnectionError::Socket)?,
                Wake::Timer => self.session.handle_timeout(self.shared.clock.monotonic_us())?,
                Wake::Readable(result) => {
                    result.map_err(ConnectionError::Socket)?;
                    if let Some(ended) = self.read(stopped).await? {
                        return Ok(ended);
                    }
                }
            }
        }
    }

    /// Waits for whatever comes first.
    async fn wait(&mut self, stopped: &mut watch::Receiver<bool>) -> Wake {
        // Media flows, and nothing else is to be done: to look at everything when it is read again costs a fraction of being
        // woken by whatever comes first.
        if let Some(tick) = self.reading.tick()
            && self.transmit.is_empty()
            && !self.link.wants_write()
        {
            tokio::time::sleep_until(tick).await;
            return self.look(stopped);
        }
        // A publisher that is held up is not silent.
        let timer = if self.is_held { self.transmit.deadline() } else { self.next_timer() };
        let (pause, is_held) = (self.reading.not_before(), self.is_held);
        let lease = self.publishing.as_ref().map(|publishing| &publishing.lease);
        let link = &self.link;
        let readable = async {
            if let Some(pause) = pause {
                tokio::time::sleep_until(pause).await;
            }
            // What is held goes on without a byte.
            if is_held { Ok(()) } else { link.readable().await }
        };
        tokio::select! {
            biased;
            _ = stopped.changed() => Wake::Stop,
            dismissed = dismissed(lease) => Wake::Dismissed(dismissed),
            () = self.listed.dropped() => Wake::Dismissed(Dismissed::Dropped),
            () = self.seat.displaced() => Wake::Displaced,
            result = link.writable(), if !self.transmit.is_empty() || link.wants_write() => Wake::Writable(result),
            result = readable => Wake::Readable(result),
            () = sleep_until(timer) => Wake::Timer,
        }
    }

    /// What has come by the time of a tick. Deadlines are looked at after the read.
    fn look(&self, stopped: &watch::Receiver<bool>) -> Wake {
        let lease = self.publishing.as_ref().map(|publishing| &publishing.lease);
        if *stopped.borrow() {
            Wake::Stop
        } else if let Some(dismissed) = lease.and_then(Lease::is_dismissed) {
            Wake::Dismissed(dismissed)
        } else if self.listed.is_dropped() {
            Wake::Dismissed(Dismissed::Dropped)
        } else {
            Wake::Readable(Ok(()))
        }
    }

    fn next_timer(&self) -> Option<Instant> {
        // The session counts by our clock, the runtime by its own: only the distance is carried over.
        let session = self.session.poll_timeout().map(|at_us| {
            let wait_us = at_us.saturating_sub(self.shared.clock.monotonic_us()).max(0);
            Instant::now() + Duration::from_micros(wait_us.unsigned_abs())
        });
        [session, self.transmit.deadline()].into_iter().flatten().min()
    }

    /// One read from the socket into the session, and everything that follows from it.
    async fn read(&mut self, stopped: &mut watch::Receiver<bool>) -> Result<Option<Ended>, ConnectionError> {
        let now = self.shared.clock.now();
        let now_us = now.monotonic_us;
        let ahead = self.ahead(now_us);
        if !ahead.is_zero() {
            self.reading.pause(ahead, Instant::now());
            return Ok(None);
        }
        if self.is_held {
            if let Some(ended) = self.handle_events(now, stopped).await? {
                return Ok(Some(ended));
            }
            if let Some(held) = self.held(now_us) {
                self.reading.pause(held, Instant::now());
                return Ok(None);
            }
        }
        let offered = self.reading.size();
        let (link, session) = (&mut self.link, &mut self.session);
        let read: io::Result<_> = scratch::with(|scratch| {
            let (count, bytes) = link.read(scratch, offered)?;
            Ok((count, session.handle_input(bytes, now_us)))
        });
        let (count, result) = match read {
            Ok((0, _)) if self.publishing.is_some() => return Err(ConnectionError::Closed),
            Ok((0, _)) => return Ok(Some(Ended::Closed)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.reading.empty(Instant::now());
                self.session.handle_timeout(now_us)?;
                return Ok(None);
            }
            Err(error) => return Err(ConnectionError::of_link(error)),
        };
        self.received_bytes += count as u64;
        self.listed.received(count as u64);
        // What came whole before the error is worth keeping.
        if let Some(ended) = self.handle_events(now, stopped).await? {
            return Ok(Some(ended));
        }
        result?;
        if let Some(held) = self.held(now_us) {
            self.reading.pause(held, Instant::now());
            return Ok(None);
        }
        self.session.handle_timeout(now_us)?;
        self.reading.arrived(count, offered, self.ahead(now_us), Instant::now());
        Ok(None)
    }

    async fn handle_events(
        &mut self,
        now: world::Now,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<Option<Ended>, ConnectionError> {
        let now = Arrival { monotonic_us: now.monotonic_us, wall_us: now.wall_us };
        loop {
            self.is_held = self.held(now.monotonic_us).is_some();
            if self.is_held {
                break;
            }
            let Some(event) = self.session.poll_event() else { break };
            match event {
                ServerEvent::Video { timestamp_ms, body } => {
                    if let Some(publishing) = &mut self.publishing {
                        publishing.video(timestamp_ms, body, now)?;
                        publishing.push(now, self.number, self.peer);
                    }
                }
                ServerEvent::Audio { timestamp_ms, body } => {
                    if let Some(publishing) = &mut self.publishing {
                        publishing.audio(timestamp_ms, body, now)?;
                        publishing.push(now, self.number, self.peer);
                    }
                }
                ServerEvent::Skipped { type_id, length } => {
                    let (connection, peer) = (self.number, self.peer);
                    let channel = self
                        .publishing
                        .as_ref()
                        .map(|publishing| tracing::field::display(publishing.channel_id));
                    tracing::warn!(connection, %peer, channel, type_id, length_bytes = length, "a message that cannot be used was left out");
                }
                ServerEvent::Metadata { body, frame_rate } => {
                    if let Some(publishing) = &mut self.publishing {
                        let timestamp_ms = publishing.tags.last().map_or(0, |tag| tag.timestamp_ms);
                        publishing.tags.push(FlvTag::metadata(timestamp_ms, body));
                        if let Some(frame_rate) = frame_rate {
                            publishing.timeline.frame_rate_hint(frame_rate);
                        }
                    }
                }
                ServerEvent::PublishRequested { key, otherwise, .. } => {
                    self.end_publication(EndCause::Camera);
                    tokio::select! {
                        biased;
                        _ = stopped.changed() => return Ok(Some(Ended::Stopping)),
                        result = self.start_publication(&key, &otherwise) => result?,
                    }
                }
                ServerEvent::Unpublished => {
                    if let Some(publishing) = &self.publishing {
                        let (connection, peer) = (self.number, self.peer);
                        let (channel, byte_offset) = (publishing.channel_id, self.received_bytes);
                        tracing::info!(connection, %peer, %channel, byte_offset, "publisher stopped");
                    }
                    self.end_publication(EndCause::Camera);
                }
                ServerEvent::PlayRequested { name, otherwise, .. } => tokio::select! {
                    biased;
                    _ = stopped.changed() => return Ok(Some(Ended::Stopping)),
                    result = self.start_play(&name, &otherwise) => result?,
                },
                ServerEvent::Connected { .. } | ServerEvent::PlayStopped => {}
            }
        }
        if let Some(publishing) = &mut self.publishing {
            publishing.pass_on_tags();
            self.tell();
        }
        Ok(None)
    }

    /// Says what there is to say of the publisher.
    fn tell(&mut self) {
        let (connection, peer) = (self.number, self.peer);
        if let Some(publishing) = &mut self.publishing {
            publishing.tell(connection, peer);
        }
    }

    /// Asks the gate, sends a stale connection away, and accepts or refuses.
    async fn start_publication(
        &mut self,
        key: &StreamKey,
        otherwise: &[StreamKey],
    ) -> Result<(), ConnectionError> {
        let shared = self.shared.clone();
        let asked = authorise(&*shared.gate, key, otherwise, self.peer);
        let asked = tokio::time::timeout(AUTHORISE_TIMEOUT, asked);
        let result = match while_wanted(&self.listed, &self.seat, asked).await? {
            Ok(Ok(publication)) => self.take_over(publication).await,
            Ok(Err(refusal)) => Err(ConnectionError::Refused(refusal)),
            Err(_) => Err(ConnectionError::AuthoriseTimeout { limit: AUTHORISE_TIMEOUT }),
        };
        match &result {
            Ok(()) => self.session.accept_publish(),
            Err(error) => self.session.refuse_publish(match error {
                ConnectionError::Refused(refusal) => refusal.describe(),
                ConnectionError::NoSeat(_) => "as many publish as this server takes, try again later",
                _ => Refusal::Unavailable.describe(),
            }),
        }
        result
    }

    async fn take_over(&mut self, publication: Publication) -> Result<(), ConnectionError> {
        let (connection, peer, channel) = (self.number, self.peer, publication.channel_id);
        let (lease, previous) = match self.shared.publishers.acquire(channel, connection).await {
            Ok(acquired) => acquired,
            Err(NoLease::Dismissed(dismissed)) => return Err(dismissed.into()),
            Err(NoLease::Timeout) => {
                return Err(ConnectionError::TakeoverTimeout { limit: TAKEOVER_TIMEOUT });
            }
        };
        match previous {
            Some(_) => self.seat.take_over()?,
            None => self.seat.take(Purpose::Publishing)?,
        }
        match previous {
            Some(replaced) => {
                tracing::info!(connection, %peer, %channel, replaced, "publisher took over its channel");
            }
            None => tracing::info!(connection, %peer, %channel, "publisher accepted"),
        }
        self.publishing = Some(Publishing {
            channel_id: channel,
            sink: publication.sink,
            framer: Framer::new(),
            framed: Vec::new(),
            audio_problem: None,
            timeline: Timeline::new(TimelineConfig { earliest_start_us: lease.last_end_us() }),
            tags: Vec::new(),
            not_before_us: lease.not_before_us(),
            lease,
        });
        self.listed.does(Some(Role::Publishes(channel)));
        self.reading.set_publishing(true);
        self.link.tick().map_err(ConnectionError::Socket)
    }

    /// Asks the gate, and accepts or refuses.
    async fn start_play(&mut self, name: &StreamKey, otherwise: &[StreamKey]) -> Result<(), ConnectionError> {
        let shared = self.shared.clone();
        let asked = async {
            for name in std::iter::once(name).chain(otherwise) {
                if let Some(feed) = shared.gate.play(name, self.peer).await {
                    return Some(feed);
                }
            }
            None
        };
        let asked = tokio::time::timeout(AUTHORISE_TIMEOUT, asked);
        let asked = while_wanted(&self.listed, &self.seat, asked).await?;
        let (connection, peer) = (self.number, self.peer);
        match asked.ok().flatten() {
            Some(feed) => {
                match self.seat.take(Purpose::Playing) {
                    Ok(()) => {}
                    Err(NoSeat::Displaced) => return Err(NoSeat::Displaced.into()),
                    Err(reason) => {
                        self.shared.refusals.note(Refused::Player, peer, &reason);
                        self.session.close("as many play as this server takes, try again later");
                        return Ok(());
                    }
                }
                tracing::debug!(connection, %peer, "player accepted");
                self.session.accept_play();
                self.listed.does(Some(Role::Plays(feed.channel_id())));
                self.feed = Some(feed);
                self.has_played = true;
            }
            None => {
                // Not what was asked for: it may be a key.
                self.shared.refusals.note(Refused::Player, peer, &"no such stream");
                self.session.refuse_play();
            }
        }
        Ok(())
    }

    /// Sends a player what its feed gives, until it stops, goes, or there is no more. Replies go out between runs.
    async fn play(
        &mut self,
        mut feed: Box<dyn Feed>,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<Option<Ended>, ConnectionError> {
        let mut sending = Sending::default();
        loop {
            if sending.is_empty() {
                self.flush()?;
            }
            self.listed.sent(sending.write(&mut self.link)?);
            if self.session.should_close() {
                return Ok(Some(Ended::Closed));
            }
            if !self.session.is_playing() && sending.is_empty() {
                self.listed.does(None);
                self.seat.give_back();
                return Ok(None);
            }
            let waits = !sending.is_empty() || !self.transmit.is_empty() || self.link.wants_write();
            let deadline = [sending.deadline(), self.transmit.deadline()].into_iter().flatten().min();
            tokio::select! {
                biased;
                _ = stopped.changed() => return Ok(Some(Ended::Stopping)),
                () = self.listed.dropped() => return Err(Dismissed::Dropped.into()),
                result = self.link.readable() => {
                    result.map_err(ConnectionError::Socket)?;
                    if let Some(ended) = Box::pin(self.read(stopped)).await? {
                        return Ok(Some(ended));
                    }
                }
                result = self.link.writable(), if waits => result.map_err(ConnectionError::Socket)?,
                run = feed.next(), if sending.is_empty() => match run {
                    Some(run) => sending.set(run, self.session.play_stream(), self.session.chunk_size()),
                    None => self.session.end_play(),
                },
                () = sleep_until(deadline) => {}
            }
        }
    }

    /// Pushes what is left and lets the channel go.
    fn end_publication(&mut self, cause: EndCause) {
        if let Some(mut publishing) = self.publishing.take() {
            let now = self.shared.clock.now();
            let now = Arrival { monotonic_us: now.monotonic_us, wall_us: now.wall_us };
            publishing.timeline.end(now.monotonic_us, cause);
            publishing.push(now, self.number, self.peer);
            publishing.pass_on_tags();
            self.is_held = false;
            publishing.tell(self.number, self.peer);
            publishing.tell_left_out(self.number, self.peer);
            self.listed.does(None);
            self.seat.give_back();
            self.reading.set_publishing(false);
            // If this fails the socket is lost, which the next read or write reports.
            if let Err(error) = self.link.drive() {
                tracing::debug!(connection = self.number, %error, "cannot wait for the socket again");
            }
        }
    }

    /// How far the publisher is beyond what it may be ahead of the monotonic clock: setting the wall clock stops nobody.
    fn ahead(&self, monotonic_us: i64) -> Duration {
        let Some(publishing) = &self.publishing else { return Duration::ZERO };
        let ahead_us = publishing.timeline.ahead_us(monotonic_us).saturating_sub(MAX_AHEAD_US);
        Duration::from_micros(ahead_us.max(0).unsigned_abs())
    }

    /// For how long nothing more of the publisher is taken; `None`: it may go on.
    fn held(&self, monotonic_us: i64) -> Option<Duration> {
        let wait_us = self.publishing.as_ref()?.not_before_us.saturating_sub(monotonic_us);
        (wait_us > 0).then(|| Duration::from_micros(wait_us.unsigned_abs()))
    }

    fn flush(&mut self) -> Result<(), ConnectionError> {
        while let Some(reply) = self.session.poll_transmit() {
            self.listed.sent(reply.len() as u64);
            self.transmit.push(reply)?;
        }
        self.transmit.flush(&mut self.link)?;
        self.link.flush().map_err(ConnectionError::Socket)
    }

    /// Says the last words and closes: waits, within limits, until the peer has read them.
    async fn close(mut self, limit: Duration, stopped: &mut watch::Receiver<bool>) {
        let flushed = self.flush();
        if flushed.is_err() || self.link.drive().is_err() {
            return;
        }
        let (mut link, mut transmit) = (self.link, self.transmit);
        let linger = async {
            if transmit.write_all(&mut link).await.is_err() {
                return;
            }
            let Ok(stream) = link.shutdown().await else { return };
            let mut thrown_away = 0;
            while thrown_away < MAX_LINGER_BYTES && stream.readable().await.is_ok() {
                match scratch::with(|scratch| stream.try_read(&mut scratch.received)) {
                    Ok(count) if count > 0 => thrown_away += count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    _ => return,
                }
            }
        };
        let is_stopping = *stopped.borrow();
        tokio::select! {
            () = linger => {}
            () = self.seat.displaced() => {}
            () = tokio::time::sleep(if is_stopping { Duration::ZERO } else { limit }) => {}
            // The node stops: the peer hears it from the closed socket.
            _ = stopped.changed() => {}
        }
    }
}

impl Publishing {
    fn video(&mut self, timestamp_ms: u32, body: Bytes, now: Arrival) -> Result<(), ConnectionError> {
        let role = self.framer.video(timestamp_ms, body.clone(), now.monotonic_us, &mut self.framed);
        let placed = self.place(now);
        // Those who are passed the publisher's own bytes get what we could not read as well.
        let mut passed = role.as_ref().copied().unwrap_or(TagRole::Video);
        if placed.as_ref().is_ok_and(|took_entry| *took_entry) && passed == TagRole::Video {
            // Decoding can start there, whatever its tag says.
            passed = TagRole::KeyFrame;
        }
        self.tags.push(FlvTag::passed(passed, timestamp_ms, body));
        placed?;
        role.map(|_| ()).map_err(ConnectionError::from)
    }

    fn audio(&mut self, timestamp_ms: u32, body: Bytes, now: Arrival) -> Result<(), ConnectionError> {
        let role = self.framer.audio(timestamp_ms, body.clone(), &mut self.framed);
        self.tags.push(FlvTag::passed(role, timestamp_ms, body));
        self.place(now)?;
        Ok(())
    }

    /// Hands what the framer gave to the timeline; whether there was a place to start among it.
    fn place(&mut self, now: Arrival) -> Result<bool, TimelineError> {
        let mut result = Ok(());
        let mut took_entry = false;
        for framed in self.framed.drain(..) {
            result = result.and(match framed {
                Framed::Video { timestamp_ms, tag } => {
                    let placed = self.timeline.video(timestamp_ms, tag, now);
                    took_entry |= self.timeline.took_entry();
                    placed
                }
                Framed::Audio { timestamp_ms, tag } => self.timeline.audio(timestamp_ms, tag, now),
                Framed::MoreOfPicture { data } => {
                    self.timeline.more_of_picture(&data);
                    Ok(())
                }
            });
        }
        result.map(|()| took_entry)
    }

    /// Says what there is to say of the stream, each thing once.
    fn tell(&mut self, connection: u64, peer: SocketAddr) {
        let channel = self.channel_id;
        while let Some(notice) = self.framer.poll_notice() {
            if notice.is_loss() {
                tracing::warn!(connection, %peer, %channel, "{notice}");
            } else {
                tracing::info!(connection, %peer, %channel, "{notice}");
            }
        }
        while let Some(notice) = self.timeline.poll_notice() {
            match notice {
                TimelineNotice::StampsStandStill { track } => {
                    let track = match track {
                        TrackKind::Video => "video",
                        TrackKind::Audio => "audio",
                    };
                    tracing::warn!(
                        connection, %peer, %channel, track,
                        "the publisher's time stamps stand still: its frames are recorded by the time of their arrival"
                    );
                }
                // The node says it once for all.
                TimelineNotice::ClockSet { by_us } => {
                    tracing::debug!(connection, %channel, by_us, "the next session is dated by the clock as it was set");
                }
            }
        }
        let problem = self.timeline.audio_problem();
        if problem != self.audio_problem.as_ref() {
            match problem {
                Some(problem) => {
                    tracing::warn!(connection, %peer, %channel, %problem, "audio is left out, video is recorded");
                }
                None => tracing::info!(connection, %peer, %channel, "audio is recorded again"),
            }
            self.audio_problem = problem.cloned();
            self.sink.audio_problem(problem);
        }
    }

    /// Says in the end how much was left out.
    fn tell_left_out(&self, connection: u64, peer: SocketAddr) {
        let stats = self.framer.stats();
        if stats.skipped_video + stats.skipped_audio > 0 {
            let (channel, video, audio) = (self.channel_id, stats.skipped_video, stats.skipped_audio);
            tracing::warn!(connection, %peer, %channel, video, audio, "messages of this publication were left out");
        }
    }

    /// Hands on what the timeline has made, and counts the sessions that begin.
    fn push(&mut self, now: Arrival, connection: u64, peer: SocketAddr) {
        while let Some(event) = self.timeline.poll() {
            match event {
                TimelineEvent::SessionStart { .. } => {
                    let paced = self.lease.session_began(now.monotonic_us);
                    self.not_before_us = paced.not_before_us;
                    if paced.is_news {
                        let channel = self.channel_id;
                        tracing::warn!(
                            connection, %peer, %channel,
                            "recordings of this channel begin faster than any encoder needs: it is read more slowly. Its configuration \
                             changes with every keyframe, its time stamps jump, or it reconnects in a loop"
                        );
                    }
                }
                TimelineEvent::SessionEnd { .. } => self.lease.session_ended(self.timeline.ended_us()),
                _ => {}
            }
            self.sink.push(event);
        }
    }

    /// After [`Self::push`]: the publisher's own tags of it.
    fn pass_on_tags(&mut self) {
        self.sink.tags(&mut self.tags);
        self.tags.clear();
    }
}

/// Asks for each way to read a key, until one is known. Where none is, the refusal says what may be wrong with it.
async fn authorise(
    gate: &dyn Gate,
    key: &StreamKey,
    otherwise: &[StreamKey],
    peer: SocketAddr,
) -> Result<Publication, Refusal> {
    for reading in std::iter::once(key).chain(otherwise) {
        match gate.authorise(reading, peer).await {
            Err(Refusal::UnknownKey) => {}
            answer => return answer,
        }
    }
    Err(if key.is_odd() { Refusal::OddKey } else { Refusal::UnknownKey })
}

/// What is waited for, unless the connection has to go before.
async fn while_wanted<T>(
    listed: &Listed,
    seat: &Seat,
    waited: impl Future<Output = T>,
) -> Result<T, ConnectionError> {
    tokio::select! {
        biased;
        () = listed.dropped() => Err(ConnectionError::Dropped),
        () = seat.displaced() => Err(NoSeat::Displaced.into()),
        result = waited => Ok(result),
    }
}

async fn dismissed(lease: Option<&Lease>) -> Dismissed {
    match lease {
        Some(lease) => lease.dismissed().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
