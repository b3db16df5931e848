//! Material like a real court camera's.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

/// 1080p25 H.264 with B-frames at about 4 Mbit/s and AAC, 24 s; made once into `folder`.
///
/// # Errors
///
/// When ffmpeg is missing or fails.
pub fn match_clip(folder: &Path) -> Result<PathBuf> {
    let file = folder.join("turepe-bench-1080p25-4M.mp4");
    if file.exists() {
        return Ok(file);
    }
    eprintln!("making {} …", file.display());
    let part = folder.join(format!("turepe-bench.{}.part.mp4", std::process::id()));
    let status = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostdin", "-loglevel", "error", "-y"])
        .args(["-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=25,noise=alls=12:allf=t"])
        .args(["-f", "lavfi", "-i", "sine=frequency=330:sample_rate=48000", "-t", "24"])
        .args([
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
            "-profile:v",
            "high",
            "-pix_fmt",
            "yuv420p",
            "-bf",
            "2",
        ])
        .args([
            "-g",
            "50",
            "-keyint_min",
            "50",
            "-sc_threshold",
            "0",
            "-b:v",
            "4M",
            "-minrate",
            "4M",
            "-maxrate",
            "4M",
        ])
        .args(["-bufsize", "2M", "-x264-params", "nal-hrd=cbr", "-c:a", "aac", "-b:a", "128k"])
        .arg(&part)
        .status()?;
    ensure!(status.success(), "ffmpeg failed");
    #[expect(clippy::disallowed_methods, reason = "a measurement works on the real machine")]
    std::fs::rename(&part, &file)?;
    Ok(file)
}
