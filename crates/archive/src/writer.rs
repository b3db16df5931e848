//! The threads that write: each owns some channels and works off one batch of one channel at a time.

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError},
};

use media::EndCause;

use crate::{
    core::Core,
    queue::{ChannelQueue, Inbox, InboxEnd, Work},
};

/// One thread's work, until the end.
pub(crate) fn run(core: &Arc<Core>, inbox: &Inbox) {
    work(core, inbox);
    inbox.has_ended();
}

fn work(core: &Arc<Core>, inbox: &Inbox) {
    // Swapped with the queues' own buffers, so that no batch allocates one.
    let mut batch = VecDeque::new();
    loop {
        match inbox.next() {
            Work::Queue(queue) => {
                if write_batch(core, &queue, &mut batch) {
                    inbox.push_again(queue);
                }
            }
            Work::End(InboxEnd::Abandon) => return,
            Work::End(InboxEnd::Finish) => {
                for queue in inbox.queues() {
                    queue.refuse();
                    write_batch(core, &queue, &mut batch);
                    let mut recording = queue.recording.lock().unwrap_or_else(PoisonError::into_inner);
                    recording.end_session(core, &queue, None, EndCause::Process);
                }
                return;
            }
        }
    }
}

/// Writes what waits in one queue; whether more has come meanwhile.
fn write_batch(
    core: &Arc<Core>,
    queue: &Arc<ChannelQueue>,
    batch: &mut VecDeque<crate::queue::Entry>,
) -> bool {
    let cost = queue.drain_into(batch);
    let mut recording = queue.recording.lock().unwrap_or_else(PoisonError::into_inner);
    recording.work(core, queue, batch.drain(..));
    drop(recording);
    queue.settle(cost)
}
