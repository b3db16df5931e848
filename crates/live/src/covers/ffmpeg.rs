//! One ffmpeg for many keyframes: foreign bytes are decoded in a process that is bounded in every way.
//!
//! Inputs and outputs are files of a folder of ours, which is also the working folder: a name holds nothing that ffmpeg could
//! read as a protocol or a pattern.

use std::{io, path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
};

use super::limits::{COVER_WIDTH, MAX_COMPLAINT_BYTES, MAX_PIXELS, MAX_REASON_CHARS};
use crate::sandbox::Sandbox;

/// Why a run did not end well. Pictures may have come out all the same.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    /// It could not be started, or its pipe failed.
    #[error("ffmpeg cannot be run: {0}")]
    Start(#[from] io::Error),
    /// One of those that should have become ffmpeg did not find it (POSIX.1-2017, `env`, exit status).
    #[error("ffmpeg cannot be run any more")]
    Gone,
    /// It ran for too long and was killed.
    #[error("ffmpeg took longer than {} ms", .0.as_millis())]
    TooSlow(Duration),
    /// It failed, and says why.
    #[error("{0}")]
    Failed(String),
}

/// The input and output files of one keyframe.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) input: String,
    pub(super) output: String,
    /// Which picture is wanted, where it is not the first: in milliseconds from that one.
    pub(super) skip_ms: Option<u64>,
}

/// Makes a JPEG of each input that can be decoded, [`COVER_WIDTH`] wide.
pub(super) async fn pictures(
    sandbox: &Sandbox,
    folder: &Path,
    names: &[Names],
    limit: Duration,
) -> Result<(), RunError> {
    let mut command = sandbox.command();
    command.current_dir(folder).args(arguments(names)).stderr(Stdio::piped());
    // The process is dropped with its future, and killed with it.
    tokio::time::timeout(limit, run(sandbox, command)).await.unwrap_or(Err(RunError::TooSlow(limit)))
}

fn arguments(names: &[Names]) -> Vec<String> {
    let (pixels, scale) = (MAX_PIXELS.to_string(), format!("scale={COVER_WIDTH}:-2:flags=area"));
    let mut arguments: Vec<String> = Vec::with_capacity(48 * names.len());
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
    add(&["-hide_banner", "-nostdin", "-loglevel", "error"]);
    for names in names {
        // One demuxer, one protocol, and pictures of a size that cameras have: whatever the bytes say, nothing else is opened
        // and no memory for it is taken.
        add(&["-protocol_whitelist", "file", "-max_pixels", &pixels, "-threads", "1"]);
        // The configuration stands in the header: looking for more would decode the picture twice. What the loop filter
        // smooths cannot be seen at this size.
        if let Some(skip_ms) = names.skip_ms {
            // What builds up is never called whole by a decoder that was told nothing.
            add(&["-flags", "output_corrupt", "-ss", &format!("{skip_ms}ms")]);
        }
        add(&["-nofind_stream_info", "-skip_loop_filter", "all", "-f", "mov", "-i", &names.input]);
    }
    for (number, names) in names.iter().enumerate() {
        let map = format!("{number}:v:0");
        add(&["-map", &map, "-frames:v", "1", "-filter_threads", "1", "-vf", &scale]);
        add(&["-c:v", "mjpeg", "-q:v", "5", "-threads", "1", "-f", "image2", "-update", "1", &names.output]);
    }
    arguments
}

async fn run(sandbox: &Sandbox, command: Command) -> Result<(), RunError> {
    let mut confined = sandbox.spawn(command).await?;
    let child = &mut confined.child;
    let stderr = child.stderr.take().ok_or_else(|| io::Error::other("no pipe"))?;
    let complaint = hear(stderr).await?;
    let status = child.wait().await?;
    if status.success() {
        // It may still have said why a picture is missing.
        return if complaint.is_empty() { Ok(()) } else { Err(RunError::Failed(complaint)) };
    }
    // What `nice` and the others say when there is no such program.
    if matches!(status.code(), Some(126 | 127)) {
        return Err(RunError::Gone);
    }
    Err(RunError::Failed(if complaint.is_empty() { format!("ffmpeg failed: {status}") } else { complaint }))
}

/// The first line, without anything that a terminal would obey.
async fn hear(stderr: impl AsyncRead + Unpin) -> io::Result<String> {
    let mut bytes = Vec::new();
    let mut start = stderr.take(MAX_COMPLAINT_BYTES);
    start.read_to_end(&mut bytes).await?;
    // The rest is let go, but read: a full or closed pipe would stop it in its work.
    tokio::io::copy(&mut start.into_inner(), &mut tokio::io::sink()).await?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Ok(line.chars().filter(|letter| !letter.is_control()).take(MAX_REASON_CHARS).collect())
}

/// Whether these bytes are a whole JPEG (ITU-T T.81 §B.1.1.3): a process that was killed leaves one without its end.
pub(super) fn is_whole_jpeg(bytes: &[u8]) -> bool {
    bytes.len() > 4 && bytes.starts_with(&[0xff, 0xd8, 0xff]) && bytes.ends_with(&[0xff, 0xd9])
}

#[cfg(test)]
mod tests {
    use super::{hear, is_whole_jpeg};
    use crate::covers::limits::MAX_REASON_CHARS;

    #[test]
    fn half_a_picture_is_none() {
        let whole = crate::covers::SLATE;
        assert!(is_whole_jpeg(whole));
        for part in [&whole[..whole.len() - 1], &whole[1..], &[], &[0xff, 0xd8, 0xff, 0xd9], b"<svg/>"] {
            assert!(!is_whole_jpeg(part));
        }
    }

    #[tokio::test]
    async fn complaints_are_short_and_plain() {
        let long = vec![b'x'; 1 << 20];
        for (said, heard) in [
            (&b""[..], ""),
            (b"\n\n[h264 @ 0x55] \x1b[31mno frame\x07\nmore\n", "[h264 @ 0x55] [31mno frame"),
            (&[0xff, b'a'], "\u{fffd}a"),
            (&long, &"x".repeat(MAX_REASON_CHARS)),
        ] {
            assert_eq!(hear(said).await.unwrap(), heard);
        }
    }
}
