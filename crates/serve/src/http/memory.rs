//! Memory: how many bytes answers hold for their readers, from before they are made until their last byte has gone.
//!
//! What is held is the headers of cuts, playlists, documents, and the pieces of footage that are read ahead. Each is taken from
//! one budget before there is anything to hold, and goes back when the reader has it, or is gone. What equal answers share is
//! counted once. Where the budget is used up, readers that take nothing make room for newcomers, who wait for it a little; then
//! they are told to come back. No address has more than its share, or one stranger would hold all of it; whose share is used up
//! is told so at once, or his waiting would take the turns of others.
//!
//! Not in it: what is held however many readers there are, such as caches, live windows, and the few cuts that are worked out at
//! once.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{FromRequestParts, Request, State},
    http::{Response, header, request::Parts},
    middleware::Next,
    response::IntoResponse,
};
use hyper::body::{Frame, SizeHint};
use tokio::{sync::Notify, time::Instant};

use super::progress::Progress;
use crate::{
    app::App,
    limits::{MEMORY_SHARE, STALLED_AFTER, TURN_TIMEOUT},
    problem::{Problem, ProblemCode},
};

/// Who gets an answer. The listener puts it into each request.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    /// His address, or his IPv6 /64 network.
    pub(crate) network: IpAddr,
    /// How the answer gets on.
    pub(crate) progress: Arc<Progress>,
}

impl<S: Sync> FromRequestParts<S> for Reader {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // Without a listener in front nobody knows who asks, and nobody can be sent away.
        let nobody = || Self { network: IpAddr::from([0, 0, 0, 0]), progress: Progress::new() };
        Ok(parts.extensions.get().cloned().unwrap_or_else(nobody))
    }
}

/// The budget.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: u64,
    table: Mutex<Table>,
    freed: Notify,
}

#[derive(Default, Debug)]
struct Table {
    used: u64,
    by_network: HashMap<IpAddr, u64>,
    held: HashMap<u64, Held>,
    shared: HashMap<String, Weak<Hold>>,
    next: u64,
}

#[derive(Debug)]
struct Held {
    /// Who has it: one, or all who share it. The first one's address is charged.
    readers: Vec<Reader>,
    network: IpAddr,
    bytes: u64,
}

impl Held {
    /// Takes in another one who shares it.
    fn shared_with(&mut self, reader: &Reader) {
        // Now and then, so that it costs next to nothing: those whose answer is nowhere but in this list are gone.
        if self.readers.len().is_power_of_two() {
            self.readers.retain(|reader| Arc::strong_count(&reader.progress) > 1);
        }
        self.readers.push(reader.clone());
    }
}

/// Why there is no room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Full {
    /// All of the budget is used.
    Total,
    /// The share of one address is.
    Share,
}

impl Memory {
    /// A budget of so many bytes.
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, table: Mutex::default(), freed: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing under this lock can panic half-way through a change.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that are held now.
    pub(crate) fn used(&self) -> u64 {
        self.lock().used
    }

    /// Bytes that may be held.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// The most for one address. The machine itself has no such limit: a proxy on it speaks for many.
    fn share(&self, network: IpAddr) -> u64 {
        if network.is_loopback() { self.limit } else { self.limit / MEMORY_SHARE }
    }

    /// Takes bytes for an answer, waiting up to [`TURN_TIMEOUT`] for them where all of the budget is used.
    ///
    /// # Errors
    /// The problem of those who are to come back.
    pub(crate) async fn hold(self: &Arc<Self>, reader: &Reader, bytes: u64) -> Result<Arc<Hold>, Problem> {
        self.wait(|| self.take(reader, bytes, None), reader).await
    }

    /// [`Memory::hold`] for what equal answers share: where somebody has it already, nothing is taken.
    ///
    /// # Errors
    /// As [`Memory::hold`].
    pub(crate) async fn share_of(
        self: &Arc<Self>,
        reader: &Reader,
        key: &str,
        bytes: u64,
    ) -> Result<Arc<Hold>, Problem> {
        self.wait(|| self.take(reader, bytes, Some(key)), reader).await
    }

    async fn wait(
        &self,
        mut take: impl FnMut() -> Result<Arc<Hold>, Full>,
        reader: &Reader,
    ) -> Result<Arc<Hold>, Problem> {
        let deadline = Instant::now() + TURN_TIMEOUT;
        loop {
            // Before it is looked: what is freed in between is not missed.
            let freed = self.freed.notified();
            let full = match take() {
                Ok(hold) => return Ok(hold),
                Err(full) => full,
            };
            self.send_away(full, reader.network);
            if full == Full::Share || tokio::time::timeout_at(deadline, freed).await.is_err() {
                let detail = match full {
                    Full::Total => {
                        "too many answers are being read at this moment; try again in some seconds"
                    }
                    Full::Share => {
                        "too many answers are being read from this address; let some of them end, and try again"
                    }
                };
                return Err(Problem::new(ProblemCode::Busy, detail));
            }
        }
    }

    fn take(self: &Arc<Self>, reader: &Reader, bytes: u64, key: Option<&str>) -> Result<Arc<Hold>, Full> {
        let mut table = self.lock();
        if let Some(shared) = key.and_then(|key| table.shared.get(key)).and_then(Weak::upgrade) {
            if let Some(held) = table.held.get_mut(&shared.number) {
                held.shared_with(reader);
            }
            return Ok(shared);
        }
        // What is larger than all there is gets all there is, once nobody else has any of it.
        let bytes = bytes.min(self.share(reader.network));
        // First: whose share is used up is to wait for nobody, and nobody has to go for him.
        let here = table.by_network.get(&reader.network).copied().unwrap_or(0);
        // A proxy's share is all there is: it waits like everybody.
        if here + bytes > self.share(reader.network) && !reader.network.is_loopback() {
            return Err(Full::Share);
        }
        if table.used + bytes > self.limit {
            return Err(Full::Total);
        }
        table.used += bytes;
        *table.by_network.entry(reader.network).or_default() += bytes;
        table.next += 1;
        let number = table.next;
        table.held.insert(number, Held { readers: vec![reader.clone()], network: reader.network, bytes });
        let hold = Arc::new(Hold { memory: Arc::clone(self), number, key: key.map(str::to_owned) });
        if let Some(key) = key {
            table.shared.insert(key.to_owned(), Arc::downgrade(&hold));
        }
        Ok(hold)
    }

    /// Ends the answer whose reader has taken nothing for longest, if that is long enough.
    fn send_away(&self, full: Full, network: IpAddr) {
        let table = self.lock();
        let stalled = table
            .held
            .values()
            .flat_map(|held| &held.readers)
            .filter(|reader| full == Full::Total || reader.network == network)
            // Of those who are gone there is nothing to end.
            .filter(|reader| !reader.progress.is_ended() && Arc::strong_count(&reader.progress) > 1)
            .filter_map(|reader| Some((reader.progress.waiting_since()?, reader)))
            .min_by_key(|(since, _)| *since);
        if let Some((since, reader)) = stalled
            && since.elapsed() >= STALLED_AFTER
        {
            reader.progress.end();
            tracing::debug!(network = %reader.network, "a reader that took nothing made room for a newcomer");
        }
    }
}

/// Bytes that an answer holds, until it is dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    memory: Arc<Memory>,
    number: u64,
    key: Option<String>,
}

impl Hold {
    /// Says how many bytes it has become, now that it is known. More than was taken is let be: it is there already.
    pub(crate) fn is_now(&self, bytes: u64) {
        self.set(|_| bytes);
    }

    fn set(&self, bytes: impl FnOnce(u64) -> u64) {
        let mut table = self.memory.lock();
        let Some(held) = table.held.get_mut(&self.number) else { return };
        let (before, network) = (held.bytes, held.network);
        let now = bytes(before);
        held.bytes = now;
        table.used = table.used.saturating_sub(before) + now;
        if let Some(here) = table.by_network.get_mut(&network) {
            *here = here.saturating_sub(before) + now;
            if *here == 0 {
                table.by_network.remove(&network);
            }
        }
        drop(table);
        self.memory.freed.notify_waiters();
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.set(|_| 0);
        let mut table = self.memory.lock();
        table.held.remove(&self.number);
        // Somebody else may have taken the same anew meanwhile.
        if let Some(key) = &self.key
            && table.shared.get(key).is_some_and(|shared| shared.strong_count() == 0)
        {
            table.shared.remove(key);
        }
    }
}

/// A body with what it holds: each piece of it keeps that until it has gone into the socket, wherever it waits meanwhile.
pub(crate) struct HeldBody {
    body: Body,
    holds: Arc<[Arc<Hold>]>,
}

impl HeldBody {
    /// `body`, holding `holds`.
    pub(crate) fn wrap(body: Body, holds: impl Into<Arc<[Arc<Hold>]>>) -> Body {
        Body::new(Self { body, holds: holds.into() })
    }
}

/// A piece of a body, and what the body holds.
struct HeldPiece {
    bytes: Bytes,
    _holds: Arc<[Arc<Hold>]>,
}

impl AsRef<[u8]> for HeldPiece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        polled.map(|next| {
            next.map(|frame| {
                frame.map(|frame| {
                    frame.map_data(|bytes| {
                        Bytes::from_owner(HeldPiece { bytes, _holds: Arc::clone(&self.holds) })
                    })
                })
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Marks an answer whose body holds what it has to already, or shares what others hold anyway.
#[derive(Clone, Copy)]
pub(crate) struct Accounted;

/// Who accounts for a group of routes.
#[derive(Clone)]
pub(crate) struct Accountant {
    pub(crate) app: App,
    /// What the encoder of an answer holds; nothing where none stands around the group.
    pub(crate) encoder_bytes: u64,
}

/// Takes what an answer made in memory holds from the budget, its encoder included. It stands inside the compression: there the
/// length is known.
pub(crate) async fn accounted(
    State(Accountant { app, encoder_bytes }): State<Accountant>,
    reader: Reader,
    request: Request,
    next: Next,
) -> Response<Body> {
    let encodings = request.headers().get(header::ACCEPT_ENCODING);
    let is_encoded = encodings.is_some_and(|value| !value.is_empty());
    let response = next.run(request).await;
    let is_held = response.extensions().get::<Accounted>().is_some();
    let length = match HttpBody::size_hint(response.body()).exact() {
        Some(length) if !is_held => length,
        _ => 0,
    };
    let encoder = if is_encoded && !response.status().is_redirection() { encoder_bytes } else { 0 };
    if length + encoder == 0 || response.status().is_server_error() {
        return response;
    }
    match app.memory.hold(&reader, length + encoder).await {
        Ok(hold) => response.map(|body| HeldBody::wrap(body, [hold])),
        Err(problem) => problem.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn reader(last: u8) -> Reader {
        Reader { network: IpAddr::from([192, 0, 2, last]), progress: Progress::new() }
    }

    async fn is_refused(memory: &Arc<Memory>, reader: &Reader, bytes: u64) -> bool {
        memory.hold(reader, bytes).await.is_err_and(|problem| problem.code() == ProblemCode::Busy)
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_has_its_share_and_no_more() {
        let memory = Memory::new(100);
        let (greedy, other) = (reader(1), reader(2));
        let share = 100 / MEMORY_SHARE;
        let held = memory.hold(&greedy, share).await.unwrap();
        assert!(is_refused(&memory, &greedy, 1).await);
        assert!(memory.hold(&other, share).await.is_ok());
        drop(held);
        assert!(memory.hold(&greedy, 1).await.is_ok());
        let proxy = Reader { network: IpAddr::from([127, 0, 0, 1]), progress: Progress::new() };
        assert!(memory.hold(&proxy, 100).await.is_ok(), "a proxy speaks for many");
        assert_eq!(memory.used(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_holds_until_its_last_piece_is_gone() {
        let memory = Memory::new(100);
        let hold = memory.hold(&reader(1), 20).await.unwrap();
        let mut body = HeldBody::wrap(Body::from("hello"), [hold]);
        let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.unwrap().unwrap();
        drop(body);
        assert_eq!(memory.used(), 20, "the piece waits in some buffer");
        let piece = frame.into_data().unwrap();
        assert_eq!(piece, "hello");
        drop(piece);
        assert_eq!(memory.used(), 0);
        assert!(memory.lock().held.is_empty() && memory.lock().by_network.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn equal_answers_hold_what_they_share_once() {
        let memory = Memory::new(1000);
        let first = memory.share_of(&reader(1), "cut", 100).await.unwrap();
        let second = memory.share_of(&reader(2), "cut", 100).await.unwrap();
        assert_eq!(memory.used(), 100);
        first.is_now(80);
        drop(first);
        assert_eq!(memory.used(), 80);
        drop(second);
        assert_eq!(memory.used(), 0);
        assert!(memory.lock().shared.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_makes_room_and_who_reads_does_not() {
        let memory = Memory::new(4);
        let all: Vec<_> = (1..=4).map(reader).collect();
        let mut held = Vec::new();
        for reader in &all {
            held.push(Some(memory.hold(reader, 1).await.unwrap()));
            reader.progress.given();
        }
        assert!(is_refused(&memory, &reader(9), 1).await, "nobody has stalled yet");
        tokio::time::sleep(STALLED_AFTER).await;
        for reader in [&all[0], &all[2], &all[3]] {
            reader.progress.given();
        }
        let newcomer = tokio::spawn({
            let memory = Arc::clone(&memory);
            async move { memory.hold(&reader(9), 1).await.is_ok() }
        });
        all[1].progress.over(Duration::from_secs(10_000)).await;
        held[1] = None;
        assert!(newcomer.await.unwrap());
        assert!([0, 2, 3].iter().all(|number| !all[*number].progress.is_ended()));
    }

    #[tokio::test(start_paused = true)]
    async fn whose_share_is_used_up_waits_for_nobody_and_ends_nobody() {
        let memory = Memory::new(8);
        let greedy = reader(1);
        let mut held = vec![memory.hold(&greedy, 2).await.unwrap()];
        let others: Vec<_> = (2..=4).map(reader).collect();
        for other in &others {
            held.push(memory.hold(other, 2).await.unwrap());
            other.progress.given();
        }
        tokio::time::sleep(STALLED_AFTER).await;
        let before = Instant::now();
        assert!(is_refused(&memory, &greedy, 1).await);
        assert_eq!(before.elapsed(), Duration::ZERO);
        assert!(others.iter().all(|other| !other.progress.is_ended()));
    }

    #[tokio::test(start_paused = true)]
    async fn of_those_who_share_the_one_who_stalls_goes_and_not_the_one_who_is_gone() {
        let memory = Memory::new(100);
        let proxy = Reader { network: IpAddr::from([127, 0, 0, 1]), progress: Progress::new() };
        let (first, second) = (proxy, reader(2));
        let one = memory.share_of(&first, "live", 100).await.unwrap();
        first.progress.given();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let shared = memory.share_of(&second, "live", 100).await.unwrap();
        second.progress.given();
        drop(first);
        tokio::time::sleep(STALLED_AFTER).await;
        assert!(is_refused(&memory, &reader(3), 1).await, "it has yet to go");
        assert!(second.progress.is_ended());
        drop((shared, one));
        assert_eq!(memory.used(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_larger_than_the_budget_is_let_in_alone() {
        let memory = Memory::new(100);
        let small = memory.hold(&reader(1), 1).await.unwrap();
        assert!(is_refused(&memory, &reader(1), u64::MAX).await);
        drop(small);
        assert!(memory.hold(&reader(1), u64::MAX).await.is_ok());
    }
}
