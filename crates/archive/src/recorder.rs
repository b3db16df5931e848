//! What a channel's hub holds to have it recorded.

use std::sync::Arc;

use media::fragmenter::FragmentEvent;
use uuid::Uuid;

use crate::queue::{ChannelQueue, Full};

/// Whom a recorder records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecorderTarget {
    /// The channel.
    pub channel_id: Uuid,
    /// First part of the names of its objects, `{club}/{court}`. What is not safe in a name is replaced.
    pub prefix: String,
}

/// Records one channel, from its first session to [`Recorder::close`] or its drop. One publisher at a time: a newcomer
/// gets a recorder of its own, and what both push is kept apart by session.
pub struct Recorder {
    queue: Arc<ChannelQueue>,
}

impl Recorder {
    pub(crate) fn new(queue: Arc<ChannelQueue>) -> Self {
        Self { queue }
    }

    /// Records an event. Never blocks: what does not fit into the channel's bounded queue is dropped up to the next key
    /// fragment that fits, which becomes a gap with the cause `disk`.
    ///
    /// # Errors
    /// [`Full`] when the event was dropped; nothing is to be done about it but to count it.
    pub fn push(&self, event: FragmentEvent) -> Result<(), Full> {
        self.queue.push(event)
    }

    /// Waits until there is room, then records the event: for a source that runs faster than the disk and can wait,
    /// such as one on simulated time. An event after the archive was closed is dropped.
    pub async fn push_wait(&self, event: FragmentEvent) {
        self.queue.wait_for_room(&event).await;
        // Full can only mean closed now: this recorder has one pusher.
        let _ = self.queue.push(event);
    }

    /// Waits until everything pushed so far is written to its file.
    pub async fn flush(&self) {
        self.queue.wait_until_idle().await;
    }

    /// Ends the recording; what was pushed is still written. A session that runs is ended with an unknown cause.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.queue.close();
    }
}
