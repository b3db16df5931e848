//! FFmpeg started by the test itself.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use turepe_media::VideoCodec;
use turepe_media::flv::{AudioTag, FlvReader, FlvTagKind, VideoTag, parse_audio, parse_video};
use turepe_media::rtmp::RtmpUrl;
use turepe_media::rtmp::client::{ClientConfig, ClientEvent, ClientSession};

use crate::driver::{Published, serve};

const SOURCE: [&str; 8] = [
    "-f",
    "lavfi",
    "-i",
    "testsrc2=size=320x180:rate=25:duration=2",
    "-f",
    "lavfi",
    "-i",
    "sine=sample_rate=48000:duration=2",
];

fn ffmpeg(arguments: &[&str]) -> Child {
    Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "warning", "-nostdin", "-y"])
        .args(arguments)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("FFmpeg is installed")
}

fn output(child: Child) -> (bool, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn publish(listener: &TcpListener, options: &[&str], refusal: Option<&str>) -> (Published, bool, String) {
    let url = format!("rtmp://{}/live/key?user=1", listener.local_addr().unwrap());
    let codecs = ["-c:v", "libx264", "-bf", "2", "-g", "25", "-c:a", "aac", "-f", "flv"];
    let child = ffmpeg(&[&SOURCE[..], &codecs, options, &[&url]].concat());
    let (socket, _) = listener.accept().unwrap();
    let published = serve(socket, refusal);
    let (is_success, text) = output(child);
    (published, is_success, text)
}

#[test]
fn ffmpeg_publishes_to_us() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (published, is_success, text) = publish(&listener, &[], None);
    assert!(is_success, "{text}");
    assert_eq!((published.app.as_str(), published.key.as_str()), ("live", "key?user=1"));
    assert_eq!(published.frame_rate, Some(25.0));
    assert!(matches!(published.video_header(), VideoTag::SequenceHeader { codec: VideoCodec::H264, .. }));
    assert_eq!(published.frames(), 50);
    let keys = published.video.iter().filter(|(_, tag)| matches!(tag, VideoTag::Frame { is_key: true, .. }));
    assert_eq!(keys.map(|(time, _)| *time).collect::<Vec<_>>(), [0, 1000]);
    let times: Vec<u32> = published.video.iter().map(|(time, _)| *time).collect();
    assert!(times.is_sorted(), "{times:?}");
    // The shortest step may be rounded, the last frame stands 49 frames after the first.
    assert_eq!(times.last(), Some(&1960));
    assert!((90..100).contains(&published.audio_frames()), "{}", published.audio_frames());
    assert!(published.has_ended);
}

#[test]
fn ffmpeg_shows_why_it_was_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (published, is_success, text) = publish(&listener, &[], Some("This stream key is not known."));
    assert!(!is_success);
    assert!(text.contains("This stream key is not known."), "{text}");
    assert_eq!(published.frames(), 0);
}

#[test]
fn ffmpeg_receives_what_we_publish() {
    let folder = std::env::temp_dir().join(format!("turepe-rtmp-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (source, copy) = (folder.join("source.flv"), folder.join("copy.flv"));
    let (source, copy) = (source.to_str().unwrap(), copy.to_str().unwrap());
    let made =
        ffmpeg(&[&SOURCE[..], &["-c:v", "libx264", "-bf", "2", "-g", "25", "-c:a", "aac", source]].concat());
    assert!(output(made).0);

    // The port may be taken between the two lines; FFmpeg cannot be handed a socket.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("rtmp://127.0.0.1:{port}/live/key");
    let receiver = ffmpeg(&["-listen", "1", "-f", "flv", "-i", &url, "-c", "copy", copy]);
    let tags = file_tags(source);
    send(port, &url, &tags);
    let (is_success, text) = output(receiver);
    assert!(is_success, "{text}");

    let bodies = |tags: &[(u32, Tag)]| tags.iter().map(|(_, tag)| tag.clone()).collect::<Vec<_>>();
    let (sent, received) = (bodies(&tags), bodies(&file_tags(copy)));
    let is_frame = |tag: &&Tag| matches!(tag, Ok(VideoTag::Frame { .. }) | Err(AudioTag::Frame { .. }));
    let frames = |tags: &[Tag]| tags.iter().filter(is_frame).cloned().collect::<Vec<_>>();
    assert!(frames(&sent) == frames(&received), "every frame arrives unchanged and in order");
    std::fs::remove_dir_all(folder).unwrap();
}

/// Video is `Ok`.
type Tag = Result<VideoTag, AudioTag>;

fn file_tags(path: &str) -> Vec<(u32, Tag)> {
    let mut reader = FlvReader::new();
    reader.push(&std::fs::read(path).unwrap());
    let mut tags = Vec::new();
    while let Some(tag) = reader.next_tag().unwrap() {
        match tag.kind {
            FlvTagKind::Video => tags.push((tag.timestamp_ms, Ok(parse_video(tag.body).unwrap()))),
            FlvTagKind::Audio => tags.push((tag.timestamp_ms, Err(parse_audio(tag.body).unwrap()))),
            _ => {}
        }
    }
    tags
}

fn send(port: u16, url: &str, tags: &[(u32, Tag)]) {
    let mut socket = connect(port);
    let mut session = ClientSession::new(ClientConfig::new(&RtmpUrl::parse(url).unwrap()), 0);
    session.handle_input(&[], 0).unwrap();
    let mut buffer = [0; 4096];
    while !session.is_ready() {
        flush(&mut session, &mut socket);
        let size = socket.read(&mut buffer).unwrap();
        assert!(size > 0, "closed by FFmpeg");
        session.handle_input(&buffer[..size], 0).unwrap();
    }
    assert_eq!(session.poll_event(), Some(ClientEvent::Ready));
    session.send_metadata(&metadata()).unwrap();
    for (timestamp_ms, tag) in tags {
        match tag {
            Ok(video) => session.send_video_tag(*timestamp_ms, VideoCodec::H264, video).unwrap(),
            Err(audio) => session.send_audio_tag(*timestamp_ms, audio).unwrap(),
        }
        flush(&mut session, &mut socket);
    }
    session.unpublish();
    flush(&mut session, &mut socket);
    socket.shutdown(std::net::Shutdown::Write).unwrap();
}

fn metadata() -> Bytes {
    use turepe_media::amf0::Value;
    let mut body = BytesMut::new();
    Value::string("onMetaData").encode(&mut body);
    Value::EcmaArray(vec![("framerate".into(), Value::Number(25.0))]).encode(&mut body);
    body.freeze()
}

fn flush(session: &mut ClientSession, socket: &mut TcpStream) {
    while let Some(piece) = session.poll_transmit() {
        socket.write_all(&piece).unwrap();
    }
}

/// FFmpeg tells nobody when it listens: try until it does.
fn connect(port: u16) -> TcpStream {
    let start = Instant::now();
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(socket) => return socket,
            Err(error) if start.elapsed() > Duration::from_secs(20) => panic!("{error}"),
            Err(_) => std::thread::yield_now(),
        }
    }
}
