//! The directory against real databases, and against a stand-in for Supabase over a real one.
//!
//! One suite, every kind: `telling`, `keys` and `checks` run on each; `supabase` is what only PostgREST has.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod checks;
mod keys;
mod supabase;
#[path = "../support/mod.rs"]
mod support;
mod telling;

/// One test for each kind of directory.
macro_rules! on_each_kind {
    ($($scenario:ident),* $(,)?) => {
        mod on_supabase {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $scenario() { super::$scenario(&mut crate::support::Outside::supabase().await).await; })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $scenario() { super::$scenario(&mut crate::support::Outside::postgres().await).await; })*
        }
        mod on_mysql {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $scenario() { super::$scenario(&mut crate::support::Outside::mysql().await).await; })*
        }
    };
}
pub(crate) use on_each_kind;
