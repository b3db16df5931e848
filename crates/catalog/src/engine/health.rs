//! Whether a database on the network answers, as its last questions found out.
//!
//! While it is away, one question now and then finds out whether it is back; all others are refused at once. Without it
//! every question would wait for a connection first: a phone would wait for seconds to hear "not now", and a camera
//! that reconnects for the answer that a cache has.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sea_orm::{DbErr, RuntimeErr};
use tokio::time::Instant;

/// Pause between two questions that find out whether the database is back.
const PROBE_PAUSE: Duration = Duration::from_millis(500);

/// After a lost connection others are suspected for this long, and tried before they are used.
const SUSPICION: Duration = Duration::from_secs(5);

/// Shared by all connections to one database.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// While it is away: when the next question may find out more.
    next_probe: Option<Instant>,
    /// When a connection was found dead.
    lost_at: Option<Instant>,
}

impl Health {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a question may go out now.
    pub(crate) fn admit(&self, now: Instant) -> Result<(), DbErr> {
        let mut state = self.lock();
        match state.next_probe {
            Some(next) if now < next => Err(DbErr::Conn(RuntimeErr::Internal(
                "it did not a moment ago, and is asked again soon".into(),
            ))),
            Some(_) => {
                state.next_probe = Some(now + PROBE_PAUSE);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The database answered, whatever it said.
    pub(crate) fn answered(&self) {
        let mut state = self.lock();
        if state.next_probe.take().is_some() {
            drop(state);
            tracing::info!("the database answers again");
        }
    }

    /// There was no connection to be had, or no answer on it.
    pub(crate) fn away(&self, now: Instant, error: &DbErr) {
        let mut state = self.lock();
        let is_news = state.next_probe.replace(now + PROBE_PAUSE).is_none();
        drop(state);
        if is_news {
            tracing::warn!(%error, "the database does not answer");
        }
    }

    /// A connection broke: the server may have restarted, and the others with it.
    pub(crate) fn lost(&self, now: Instant) {
        self.lock().lost_at = Some(now);
    }

    /// Whether idle connections are to be tried before they are used.
    pub(crate) fn is_suspicious(&self, now: Instant) -> bool {
        self.lock().lost_at.is_some_and(|lost_at| now.duration_since(lost_at) < SUSPICION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_it_is_away_one_question_in_a_while_finds_out_more() {
        let health = Health::default();
        let error = DbErr::Conn(RuntimeErr::Internal("gone".into()));
        let now = Instant::now();
        assert!(health.admit(now).is_ok() && health.admit(now).is_ok());
        health.away(now, &error);
        assert!(health.admit(now).is_err());
        let later = now + PROBE_PAUSE;
        assert!(health.admit(later).is_ok(), "one finds out");
        assert!(health.admit(later).is_err(), "the others do not wait for it");
        health.answered();
        assert!(health.admit(later).is_ok() && health.admit(later).is_ok());
    }

    #[test]
    fn after_a_loss_the_others_are_suspected_for_a_while() {
        let health = Health::default();
        let now = Instant::now();
        assert!(!health.is_suspicious(now));
        health.lost(now);
        assert!(health.is_suspicious(now));
        assert!(!health.is_suspicious(now + SUSPICION));
    }
}
