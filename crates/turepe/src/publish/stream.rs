//! One stream: connect, publish in real time, reconnect.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use media::TrackKind;
use media::flv::{AudioTag, VideoTag};
use media::rtmp::client::{ClientConfig, ClientEvent, ClientSession};
use media::rtmp::{RtmpError, RtmpUrl};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use world::{Clock as _, SystemClock, read_exact_at};

use super::clip::{Clip, Payload};
use super::queue::Queue;

/// Frames due within one tick are sent together.
const TICK: Duration = Duration::from_millis(20);

/// Nothing more is produced while this much waits for the socket.
const MAX_QUEUED_BYTES: usize = 1 << 20;

/// Read at once: a server has little to say to a publisher.
const REPLY_READ_BYTES: usize = 4096;

/// A server that takes nothing for this long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);

/// Until the TCP connection stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// After a goodbye: until the server has taken it.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

/// First and longest pause before connecting anew; doubled each time, back to the first after a success.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// What all streams have in common.
pub(super) struct Plan {
    pub(super) clip: Arc<Clip>,
    pub(super) repeat: bool,
    /// End of `--duration`.
    pub(super) until: Option<Instant>,
    pub(super) totals: Totals,
}

/// Counters of all streams.
#[derive(Default)]
pub(super) struct Totals {
    pub(super) bytes: AtomicU64,
    pub(super) frames: AtomicU64,
    pub(super) publishing: AtomicU32,
    pub(super) reconnects: AtomicU64,
    /// Largest delay of a frame against its time, in microseconds.
    pub(super) max_late_us: AtomicI64,
}

/// Why a stream ended before its time.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    /// The server does not want it: trying again is useless.
    #[error("refused by the server: {code}{}{description}", if description.is_empty() { "" } else { ": " })]
    Refused { code: String, description: String },
    /// The server closed a running publication, with words.
    #[error("the server ended the publication: {code}{}{description}", if description.is_empty() { "" } else { ": " })]
    Ended { code: String, description: String },
    /// The server closed the connection without words.
    #[error("the server closed the connection")]
    Closed,
    /// The server does not answer.
    #[error("{what} within {limit:?}")]
    Timeout { what: &'static str, limit: Duration },
    /// There is no way to the server.
    #[error("cannot connect to {host}:{port}: {error}")]
    Connect { host: String, port: u16, error: io::Error },
    /// The socket failed.
    #[error("the connection was lost: {0}")]
    Socket(#[from] io::Error),
    /// The server breaks the protocol.
    #[error("{0}")]
    Rtmp(#[from] RtmpError),
    /// The file cannot be read any more.
    #[error("cannot read the file: {0}")]
    File(io::Error),
}

/// Publishes until the file ends (or, when it repeats, until it is stopped).
pub(super) async fn run(
    plan: &Plan,
    url: &RtmpUrl,
    stop: &mut watch::Receiver<bool>,
) -> Result<(), StreamError> {
    let mut back_off = BACK_OFF.0;
    loop {
        let mut was_ready = false;
        let result = Session::run(plan, url, stop, &mut was_ready).await;
        if was_ready {
            plan.totals.publishing.fetch_sub(1, Ordering::Relaxed);
            back_off = BACK_OFF.0;
        }
        match result {
            Ok(()) => return Ok(()),
            Err(error @ (StreamError::Refused { .. } | StreamError::File(_))) => return Err(error),
            Err(error) if !plan.repeat => return Err(error),
            Err(error) => {
                tracing::warn!(host = url.host, port = url.port, %error, wait_ms = back_off.as_millis() as u64, "reconnecting");
            }
        }
        plan.totals.reconnects.fetch_add(1, Ordering::Relaxed);
        tokio::select! {
            _ = stop.changed() => return Ok(()),
            () = until(plan.until) => return Ok(()),
            () = tokio::time::sleep(back_off) => {}
        }
        back_off = (back_off * 2).min(BACK_OFF.1);
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// One connection.
struct Session<'a> {
    plan: &'a Plan,
    stream: TcpStream,
    client: ClientSession,
    queue: Queue,
    /// Next frame, and how often the clip was sent whole before it.
    next: usize,
    rounds: i64,
}

impl<'a> Session<'a> {
    async fn run(
        plan: &'a Plan,
        url: &RtmpUrl,
        stop: &mut watch::Receiver<bool>,
        was_ready: &mut bool,
    ) -> Result<(), StreamError> {
        let connect = TcpStream::connect((url.host.as_str(), url.port));
        let stream = tokio::select! {
            stream = timeout(CONNECT_TIMEOUT, connect) => {
                let stream = stream.map_err(|_| StreamError::Timeout { what: "no connection", limit: CONNECT_TIMEOUT })?;
                stream.map_err(|error| StreamError::Connect { host: url.host.clone(), port: url.port, error })?
            }
            _ = stop.changed() => return Ok(()),
        };
        stream.set_nodelay(true)?;
        let mut client = ClientSession::new(ClientConfig::new(url), SystemClock.monotonic_us());
        // The first call makes the client speak.
        client.handle_input(&[], SystemClock.monotonic_us())?;
        let mut session = Self { plan, stream, client, queue: Queue::default(), next: 0, rounds: 0 };
        tokio::select! {
            result = session.establish() => result?,
            _ = stop.changed() => return Ok(()),
        }
        *was_ready = true;
        plan.totals.publishing.fetch_add(1, Ordering::Relaxed);
        session.play(stop).await?;
        session.goodbye().await
    }

    /// Until the server accepts or refuses.
    async fn establish(&mut self) -> Result<(), StreamError> {
        loop {
            self.flush()?;
            match self.client.poll_event() {
                Some(ClientEvent::Ready) => return Ok(()),
                Some(
                    ClientEvent::Rejected { code, description } | ClientEvent::Closed { code, description },
                ) => return Err(StreamError::Refused { code, description }),
                None => {}
            }
            let wait_us = self
                .client
                .poll_timeout()
                .map(|at_us| at_us.saturating_sub(SystemClock.monotonic_us()).max(0));
            let wait = Duration::from_micros(wait_us.unwrap_or(0).unsigned_abs());
            tokio::select! {
                result = self.stream.readable() => { result?; self.read()?; }
                result = self.stream.writable(), if self.queue.bytes() > 0 => result?,
                () = tokio::time::sleep(wait), if wait_us.is_some() => {
                    self.client.handle_timeout(SystemClock.monotonic_us())?;
                }
            }
        }
    }

    /// Sends frames at their times until the end of the clip or a stop.
    async fn play(&mut self, stop: &mut watch::Receiver<bool>) -> Result<(), StreamError> {
        let clip = self.plan.clip.clone();
        for payload in &clip.setup {
            self.send(0, payload)?;
        }
        let start = Instant::now();
        let mut last_progress = start;
        loop {
            let now = Instant::now();
            self.produce(&clip, start, now)?;
            if self.flush()? > 0 || self.queue.bytes() == 0 {
                last_progress = now;
            } else if now.duration_since(last_progress) > WRITE_TIMEOUT {
                return Err(StreamError::Timeout { what: "the server took nothing", limit: WRITE_TIMEOUT });
            }
            let due = match self.due(&clip) {
                Some(due_us) => start + Duration::from_micros(due_us.max(0).unsigned_abs()),
                None if self.queue.bytes() == 0 => return Ok(()),
                None => now + WRITE_TIMEOUT,
            };
            // While the socket is full its room is waited for, not the next frame.
            let wake = if self.queue.bytes() > 0 { now + WRITE_TIMEOUT } else { due };
            tokio::select! {
                biased;
                _ = stop.changed() => return Ok(()),
                () = until(self.plan.until) => return Ok(()),
                result = self.stream.writable(), if self.queue.bytes() > 0 => result?,
                result = self.stream.readable() => { result?; self.read()?; }
                () = tokio::time::sleep_until(wake) => {}
            }
            if let Some(
                ClientEvent::Closed { code, description } | ClientEvent::Rejected { code, description },
            ) = self.client.poll_event()
            {
                return Err(StreamError::Ended { code, description });
            }
        }
    }

    /// Queues every frame that is due, or will be within the tick.
    fn produce(&mut self, clip: &Clip, start: Instant, now: Instant) -> Result<(), StreamError> {
        let elapsed_us = i64::try_from(now.duration_since(start).as_micros()).unwrap_or(i64::MAX);
        let horizon_us = elapsed_us.saturating_add(TICK.as_micros() as i64);
        let mut frames = 0;
        while self.queue.bytes() < MAX_QUEUED_BYTES
            && let Some(due_us) = self.due(clip)
            && due_us <= horizon_us
        {
            if let Some(frame) = clip.frames.get(self.next) {
                self.send(due_us, &frame.payload)?;
            }
            frames += 1;
            self.next += 1;
            if self.next == clip.frames.len() && self.plan.repeat {
                self.next = 0;
                self.rounds += 1;
            }
            self.plan.totals.max_late_us.fetch_max(elapsed_us - due_us, Ordering::Relaxed);
        }
        self.plan.totals.frames.fetch_add(frames, Ordering::Relaxed);
        Ok(())
    }

    /// When the next frame is due, from the start; `None` after the last.
    fn due(&self, clip: &Clip) -> Option<i64> {
        clip.frames.get(self.next).map(|frame| self.rounds * clip.duration_us + frame.dts_us)
    }

    fn send(&mut self, at_us: i64, payload: &Payload) -> Result<(), StreamError> {
        // RTMP counts milliseconds modulo 2³².
        let timestamp_ms = ((at_us + 500) / 1000) as u32;
        let codec = self.plan.clip.codec;
        match payload {
            Payload::Body(TrackKind::Video, body) => self.client.send_video(timestamp_ms, body.clone())?,
            Payload::Body(TrackKind::Audio, body) => self.client.send_audio(timestamp_ms, body.clone())?,
            Payload::Metadata(body) => self.client.send_metadata(body)?,
            Payload::Video(tag) => self.client.send_video_tag(timestamp_ms, codec, tag)?,
            Payload::Audio(tag) => self.client.send_audio_tag(timestamp_ms, tag)?,
            Payload::OnDisk { track, offset, size, is_key, composition_time_ms } => {
                let data = self.read_frame(*offset, *size)?;
                match track {
                    TrackKind::Video => {
                        let (is_key, composition_time_ms) = (*is_key, *composition_time_ms);
                        let tag = VideoTag::Frame { is_key, composition_time_ms, data };
                        self.client.send_video_tag(timestamp_ms, codec, &tag)?;
                    }
                    TrackKind::Audio => {
                        self.client.send_audio_tag(timestamp_ms, &AudioTag::Frame { data })?
                    }
                }
            }
        }
        while let Some(piece) = self.client.poll_transmit() {
            self.queue.push(piece);
        }
        Ok(())
    }

    /// A frame of a large file: a short read that the page cache has ready, since it is read ahead of us.
    fn read_frame(&self, offset: u64, size: u32) -> Result<Bytes, StreamError> {
        let mut data = vec![0; size as usize];
        match &self.plan.clip.file {
            Some(file) => read_exact_at(file.as_ref(), &mut data, offset).map_err(StreamError::File)?,
            None => return Err(StreamError::File(io::ErrorKind::NotFound.into())),
        }
        Ok(data.into())
    }

    fn read(&mut self) -> Result<(), StreamError> {
        let mut scratch = [0; REPLY_READ_BYTES];
        match self.stream.try_read(&mut scratch) {
            Ok(0) => Err(StreamError::Closed),
            Ok(count) => Ok(self.client.handle_input(&scratch[..count], SystemClock.monotonic_us())?),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn flush(&mut self) -> Result<usize, StreamError> {
        while let Some(piece) = self.client.poll_transmit() {
            self.queue.push(piece);
        }
        let written = self.queue.flush(&self.stream)?;
        self.plan.totals.bytes.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    /// Says that the publication ends, and waits until the server has heard it.
    async fn goodbye(&mut self) -> Result<(), StreamError> {
        self.client.unpublish();
        let heard = async {
            loop {
                self.flush()?;
                if self.queue.bytes() == 0 {
                    break;
                }
                self.stream.writable().await?;
            }
            self.stream.shutdown().await?;
            // Closing with unread replies would reset the connection and might lose the goodbye.
            let mut scratch = [0; 4096];
            while self.stream.read(&mut scratch).await? > 0 {}
            Ok::<(), StreamError>(())
        };
        // A server that does not take the goodbye, or resets after it, notices the closed connection.
        drop(timeout(GOODBYE_TIMEOUT, heard).await);
        Ok(())
    }
}
