//! Reading back what was recorded, with ffmpeg's eyes.

use std::process::Command;

use crate::clip::tool;

/// For playlists whose footage lies on several hosts: ffmpeg complains where it has to leave a connection for another.
pub const SEVERAL_HOSTS: [&str; 2] = ["-http_persistent", "0"];

/// Everything that ffmpeg has to say against a file or address while it decodes it all; empty when it is clean.
pub fn decode_warnings(input: &str, input_options: &[&str]) -> String {
    let output = Command::new(tool("ffmpeg"))
        .args(["-hide_banner", "-nostdin", "-v", "warning"])
        .args(input_options)
        .args(["-i", input, "-map", "0", "-f", "null", "-"])
        .output()
        .expect("ffmpeg starts");
    let mut said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        said.push_str("\n(ffmpeg failed)");
    }
    said.trim().to_owned()
}

/// The burnt-in frame numbers of every shown frame.
pub fn counters(input: &str, input_options: &[&str]) -> Vec<u64> {
    let output = Command::new(tool("ffmpeg"))
        .args(["-hide_banner", "-nostdin", "-v", "error"])
        .args(input_options)
        .args(["-i", input, "-map", "0:v:0", "-vsync", "passthrough"])
        .args(["-vf", "crop=512:16:32:40,scale=16:1:flags=area,format=gray", "-f", "rawvideo", "-"])
        .output()
        .expect("ffmpeg starts");
    assert!(output.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&output.stderr));
    let bits = |row: &[u8]| row.iter().fold(0, |number, &grey| number << 1 | u64::from(grey > 127));
    output.stdout.chunks_exact(16).map(bits).collect()
}

/// B-frames between two others in our clips: as many may be missing before a hole, as whoever stops in mid-stream leaves
/// out those that it did not come to send.
const REORDERED: u64 = 3;

/// How far the burnt-in counter of a clip of `clip_frames` goes on at each step.
fn steps(counters: &[u64], clip_frames: u64) -> impl Iterator<Item = u64> {
    counters.windows(2).map(move |pair| (pair[1] + clip_frames - pair[0]) % clip_frames)
}

/// How often the burnt-in counter of a clip jumps by more than the B-frames that a stop leaves out: once for each hole.
#[must_use]
pub fn holes(counters: &[u64], clip_frames: u64) -> usize {
    steps(counters, clip_frames).filter(|step| *step > REORDERED + 1).count()
}

/// How many frames are missing one by one before the first hole: those that a stop left out.
#[must_use]
pub fn missing_before_hole(counters: &[u64], clip_frames: u64) -> u64 {
    steps(counters, clip_frames)
        .take_while(|step| *step <= REORDERED + 1)
        .map(|step| step.saturating_sub(1))
        .sum()
}

/// What ffprobe says of a file.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Seconds, by the container.
    pub duration_s: f64,
    /// Codec name of the video stream.
    pub video_codec: String,
    /// Codec name of the audio stream, or empty.
    pub audio_codec: String,
    /// Seconds of the video stream.
    pub video_duration_s: f64,
    /// Seconds of the audio stream, 0 without one.
    pub audio_duration_s: f64,
    /// The video stream's average frame rate, as ffprobe prints it.
    pub average_frame_rate: String,
    /// B-frame reorder depth.
    pub b_frames: u64,
    /// Number of frames the container promises, 0 where it does not say.
    pub frames: u64,
}

/// Asks ffprobe.
pub fn probe(input: &str) -> Probe {
    let output = Command::new(tool("ffprobe"))
        .args(["-v", "error", "-show_format", "-show_streams", "-of", "json", input])
        .output()
        .expect("ffprobe starts");
    assert!(output.status.success(), "ffprobe {input}: {}", String::from_utf8_lossy(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("ffprobe prints JSON");
    let streams = json["streams"].as_array().cloned().unwrap_or_default();
    let stream = |kind: &str| streams.iter().find(|s| s["codec_type"] == kind).cloned().unwrap_or_default();
    let seconds =
        |value: &serde_json::Value| value.as_str().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    let (video, audio) = (stream("video"), stream("audio"));
    Probe {
        duration_s: seconds(&json["format"]["duration"]),
        video_codec: video["codec_name"].as_str().unwrap_or_default().to_owned(),
        audio_codec: audio["codec_name"].as_str().unwrap_or_default().to_owned(),
        video_duration_s: seconds(&video["duration"]),
        audio_duration_s: seconds(&audio["duration"]),
        average_frame_rate: video["avg_frame_rate"].as_str().unwrap_or_default().to_owned(),
        b_frames: video["has_b_frames"].as_u64().unwrap_or(0),
        frames: video["nb_frames"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0),
    }
}

/// One packet's times, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame {
    /// Presentation.
    pub pts_s: f64,
    /// Decoding.
    pub dts_s: f64,
    /// Whether decoding can start here.
    pub is_key: bool,
}

/// The packets of one stream (`v` or `a`) in file order.
pub fn packets(input: &str, stream: &str, input_options: &[&str]) -> Vec<Frame> {
    let output = Command::new(tool("ffprobe"))
        .args(["-v", "error"])
        .args(input_options)
        .args([
            "-select_streams",
            stream,
            "-show_entries",
            "packet=pts_time,dts_time,flags",
            "-of",
            "csv=p=0",
            input,
        ])
        .output()
        .expect("ffprobe starts");
    assert!(output.status.success(), "ffprobe {input}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .filter_map(|line| {
            let mut words = line.split(',');
            let (pts, dts, flags) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?);
            Some(Frame { pts_s: pts, dts_s: dts, is_key: flags.starts_with('K') })
        })
        .collect()
}

/// Hashes of what the packets of one stream (`v` or `a`) hold, in file order.
pub fn payloads(input: &str, stream: &str) -> Vec<String> {
    let output = Command::new(tool("ffprobe"))
        .args(["-v", "error", "-select_streams", stream, "-show_data_hash", "md5"])
        .args(["-show_entries", "packet=data_hash", "-of", "csv=p=0", input])
        .output()
        .expect("ffprobe starts");
    assert!(output.status.success(), "ffprobe {input}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    // A packet with side data has an empty line and a comma before its hash.
    text.lines()
        .map(|line| line.trim_matches([',', ' ']))
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Whether a sequence is cut out of another one that is repeated without end.
#[must_use]
pub fn is_cut_of(part: &[String], whole: &[String]) -> bool {
    (0..whole.len()).any(|first| part.iter().eq(whole.iter().cycle().skip(first).take(part.len())))
}
