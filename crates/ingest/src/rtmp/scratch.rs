//! Where what a read brings stands until it is taken in.
//!
//! Nothing waits between a read and the end of its work, so that one such place for each thread does for all its connections: it
//! stays in the processor's cache, and a silent connection has no buffer at all.

use std::cell::RefCell;

use crate::limits::MAX_READ_BYTES;

/// The place of one thread.
pub(super) struct Scratch {
    /// As it came from the socket.
    pub(super) received: Vec<u8>,
    /// The same without TLS around it.
    pub(super) opened: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> =
        RefCell::new(Scratch { received: vec![0; MAX_READ_BYTES], opened: Vec::new() });
}

/// Lends this thread's place.
pub(super) fn with<T>(work: impl FnOnce(&mut Scratch) -> T) -> T {
    SCRATCH.with_borrow_mut(work)
}
