//! One ffmpeg for one keyframe: foreign bytes are decoded in a process of their own that is bounded in every way. It has pipes, and
//! neither files nor sockets ([`Sandbox`]).

use crate::limits::{FFMPEG_TIMEOUT, FRAME_WIDTH, MAX_FFMPEG_COMPLAINT_BYTES, MAX_FRAME_BYTES};
use bytes::Bytes;
use live::sandbox::Sandbox;
use std::{io, process::Stdio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub(super) enum FfmpegError {
    /// It could not be started, or its pipes failed.
    #[error("ffmpeg cannot be run: {0}")]
    Run(#[from] io::Error),
    /// It ran for too long and was killed.
    #[error("ffmpeg took longer than {} s", FFMPEG_TIMEOUT.as_secs())]
    TooSlow,
    /// It gave more than a picture can have.
    #[error("ffmpeg gave more than {MAX_FRAME_BYTES} bytes")]
    TooLarge,
    /// It could not decode, and says why.
    #[error("ffmpeg failed: {0}")]
    Failed(String),
}

/// A JPEG of a frame of these bytes, [`FRAME_WIDTH`] wide: the first, or the one after `skip_us` where they build up.
pub(super) async fn jpeg(sandbox: &Sandbox, media: [Bytes; 2], skip_us: i64) -> Result<Bytes, FfmpegError> {
    match tokio::time::timeout(FFMPEG_TIMEOUT, run(sandbox, media, skip_us)).await {
        Ok(result) => result,
        // The process was dropped with its future, and is killed with it.
        Err(_) => Err(FfmpegError::TooSlow),
    }
}

async fn run(sandbox: &Sandbox, media: [Bytes; 2], skip_us: i64) -> Result<Bytes, FfmpegError> {
    let scale = format!("scale={FRAME_WIDTH}:-2");
    let mut command = sandbox.command();
    command.args(["-hide_banner", "-loglevel", "error", "-threads", "1"]);
    // Decode times count from the epoch, the filter from the first frame. What builds up is never called whole by a decoder
    // that was told nothing.
    let mut filter = scale;
    if skip_us > 0 {
        command.args(["-flags", "output_corrupt"]);
        filter = format!("setpts=PTS-STARTPTS,trim=start={skip_us}us,{filter}");
    }
    command
        // One demuxer, one protocol, and pictures of a size that cameras have: whatever the bytes say, nothing else is
        // opened and no memory for it is taken.
        .args(["-max_pixels", "67108864", "-protocol_whitelist", "pipe", "-f", "mov", "-i", "pipe:0"])
        .args(["-an", "-frames:v", "1", "-vf", &filter, "-c:v", "mjpeg", "-q:v", "5", "-threads", "1"])
        .args(["-f", "image2pipe", "pipe:1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut confined = sandbox.spawn(command).await?;
    let child = &mut confined.child;
    let (Some(mut stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(io::Error::other("no pipes").into());
    };
    let feed = async move {
        for part in media {
            // It closes its end as soon as it has one frame; that is no failure.
            if stdin.write_all(&part).await.is_err() {
                break;
            }
        }
        drop(stdin);
        Ok::<_, FfmpegError>(())
    };
    let take = async {
        let mut picture = Vec::new();
        let mut stdout = stdout.take(MAX_FRAME_BYTES as u64 + 1);
        stdout.read_to_end(&mut picture).await?;
        if picture.len() > MAX_FRAME_BYTES { Err(FfmpegError::TooLarge) } else { Ok(picture) }
    };
    let hear = async {
        let mut complaint = Vec::new();
        let mut stderr = stderr.take(MAX_FFMPEG_COMPLAINT_BYTES);
        stderr.read_to_end(&mut complaint).await?;
        // The rest is let go, but read: a full or closed pipe would stop it in its work.
        tokio::io::copy(&mut stderr.into_inner(), &mut tokio::io::sink()).await?;
        Ok::<_, FfmpegError>(complaint)
    };
    // The first error ends all of it, and the process with it.
    let ((), picture, complaint) = tokio::try_join!(feed, take, hear)?;
    let status = child.wait().await?;
    // JPEG begins with SOI (ITU-T T.81 §B.1.1.3).
    if !status.success() || !picture.starts_with(&[0xff, 0xd8]) {
        let complaint = String::from_utf8_lossy(&complaint);
        return Err(FfmpegError::Failed(
            complaint.lines().next().unwrap_or("no picture came out").to_owned(),
        ));
    }
    Ok(picture.into())
}

#[cfg(test)]
mod tests {
    use super::{FfmpegError, jpeg};
    use bytes::Bytes;
    use live::sandbox::{Needs, Sandbox};
    use std::path::Path;

    #[tokio::test]
    async fn rubbish_is_an_error() {
        let sandbox = Sandbox::probe(Path::new("ffmpeg"), &Needs::default()).await.unwrap();
        let rubbish = Bytes::from(vec![0x55; 100_000]);
        let result = jpeg(&sandbox, [rubbish.clone(), rubbish], 0).await;
        assert!(matches!(result, Err(FfmpegError::Failed(_))), "{result:?}");
    }

    #[tokio::test]
    async fn endless_output_is_cut_off() {
        // `yes` takes no such arguments as ours on some systems: a shell loop stands in for a decoder gone wild.
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("wild");
        {
            use std::os::unix::fs::PermissionsExt;
            let script = "#!/bin/sh\ncase \"$2\" in -version) exit;; esac\nexec yes\n";
            #[expect(clippy::disallowed_methods, reason = "a test works on real files")]
            std::fs::write(&program, script).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let sandbox = Sandbox::probe(&program, &Needs::default()).await.unwrap();
        let result = jpeg(&sandbox, [Bytes::new(), Bytes::new()], 0).await;
        assert!(matches!(result, Err(FfmpegError::TooLarge)), "{result:?}");
    }
}
