//! ffmpeg and ffprobe: sources are made and results are judged by them.

use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempPath;

/// A clip that ffmpeg makes once for all tests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Clip {
    /// H.264 High with B-frames, 25 frames a second, GOP 2 s, AAC stereo at 48 kHz; 12 s.
    H264,
    /// H.264 with B-frames at 30000/1001, AAC mono at 44.1 kHz; 9 s.
    Ntsc,
    /// HEVC with B-frames and open GOPs, 25 frames a second, AAC stereo at 48 kHz; 8 s.
    Hevc,
    /// Another H.264 encoder setting: 160×120 anamorphic, no B-frames, AAC mono at 44.1 kHz; 6 s.
    Small,
    /// Only pictures, as [`Clip::H264`] has them but without sound; 4 s.
    Silent,
}

const ALL: [Clip; 5] = [Clip::H264, Clip::Ntsc, Clip::Hevc, Clip::Small, Clip::Silent];

/// Path of a clip.
pub(crate) fn clip(clip: Clip) -> PathBuf {
    static MADE: [OnceLock<PathBuf>; ALL.len()] = [const { OnceLock::new() }; ALL.len()];
    let position = ALL.iter().position(|known| *known == clip).unwrap();
    MADE[position].get_or_init(|| make(clip)).clone()
}

fn make(clip: Clip) -> PathBuf {
    let (picture, sound, options) = match clip {
        Clip::H264 => (
            "testsrc2=size=320x180:rate=25:duration=12",
            Some("sine=frequency=440:sample_rate=48000:duration=12"),
            "-c:v libx264 -preset veryfast -bf 3 -g 50 -keyint_min 50 -sc_threshold 0 -profile:v high -c:a aac -ac 2",
        ),
        Clip::Ntsc => (
            "testsrc2=size=320x240:rate=30000/1001:duration=9",
            Some("sine=frequency=660:sample_rate=44100:duration=9"),
            "-c:v libx264 -preset veryfast -bf 2 -g 60 -keyint_min 60 -sc_threshold 0 -c:a aac -ac 1",
        ),
        Clip::Hevc => (
            "testsrc2=size=320x180:rate=25:duration=8",
            Some("sine=frequency=440:sample_rate=48000:duration=8"),
            "-c:v libx265 -preset ultrafast -tag:v hvc1 -x265-params \
             log-level=error:bframes=3:keyint=40:min-keyint=40:scenecut=0:open-gop=1 -c:a aac -ac 2",
        ),
        Clip::Small => (
            "testsrc2=size=160x120:rate=25:duration=6",
            Some("sine=frequency=880:sample_rate=44100:duration=6"),
            "-c:v libx264 -preset ultrafast -g 25 -vf setsar=16/15 -c:a aac -ac 1",
        ),
        Clip::Silent => (
            "testsrc2=size=320x180:rate=25:duration=4",
            None,
            "-c:v libx264 -preset veryfast -bf 3 -g 50 -keyint_min 50 -sc_threshold 0 -profile:v high",
        ),
    };
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-y", "-f", "lavfi", "-i", picture]);
    if let Some(sound) = sound {
        command.args(["-f", "lavfi", "-i", sound]);
    }
    command.args(["-pix_fmt", "yuv420p"]).args(options.split_whitespace());
    // Made once for a set of options, whoever runs; complete as soon as it has its name.
    let mut hasher = std::hash::DefaultHasher::new();
    format!("{command:?}").hash(&mut hasher);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("mp4-peers-{clip:?}-{:016x}.mp4", hasher.finish()));
    if !path.exists() {
        let unfinished = tempfile::Builder::new().suffix(".mp4").tempfile_in(folder).unwrap();
        run(command.arg(unfinished.path()));
        unfinished.persist(&path).unwrap();
    }
    path
}

/// Writes bytes to a file that is gone with the test.
pub(crate) fn file(name: &str, bytes: &[u8]) -> TempPath {
    let file = tempfile::Builder::new().prefix(name).suffix(".mp4").tempfile().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file.into_temp_path()
}

fn run(command: &mut Command) -> (String, String) {
    let output = command.output().expect("ffmpeg is installed");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{command:?} failed: {err}");
    (out, err)
}

/// Decodes everything; a warning is a failure.
pub(crate) fn assert_silent(path: &Path) {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "warning", "-xerror", "-i"]).arg(path).args(["-map", "0", "-f", "null", "-"]);
    let (_, err) = run(&mut command);
    assert_eq!(err, "", "{}", path.display());
}

/// A decoded picture: when it is shown, in ticks of 1/90 000 s, and what it shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Picture {
    pub(crate) time_90k: i64,
    pub(crate) md5: String,
}

/// All pictures that a player shows; a warning while decoding them or the sound is a failure.
pub(crate) fn pictures(path: &Path) -> Vec<Picture> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "warning", "-xerror", "-i"]).arg(path);
    command.args([
        "-map",
        "0:v",
        "-fps_mode",
        "passthrough",
        "-enc_time_base",
        "1/90000",
        "-f",
        "framemd5",
        "-",
    ]);
    command.args(["-map", "0:a", "-f", "null", "-"]);
    let (out, err) = run(&mut command);
    assert_eq!(err, "", "{}", path.display());
    let lines = out.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            Picture { time_90k: fields[2].parse().unwrap(), md5: fields[5].to_owned() }
        })
        .collect()
}

/// A packet as the demuxer of ffmpeg hands it out, times in ticks of its stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Packet {
    pub(crate) pts: i64,
    pub(crate) dts: i64,
    pub(crate) duration: i64,
    pub(crate) is_key: bool,
    pub(crate) is_discarded: bool,
}

/// The packets of the `v`ideo or `a`udio stream.
pub(crate) fn packets(path: &Path, stream: &str) -> Vec<Packet> {
    let mut command = Command::new("ffprobe");
    command.args([
        "-v",
        "error",
        "-select_streams",
        stream,
        "-show_entries",
        "packet=pts,dts,duration,flags",
    ]);
    command.args(["-of", "csv=p=0"]).arg(path);
    let (out, _) = run(&mut command);
    let lines = out.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            Packet {
                pts: fields[0].parse().unwrap(),
                dts: fields[1].parse().unwrap(),
                duration: fields[2].parse().unwrap(),
                is_key: fields[3].starts_with('K'),
                is_discarded: fields[3].contains('D'),
            }
        })
        .collect()
}

/// A field of the format or of the first stream that `select` names.
pub(crate) fn probe(path: &Path, select: &str, entry: &str) -> String {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error"]);
    if !select.is_empty() {
        command.args(["-select_streams", select]);
    }
    command.args(["-show_entries", entry, "-of", "csv=p=0"]).arg(path);
    run(&mut command).0.trim().to_owned()
}

/// Seconds that the whole file lasts.
pub(crate) fn duration(path: &Path) -> f64 {
    probe(path, "", "format=duration").parse().unwrap()
}

/// Decode times must strictly increase.
pub(crate) fn assert_increasing(packets: &[Packet]) {
    for pair in packets.windows(2) {
        assert!(pair[0].dts < pair[1].dts, "{:?} then {:?}", pair[0], pair[1]);
    }
}
