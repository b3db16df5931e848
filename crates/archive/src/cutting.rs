//! Where cuts are worked out: a few threads of their own, one cut at a time each.
//!
//! A cut of a day needs a hundred megabytes of tables for a moment. The allocator keeps a heap for each thread: if cuts ran on any
//! thread of the runtime, many heaps would keep that much. These few threads use their heaps again. Somebody who asks for many cuts
//! at once waits for a turn instead of filling the memory. Not here: what a cut is made of (`reading`).

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::limits::CUT_CONCURRENCY;

type Job = Box<dyn FnOnce() + Send>;

/// Gives out turns, and runs what has one.
pub(crate) struct Cutting {
    turns: Arc<Semaphore>,
    jobs: SyncSender<Job>,
}

/// The right to work out one cut.
pub(crate) struct CutTurn(OwnedSemaphorePermit);

impl Cutting {
    /// With the work of its threads, of which there are [`CUT_CONCURRENCY`]. They end when this is dropped.
    pub(crate) fn new() -> (Self, impl Fn() + Clone + Send + 'static) {
        // No more than have a turn ever wait.
        let (jobs, todo) = sync_channel(CUT_CONCURRENCY);
        let todo = Arc::new(Mutex::new(todo));
        (Self { turns: Arc::new(Semaphore::new(CUT_CONCURRENCY)), jobs }, move || work(&todo))
    }

    /// Waits for a turn; `None` when the archive is gone.
    pub(crate) async fn turn(&self) -> Option<CutTurn> {
        Arc::clone(&self.turns).acquire_owned().await.ok().map(CutTurn)
    }

    /// Runs something on one of the threads. The turn ends with it, also when nobody waits for it any more. `None` when it
    /// panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        turn: CutTurn,
        make: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (done, made) = oneshot::channel();
        let job = Box::new(move || {
            // Nobody waits for the answer when the request was given up meanwhile.
            let _ = done.send(make());
            drop(turn.0);
        });
        self.jobs.try_send(job).ok()?;
        made.await.ok()
    }
}

fn work(todo: &Mutex<Receiver<Job>>) {
    loop {
        // The one that waits holds the lock; those that work do not need it.
        let next = todo.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        // The panic is on standard error already; the thread goes on with the next cut.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_cut_that_panics_or_is_given_up_ends_its_turn() {
        let (cutting, work) = Cutting::new();
        let thread = std::thread::spawn(work);
        for _ in 0..2 * CUT_CONCURRENCY {
            let turn = cutting.turn().await.unwrap();
            assert_eq!(cutting.run(turn, || panic!("on purpose")).await, None::<()>);
            let turn = cutting.turn().await.unwrap();
            drop(cutting.run(turn, || 1));
        }
        let turn = cutting.turn().await.unwrap();
        assert_eq!(cutting.run(turn, || 7).await, Some(7));
        drop(cutting);
        thread.join().unwrap();
    }
}
