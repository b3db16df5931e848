//! Taking new files in force: when they have changed, and only when they are good.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;

use super::Tls;
use super::certificate::{Certificate, Pem, Print, TlsError};

/// How often the files are read. They are small and in the page cache; reading them sees a change whatever it was made by: a
/// new file, another one under the same name, or a link that points elsewhere.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What the files were like, and what became of it. Pure.
#[derive(Debug)]
struct Seen {
    in_force: Print,
    /// The last look, when it was another.
    last: Option<Print>,
    /// Was tried and is no good.
    refused: Option<Print>,
}

impl Seen {
    /// Whether to try what the files hold now. Two looks have to see the same, as the two files are not replaced at once; who asks
    /// for it knows that they are whole.
    fn is_due(&mut self, print: Print, is_asked: bool) -> bool {
        if print == self.in_force {
            (self.last, self.refused) = (None, None);
            return false;
        }
        let is_steady = self.last.replace(print) == Some(print);
        is_asked || (is_steady && self.refused != Some(print))
    }
}

/// The loop that follows the files.
pub(super) struct Reload {
    tls: Tls,
    seen: Seen,
}

impl Reload {
    pub(super) fn new(tls: Tls) -> Self {
        let in_force = tls.current().print;
        Self { tls, seen: Seen { in_force, last: None, refused: None } }
    }

    pub(super) async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut hangups = hangups();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_asked = tokio::select! {
                () = &mut stop => return,
                _ = ticks.tick() => false,
                () = hung_up(&mut hangups) => true,
            };
            self.look(is_asked).await;
        }
    }

    async fn look(&mut self, is_asked: bool) {
        let (disk, files) = (self.tls.inner.disk.clone(), self.tls.inner.files.clone());
        let read = tokio::task::spawn_blocking(move || Pem::read(&*disk, &files)).await;
        let Ok(read) = read else { return };
        // Files that cannot be read are one more state that they can be in.
        let print = read.as_ref().map_or([0; 32], Pem::print);
        if !self.seen.is_due(print, is_asked) {
            return;
        }
        let files = &self.tls.inner.files;
        let judged = read.and_then(|pem| {
            let certificate = Certificate::of(&pem, files)?;
            certificate.counts_at(self.tls.inner.clock.now_us(), files)?;
            Ok::<_, TlsError>(certificate)
        });
        match judged {
            Ok(certificate) => {
                let expires = crate::admin::instant(certificate.validity.not_after_us);
                tracing::info!(%expires, "new TLS certificate in force");
                self.seen = Seen { in_force: print, last: None, refused: None };
                self.tls.replace(certificate);
            }
            Err(error) => {
                tracing::warn!(%error, "the TLS files have changed and are no good: the old certificate stays in force");
                self.seen.refused = Some(print);
            }
        }
    }
}

/// SIGHUP, as service managers send it to have files read again. In a terminal it says that the terminal is gone, and keeps
/// its own meaning.
fn hangups() -> Option<Signal> {
    if io::stdin().is_terminal() {
        return None;
    }
    signal(SignalKind::hangup())
        .inspect_err(
            |error| tracing::warn!(%error, "SIGHUP does not reload certificates; their files are followed"),
        )
        .ok()
}

async fn hung_up(hangups: &mut Option<Signal>) {
    match hangups {
        Some(hangups) => drop(hangups.recv().await),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_tried_once_it_has_settled_and_once_only() {
        let (old, torn, new) = ([1; 32], [2; 32], [3; 32]);
        let mut seen = Seen { in_force: old, last: None, refused: None };
        for (print, is_due) in
            [(old, false), (torn, false), (new, false), (new, true), (old, false), (new, false), (new, true)]
        {
            assert_eq!(seen.is_due(print, false), is_due);
        }
        seen.refused = Some(new);
        assert!(!seen.is_due(new, false));
        assert!(seen.is_due(new, true), "who asks is answered");
        // Going back to what is in force forgets what was no good: it may be another try.
        assert!(!seen.is_due(old, false) && !seen.is_due(new, false) && seen.is_due(new, false));
    }
}
