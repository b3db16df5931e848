//! Whose turn it is: few pictures are made at once, and no client has more than one of these places, however often it asks.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::limits::{FRAME_TURN_TIMEOUT, MAX_FFMPEG, MAX_FRAME_CLIENTS, MAX_FRAMES_WAITING_PER_CLIENT};

/// The places, and a line of each client before them. Lines move on one by one in turn.
pub(super) struct Turns {
    places: Semaphore,
    lines: Mutex<HashMap<IpAddr, Line>>,
}

struct Line {
    head: Arc<Semaphore>,
    length: usize,
}

/// A place, until it is dropped.
pub(super) struct Turn<'a> {
    // In this order: the next of the same client stands behind all who wait already.
    _head: OwnedSemaphorePermit,
    _place: SemaphorePermit<'a>,
    _standing: Standing<'a>,
}

struct Standing<'a> {
    turns: &'a Turns,
    client: IpAddr,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self { places: Semaphore::new(MAX_FFMPEG), lines: Mutex::default() }
    }

    /// Waits for a place; `None` where there is none in time, or too many of the client wait already.
    pub(super) async fn take(&self, client: IpAddr) -> Option<Turn<'_>> {
        let head = self.stand(client)?;
        let standing = Standing { turns: self, client };
        let waited = async {
            let head = head.acquire_owned().await.ok()?;
            let place = self.places.acquire().await.ok()?;
            Some(Turn { _head: head, _place: place, _standing: standing })
        };
        tokio::time::timeout(FRAME_TURN_TIMEOUT, waited).await.ok()?
    }

    fn stand(&self, client: IpAddr) -> Option<Arc<Semaphore>> {
        let mut lines = self.lines();
        if lines.len() >= MAX_FRAME_CLIENTS && !lines.contains_key(&client) {
            return None;
        }
        let line =
            lines.entry(client).or_insert_with(|| Line { head: Arc::new(Semaphore::new(1)), length: 0 });
        if line.length >= MAX_FRAMES_WAITING_PER_CLIENT {
            return None;
        }
        line.length += 1;
        Some(Arc::clone(&line.head))
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<IpAddr, Line>> {
        // Nothing under this lock can panic half-way through a change.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        let mut lines = self.turns.lines();
        if let Some(line) = lines.get_mut(&self.client) {
            line.length -= 1;
            if line.length == 0 {
                lines.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;

    fn client(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    /// Whether it is ready now.
    async fn now<T>(waited: &mut std::pin::Pin<Box<impl Future<Output = T>>>) -> Option<T> {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(match waited.as_mut().poll(context) {
                std::task::Poll::Ready(value) => Some(value),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }

    #[tokio::test(start_paused = true)]
    async fn no_client_has_all_places_and_lines_move_in_turn() {
        const { assert!(MAX_FFMPEG == 2) };
        let turns = Turns::new();
        let busy = turns.take(client(1)).await.unwrap();
        let mut more: Vec<_> = (0..3).map(|_| Box::pin(turns.take(client(1)))).collect();
        for one in &mut more {
            assert!(now(one).await.is_none(), "a second place of the same client");
        }
        let other = turns.take(client(2)).await.expect("the place that is left");
        let mut third = Box::pin(turns.take(client(3)));
        assert!(now(&mut third).await.is_none());
        // The next of the first client comes behind the third client.
        drop(busy);
        let third = now(&mut third).await.expect("its turn").expect("a place");
        assert!(now(&mut more[0]).await.is_none());
        drop((third, other));
        let first = now(&mut more[0]).await.expect("its turn").expect("a place");
        assert!(now(&mut more[1]).await.is_none());
        drop((first, more));
        assert!(turns.lines().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn lines_have_an_end_and_waiting_too() {
        let turns = Turns::new();
        let _busy = turns.take(client(1)).await.unwrap();
        let mut line: Vec<_> =
            (1..MAX_FRAMES_WAITING_PER_CLIENT).map(|_| Box::pin(turns.take(client(1)))).collect();
        for one in &mut line {
            assert!(now(one).await.is_none());
        }
        assert!(turns.take(client(1)).await.is_none(), "at once");
        assert!(turns.take(client(2)).await.is_some());
        assert!(line.remove(0).await.is_none(), "in the end");
    }
}
