//! One publication at a target: the dialogue until it takes the stream, the stream, the goodbye.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use live::TagReader;
use media::rtmp::RtmpUrl;
use media::rtmp::client::{ClientConfig, ClientEvent, ClientSession};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};
use world::Clock;

use crate::dial::Io;
use crate::limits::{
    GOODBYE_TIMEOUT, MAX_REPLY_BYTES, MAX_SLICES, PUBLISH_TIMEOUT, SENT_BYTES_PER_REPLY_BYTE,
    WRITE_STALL_TIMEOUT,
};
use crate::outgoing::Outgoing;
use crate::relays::Totals;
use crate::state::Progress;
use crate::trouble::{Trouble, said};

/// Read at once: a target has little to say to a publisher.
const REPLY_READ_BYTES: usize = 4096;

/// A connection and how far it has come.
pub(crate) struct Connection<'a> {
    stream: Box<dyn Io>,
    client: ClientSession,
    /// What was read and not taken in yet.
    input: Vec<u8>,
    out: Outgoing,
    /// Whether something that was written may still be kept back, which TLS does.
    is_unflushed: bool,
    /// When the target last took something, or was given something after a pause.
    progress_at: Instant,
    received_bytes: u64,
    sent_bytes: u64,
    url: &'a RtmpUrl,
    clock: &'a dyn Clock,
    progress: &'a Progress,
    totals: &'a Totals,
}

/// What a look at the socket has brought.
struct Moved {
    read: bool,
}

impl<'a> Connection<'a> {
    /// Over a connection that was made just now.
    pub(crate) fn new(
        stream: Box<dyn Io>,
        url: &'a RtmpUrl,
        clock: &'a dyn Clock,
        seed: u64,
        progress: &'a Progress,
        totals: &'a Totals,
    ) -> Self {
        let setup_limit_us = i64::try_from(PUBLISH_TIMEOUT.as_micros()).unwrap_or(i64::MAX);
        let config = ClientConfig { seed, setup_limit_us, ..ClientConfig::new(url) };
        Self {
            stream,
            client: ClientSession::new(config, clock.monotonic_us()),
            input: Vec::with_capacity(REPLY_READ_BYTES),
            out: Outgoing::default(),
            is_unflushed: false,
            progress_at: Instant::now(),
            received_bytes: 0,
            sent_bytes: 0,
            url,
            clock,
            progress,
            totals,
        }
    }

    /// Until the target takes the stream.
    pub(crate) async fn establish(&mut self) -> Result<(), Trouble> {
        // The first call makes the client speak.
        self.client.handle_input(&[], self.clock.monotonic_us())?;
        loop {
            self.offer_replies();
            match self.client.poll_event() {
                Some(ClientEvent::Ready) => return Ok(()),
                Some(event) => return Err(self.end(event)),
                None => {}
            }
            let left_us =
                self.client.poll_timeout().map_or(0, |at_us| at_us - self.clock.monotonic_us()).max(0);
            let left = Duration::from_micros(left_us.unsigned_abs());
            tokio::select! {
                biased;
                moved = self.io() => self.moved(moved?)?,
                () = tokio::time::sleep(left) => self.client.handle_timeout(self.clock.monotonic_us())?,
            }
        }
    }

    /// Sends what the reader gives, until the channel ends. Cancelled, it can be ended with [`Connection::goodbye`].
    pub(crate) async fn relay(&mut self, reader: &mut TagReader) -> Result<(), Trouble> {
        let mut skipped = 0;
        loop {
            self.offer_replies();
            if let Some(event) = self.client.poll_event() {
                return Err(self.end(event));
            }
            let stalls_at = self.progress_at + WRITE_STALL_TIMEOUT;
            let (is_free, is_waiting) = (self.out.is_empty(), !self.out.is_empty() || self.is_unflushed);
            tokio::select! {
                biased;
                run = reader.next(), if is_free => {
                    let Some(run) = run else { return Ok(()) };
                    let stream_id = self.client.stream_id();
                    self.begin(|out| out.set_run(run, stream_id));
                    let now = reader.skipped();
                    self.progress.skipped.fetch_add(now - skipped, Ordering::Relaxed);
                    self.totals.skipped.fetch_add(now - skipped, Ordering::Relaxed);
                    skipped = now;
                }
                moved = self.io() => self.moved(moved?)?,
                () = tokio::time::sleep_until(stalls_at), if is_waiting => {
                    return Err(Trouble::Timeout { what: "the target took nothing", limit: WRITE_STALL_TIMEOUT });
                }
            }
        }
    }

    /// Says that the publication is over, and waits a moment until the target has heard it.
    pub(crate) async fn goodbye(mut self) {
        self.client.unpublish();
        let heard = async {
            loop {
                self.offer_replies();
                if self.out.is_empty() && !self.is_unflushed {
                    break;
                }
                let moved = self.io().await?;
                self.moved(moved)?;
            }
            self.stream.shutdown().await.map_err(Trouble::Lost)?;
            // Closing with unread replies would reset the connection and might lose the goodbye.
            let mut scratch = [0; 1024];
            while self.stream.read(&mut scratch).await.map_err(Trouble::Lost)? > 0 {}
            Ok::<(), Trouble>(())
        };
        // A target that does not listen to the end notices the closed connection.
        drop(timeout(GOODBYE_TIMEOUT, heard).await);
    }

    /// What the session has to say goes out between two runs.
    fn offer_replies(&mut self) {
        if self.out.is_empty() && self.client.queued_bytes() > 0 {
            let client = &mut self.client;
            let pieces = std::iter::from_fn(|| client.poll_transmit()).collect();
            self.begin(|out| out.set_pieces(pieces));
        }
    }

    fn begin(&mut self, set: impl FnOnce(&mut Outgoing)) {
        if !self.is_unflushed {
            self.progress_at = Instant::now();
        }
        set(&mut self.out);
    }

    fn end(&self, event: ClientEvent) -> Trouble {
        match event {
            // It was ready already: said twice, it changes nothing, but no server does that.
            ClientEvent::Ready => Trouble::Ended("published twice".to_owned()),
            ClientEvent::Rejected { code, description } => {
                Trouble::Refused(said(self.url, &code, &description))
            }
            ClientEvent::Closed { code, description } => Trouble::Ended(said(self.url, &code, &description)),
        }
    }

    fn moved(&mut self, moved: Moved) -> Result<(), Trouble> {
        if moved.read {
            let spare = self.sent_bytes / SENT_BYTES_PER_REPLY_BYTE;
            if self.received_bytes > MAX_REPLY_BYTES + spare {
                return Err(Trouble::Talkative);
            }
            let handled = self.client.handle_input(&self.input, self.clock.monotonic_us());
            self.input.clear();
            handled?;
        }
        Ok(())
    }

    /// Reads what has come and writes what the socket takes; waits until it could do one of them.
    async fn io(&mut self) -> Result<Moved, Trouble> {
        poll_fn(|cx| self.poll_io(cx)).await
    }

    fn poll_io(&mut self, cx: &mut Context<'_>) -> Poll<Result<Moved, Trouble>> {
        let has_written = self.poll_write(cx).map_err(Trouble::Lost)?;
        let read = pin!(self.stream.read_buf(&mut self.input)).poll(cx);
        match read {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(Trouble::Closed)),
            Poll::Ready(Ok(count)) => {
                self.received_bytes += count as u64;
                Poll::Ready(Ok(Moved { read: true }))
            }
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                // TLS that ends without a goodbye of its own.
                Poll::Ready(Err(Trouble::Closed))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(Trouble::Lost(error))),
            Poll::Pending if has_written => Poll::Ready(Ok(Moved { read: false })),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Whether something has moved.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut has_moved = false;
        while !self.out.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let count = self.out.fill(&mut slices);
            let slices = slices.get(..count).unwrap_or_default();
            let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write_vectored(cx, slices)? else {
                return Ok(has_moved);
            };
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.out.advance(written);
            self.sent_bytes += written as u64;
            self.progress.sent_bytes.fetch_add(written as u64, Ordering::Relaxed);
            self.totals.sent_bytes.fetch_add(written as u64, Ordering::Relaxed);
            self.progress_at = Instant::now();
            self.is_unflushed = true;
            has_moved = true;
        }
        if self.is_unflushed && Pin::new(&mut self.stream).poll_flush(cx)?.is_ready() {
            self.is_unflushed = false;
            has_moved = true;
        }
        Ok(has_moved)
    }
}
