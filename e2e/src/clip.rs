//! Clips with a burnt-in frame counter, made once and shared by all tests of a run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The kinds of material that cameras send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clip {
    /// The demo clip: H.264 High with B-frames, 25 frames a second, AAC.
    H264,
    /// H.264 with B-frames at 30000/1001 frames a second.
    H264Ntsc,
    /// HEVC with B-frames, 25 frames a second, AAC.
    Hevc,
    /// As [`Clip::H264`] and as heavy as a 4K camera, 30 Mbit/s: segments of a few seconds have parts.
    Heavy,
    /// As [`Clip::H264`] with open groups of pictures: an IDR picture at the start, then recovery points every 2 s.
    OpenGop,
    /// As [`Clip::H264`] with gradual refresh: an IDR picture at the start, then pictures that build up every 2 s.
    Refresh,
}

impl Clip {
    /// Frames a second, as a fraction.
    #[must_use]
    pub fn rate(self) -> (u64, u64) {
        match self {
            Self::H264 | Self::Hevc | Self::Heavy | Self::OpenGop | Self::Refresh => (25, 1),
            Self::H264Ntsc => (30_000, 1001),
        }
    }

    /// Frames before the counter starts again at 0.
    #[must_use]
    pub fn frames(self) -> u64 {
        match self {
            Self::H264 | Self::Hevc | Self::Heavy | Self::OpenGop | Self::Refresh => 600,
            Self::H264Ntsc => 720,
        }
    }
}

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder above").to_path_buf()
}

/// The file of a clip, made with ffmpeg at the first call.
pub fn clip(kind: Clip) -> PathBuf {
    static MAKING: Mutex<()> = Mutex::new(());
    if kind == Clip::H264 {
        return root().join("crates/turepe/assets/demo.mp4");
    }
    let guard = MAKING.lock();
    let (name, rate, options): (_, _, &[&str]) = match kind {
        Clip::H264Ntsc => (
            "ntsc",
            "30000/1001",
            &[
                "-c:v",
                "libx264",
                "-preset",
                "veryfast",
                "-bf",
                "3",
                "-g",
                "60",
                "-keyint_min",
                "60",
                "-sc_threshold",
                "0",
            ],
        ),
        Clip::Heavy => (
            "heavy",
            "25",
            &[
                "-c:v",
                "libx264",
                "-preset",
                "ultrafast",
                "-bf",
                "2",
                "-g",
                "50",
                "-keyint_min",
                "50",
                "-sc_threshold",
                "0",
                "-b:v",
                "30M",
                "-minrate",
                "30M",
                "-maxrate",
                "30M",
                "-bufsize",
                "30M",
                // The weight is filler: it costs nothing to encode or decode.
                "-x264-params",
                "nal-hrd=cbr:filler=1:open-gop=0",
            ],
        ),
        Clip::OpenGop => (
            "open-gop",
            "25",
            &[
                "-c:v",
                "libx264",
                "-preset",
                "veryfast",
                "-x264-params",
                "keyint=50:min-keyint=50:scenecut=0:bframes=2:b-adapt=0:open-gop=1",
            ],
        ),
        Clip::Refresh => (
            "refresh",
            "25",
            &[
                "-c:v",
                "libx264",
                "-preset",
                "veryfast",
                "-x264-params",
                "keyint=50:scenecut=0:bframes=0:intra-refresh=1",
            ],
        ),
        _ => (
            "hevc",
            "25",
            &[
                "-c:v",
                "libx265",
                "-preset",
                "ultrafast",
                "-tag:v",
                "hvc1",
                "-x265-params",
                "keyint=50:min-keyint=50:scenecut=0:bframes=3:open-gop=0:log-level=error",
            ],
        ),
    };
    let folder = root().join(".tools/clips");
    std::fs::create_dir_all(&folder).expect("a folder for clips");
    let file = folder.join(format!("{name}-2.mp4"));
    if !file.exists() {
        let unfinished = folder.join(format!("{name}.{}.part.mp4", std::process::id()));
        let status = Command::new(root().join("xtask/assets/clip.sh"))
            .arg(&unfinished)
            .args(options)
            .env("RATE", rate)
            .status()
            .expect("the clip script starts");
        assert!(status.success(), "the clip script failed");
        #[expect(clippy::disallowed_methods, reason = "a test works on real files")]
        std::fs::rename(&unfinished, &file).expect("the clip gets its name");
    }
    drop(guard);
    file
}

/// A tool that `cargo xtask setup` installed: `ffmpeg`, `ffprobe`, `ffmpeg-modern` (Enhanced RTMP), `chromium`.
///
/// # Panics
///
/// When it is missing: a test never passes without what it tests against.
pub fn tool(name: &str) -> PathBuf {
    let own = root().join(".tools").join(name);
    let found = std::iter::once(own)
        .chain(
            std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
                .map(|folder| folder.join(name)),
        )
        .find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing: run `cargo xtask setup`"))
}
