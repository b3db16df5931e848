//! What holds of MP4 whatever is recorded, cut, torn or made up.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

mod cuts;
mod foreign;
mod synthetic;
