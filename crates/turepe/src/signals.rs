//! Ctrl-C, SIGTERM, and the limits and ties of this process.

use std::future::Future;

use rustix::process::{
    Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal, setrlimit,
};
use tokio::signal::unix::{SignalKind, signal};

/// Resolves at the next Ctrl-C or SIGTERM from the call on, whenever it is awaited. Each call waits for a new one. Call it inside a
/// runtime.
pub(crate) fn interrupted() -> impl Future<Output = ()> {
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    async move {
        match signals {
            (Ok(mut interrupt), Ok(mut terminate)) => {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            }
            // Without handlers the signals keep their default: they end the process at once.
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(%error, "cannot listen for signals");
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Raises the soft limit of open files to the hard one: every connection and every growing segment takes one.
pub(crate) fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, ?current, "cannot raise the limit of open files");
    }
}

/// Lets the kernel end this process when its parent ends, however that comes about.
///
/// `false` when the parent has ended already.
pub(crate) fn end_with_parent() -> bool {
    let parent = getppid();
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        tracing::warn!(%error, "cannot tie this process to its parent");
    }
    // The parent may have ended between its fork and our call.
    parent == getppid() && parent.is_some_and(|parent| !parent.is_init())
}
