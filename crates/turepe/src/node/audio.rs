//! Notes whose audio is left out, and when, so that a later viewer of a silent match is told why.
//!
//! Publishers never wait for it: what they say goes through a queue to one task, which asks the database until it answers.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use catalog::Catalog;
use media::timeline::AudioProblem;
use tokio::sync::mpsc;
use uuid::Uuid;
use world::Clock;

/// What may wait to be noted: each publication says one or two things.
const MAX_WAITING: usize = 4096;
/// Until a database that did not answer is asked again.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// Takes what publications say of their audio. Clones are the same.
#[derive(Clone)]
pub(super) struct AudioNotes {
    sender: mpsc::Sender<Said>,
    clock: Arc<dyn Clock>,
}

struct Said {
    channel_id: Uuid,
    at_us: i64,
    problem: Option<AudioProblem>,
}

impl AudioNotes {
    /// Starts the task; it ends when the last clone is gone and everything is noted.
    pub(super) fn start(catalog: Catalog, clock: Arc<dyn Clock>) -> Self {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        tokio::spawn(note(catalog, receiver));
        Self { sender, clock }
    }

    /// From now on the audio of a channel is left out, or not any more. Never waits.
    pub(super) fn say(&self, channel_id: Uuid, problem: Option<&AudioProblem>) {
        let said = Said { channel_id, at_us: self.clock.now_us(), problem: problem.cloned() };
        if self.sender.try_send(said).is_err() {
            tracing::warn!(%channel_id, "why audio is left out could not be noted: the database is behind");
        }
    }
}

async fn note(catalog: Catalog, mut receiver: mpsc::Receiver<Said>) {
    // Channels of which the database is known to say that nothing is left out: most, so that their publications ask nothing.
    let mut whole: HashSet<Uuid> = HashSet::new();
    while let Some(said) = receiver.recv().await {
        if said.problem.is_none() && whole.contains(&said.channel_id) {
            continue;
        }
        let detail = said.problem.as_ref().map(ToString::to_string);
        let problem = said.problem.as_ref().and_then(|problem| Some((problem.codec(), detail.as_deref()?)));
        let mut is_told = false;
        while let Err(error) = catalog.note_audio(said.channel_id, said.at_us, problem).await {
            if !std::mem::replace(&mut is_told, true) {
                tracing::warn!(%error, "cannot note whose audio is left out: it is tried again");
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        match said.problem {
            Some(_) => whole.remove(&said.channel_id),
            None => whole.insert(said.channel_id),
        };
    }
}
