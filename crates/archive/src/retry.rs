//! Trying again, a bounded number of times, with growing pauses.

use std::{fmt::Display, future::Future, time::Duration};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::limits::{RETRY_CEILING_MS, RETRY_FLOOR_MS};

/// Runs `attempt` until it succeeds, at most `attempts` times; `None` when it never did or everything is ending. Logs
/// the first failure and the end of the trouble, not each failure.
pub(crate) async fn retry<T, E, F>(
    doing: &'static str,
    subject: impl Display,
    attempts: u32,
    is_gone: &CancellationToken,
    mut attempt: impl FnMut() -> F,
) -> Option<T>
where
    E: Display,
    F: Future<Output = Result<T, E>>,
{
    let mut pause = Duration::from_millis(RETRY_FLOOR_MS);
    for number in 1..=attempts {
        match attempt().await {
            Ok(value) => {
                if number > 1 {
                    info!(%subject, attempts = number, "{doing}: succeeded again");
                }
                return Some(value);
            }
            Err(error) if number == 1 => warn!(%subject, %error, "{doing} failed, trying again"),
            Err(error) if number == attempts => {
                tracing::error!(%subject, %error, attempts, "{doing} failed for too long");
                return None;
            }
            Err(_) => {}
        }
        tokio::select! {
            () = is_gone.cancelled() => return None,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(Duration::from_millis(RETRY_CEILING_MS));
    }
    None
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    async fn after(failures: u32, attempts: u32, is_gone: &CancellationToken) -> (Option<u32>, u32) {
        let calls = Cell::new(0);
        let result = retry("testing", "nothing", attempts, is_gone, || {
            calls.set(calls.get() + 1);
            let call = calls.get();
            async move { if call > failures { Ok(call) } else { Err("not yet") } }
        });
        (result.await, calls.get())
    }

    #[tokio::test]
    async fn it_is_tried_until_it_succeeds_but_not_for_ever() {
        let token = CancellationToken::new();
        assert_eq!(after(0, 3, &token).await, (Some(1), 1));
        assert_eq!(after(2, 3, &token).await, (Some(3), 3));
        assert_eq!(after(9, 3, &token).await, (None, 3));
    }

    #[tokio::test]
    async fn it_ends_when_everything_does() {
        let token = CancellationToken::new();
        token.cancel();
        assert_eq!(after(9, 3, &token).await, (None, 1));
        assert_eq!(after(0, 3, &token).await, (Some(1), 1), "what can be done at once is done");
    }
}
