//! Measurements of whole processes, beside a peer in the same run: machines are noisy, only ratios are to be trusted.
//!
//! - **In**: a built `turepe`, nginx-rtmp or ffmpeg from Debian, made material.
//! - **Out**: a table with medians and ratios.
//! - **Never**: a verdict. What is reached stands in the closing notes and in `docs/performance.md`.

mod http;
mod material;
mod process;

pub use http::{Answer, Drained, HttpClient};
pub use material::match_clip;
pub use process::{Usage, Watched, kernel_cpu_s, median, own_cpu_s, percentile, wait_for_port};

/// The release binary beside this one, unless `TUREPE_BIN` names another.
///
/// # Errors
///
/// When it was not built.
pub fn turepe() -> anyhow::Result<std::path::PathBuf> {
    let path = match std::env::var_os("TUREPE_BIN") {
        Some(path) => path.into(),
        None => std::env::current_exe()?.with_file_name("turepe"),
    };
    anyhow::ensure!(path.exists(), "{} is missing: cargo build --release --package turepe", path.display());
    Ok(path)
}
