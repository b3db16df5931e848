//! What SRS 6 writes, in its order. Where it has something that a node has not, it is 0 or empty.

use super::{ClientFacts, ClientKind, StreamFacts, rates::Rate};
use media::{AudioConfig, VideoCodec, VideoConfig};
use serde::Serialize;
use world::Usage;

/// What stands around every answer.
#[derive(Serialize, Debug)]
pub(crate) struct Envelope {
    code: i32,
    #[serde(flatten)]
    body: Option<Body>,
}

#[derive(Serialize, Debug)]
struct Body {
    server: String,
    service: String,
    pid: String,
    #[serde(flatten)]
    shape: Shape,
}

impl Envelope {
    pub(super) fn new(server: &str, service: &str, shape: Shape) -> Self {
        let (server, service) = (server.to_owned(), service.to_owned());
        Self { code: 0, body: Some(Body { server, service, pid: std::process::id().to_string(), shape }) }
    }

    pub(super) fn error(code: i32) -> Self {
        Self { code, body: None }
    }
}

#[derive(Serialize, Debug)]
#[serde(untagged)]
pub(super) enum Shape {
    Versions { data: Version },
    Summaries { data: Box<Summary> },
    Streams { streams: Vec<Stream> },
    Stream { stream: Box<Stream> },
    Clients { clients: Vec<Client> },
    Client { client: Box<Client> },
    Nothing {},
}

#[derive(Serialize, Debug)]
pub(super) struct Version {
    major: u32,
    minor: u32,
    revision: u32,
    version: &'static str,
}

impl Version {
    /// Ours, not SRS's: who looks at it should know whom it talks to.
    pub(super) fn this() -> Self {
        let number = |text: &str| text.parse().unwrap_or(0);
        Self {
            major: number(env!("CARGO_PKG_VERSION_MAJOR")),
            minor: number(env!("CARGO_PKG_VERSION_MINOR")),
            revision: number(env!("CARGO_PKG_VERSION_PATCH")),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

#[derive(Serialize, Debug)]
pub(super) struct Summary {
    ok: bool,
    now_ms: i64,
    #[serde(rename = "self")]
    own: Own,
    system: System,
}

#[derive(Serialize, Debug)]
struct Own {
    version: &'static str,
    pid: u32,
    ppid: u32,
    argv: &'static str,
    cwd: &'static str,
    mem_kbyte: u64,
    mem_percent: f64,
    cpu_percent: f64,
    srs_uptime: i64,
}

#[derive(Serialize, Debug)]
#[expect(non_snake_case, reason = "SRS's names")]
struct System {
    cpu_percent: f64,
    disk_read_KBps: u64,
    disk_write_KBps: u64,
    disk_busy_percent: f64,
    mem_ram_kbyte: u64,
    mem_ram_percent: f64,
    mem_swap_kbyte: u64,
    mem_swap_percent: f64,
    cpus: u32,
    cpus_online: u32,
    uptime: f64,
    /// SRS's spelling.
    ilde_time: f64,
    load_1m: f64,
    load_5m: f64,
    load_15m: f64,
    net_sample_time: i64,
    net_recv_bytes: u64,
    net_send_bytes: u64,
    net_recvi_bytes: u64,
    net_sendi_bytes: u64,
    srs_sample_time: i64,
    srs_recv_bytes: u64,
    srs_send_bytes: u64,
    conn_sys: u64,
    conn_sys_et: u64,
    conn_sys_tw: u64,
    conn_sys_udp: u64,
    conn_srs: u64,
}

impl Summary {
    /// Neither arguments nor folder are told: either may hold a secret.
    pub(super) fn new(
        now_us: i64,
        uptime_s: i64,
        connections: usize,
        usage: &Usage,
        own_processors: f64,
        all_share: f64,
    ) -> Self {
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { round(part as f64 / whole as f64) };
        let used = |free: u64, whole: u64| share(whole.saturating_sub(free), whole);
        let now_ms = now_us / 1000;
        Self {
            ok: true,
            now_ms,
            own: Own {
                version: env!("CARGO_PKG_VERSION"),
                pid: std::process::id(),
                ppid: usage.parent,
                argv: "turepe",
                cwd: "",
                mem_kbyte: usage.resident_kbyte,
                mem_percent: share(usage.resident_kbyte, usage.memory_kbyte),
                cpu_percent: round(own_processors),
                srs_uptime: uptime_s,
            },
            system: System {
                cpu_percent: round(all_share),
                disk_read_KBps: 0,
                disk_write_KBps: 0,
                disk_busy_percent: 0.0,
                mem_ram_kbyte: usage.memory_kbyte,
                mem_ram_percent: used(usage.memory_free_kbyte, usage.memory_kbyte),
                mem_swap_kbyte: usage.swap_kbyte,
                mem_swap_percent: used(usage.swap_free_kbyte, usage.swap_kbyte),
                cpus: usage.processors,
                cpus_online: usage.processors,
                uptime: usage.uptime_s,
                ilde_time: usage.idle_s,
                load_1m: usage.load[0],
                load_5m: usage.load[1],
                load_15m: usage.load[2],
                net_sample_time: now_ms,
                net_recv_bytes: 0,
                net_send_bytes: 0,
                net_recvi_bytes: 0,
                net_sendi_bytes: 0,
                srs_sample_time: now_ms,
                srs_recv_bytes: 0,
                srs_send_bytes: 0,
                conn_sys: 0,
                conn_sys_et: 0,
                conn_sys_tw: 0,
                conn_sys_udp: 0,
                conn_srs: connections as u64,
            },
        }
    }
}

#[derive(Serialize, Debug)]
struct Kbps {
    recv_30s: u64,
    send_30s: u64,
}

/// The one virtual host there is.
const VHOST: &str = "vid-default";

/// What no publisher has sent.
const TC_URL: &str = "rtmp://localhost/live";

#[derive(Serialize, Debug)]
pub(super) struct Stream {
    id: String,
    name: String,
    vhost: &'static str,
    app: &'static str,
    #[serde(rename = "tcUrl")]
    tc_url: &'static str,
    url: String,
    live_ms: i64,
    clients: usize,
    frames: u64,
    send_bytes: u64,
    recv_bytes: u64,
    kbps: Kbps,
    publish: Publish,
    video: Option<Video>,
    audio: Option<Audio>,
}

#[derive(Serialize, Debug)]
struct Publish {
    active: bool,
    cid: String,
}

#[derive(Serialize, Debug)]
struct Video {
    codec: &'static str,
    profile: &'static str,
    level: String,
    width: u16,
    height: u16,
    /// Frames a second over the last half minute; SRS has none.
    fps: f64,
}

#[derive(Serialize, Debug)]
struct Audio {
    codec: &'static str,
    sample_rate: u32,
    channel: u8,
    profile: &'static str,
}

impl Stream {
    pub(super) fn new(
        stream: &StreamFacts,
        rate: Rate,
        now_us: i64,
        publisher: Option<u64>,
        clients: usize,
        send_bytes: u64,
    ) -> Self {
        let id = stream.channel_id.to_string();
        let config = stream.config.as_deref();
        Self {
            url: format!("/live/{id}"),
            name: id.clone(),
            id,
            vhost: VHOST,
            app: "live",
            tc_url: TC_URL,
            // The server's clock, as SRS has it, and not when it began.
            live_ms: now_us / 1000,
            clients,
            frames: stream.frames,
            send_bytes,
            recv_bytes: stream.bytes,
            kbps: Kbps { recv_30s: rate.received_kbps, send_30s: rate.sent_kbps },
            publish: Publish {
                active: stream.is_live,
                cid: publisher.map(|id| id.to_string()).unwrap_or_default(),
            },
            video: config.and_then(|config| config.video.as_ref()).map(|video| Video::new(video, rate)),
            audio: config.and_then(|config| config.audio.as_ref()).map(Audio::new),
        }
    }
}

impl Video {
    fn new(video: &VideoConfig, rate: Rate) -> Self {
        let byte = |at: usize| video.record.get(at).copied().unwrap_or_default();
        // ISO/IEC 14496-15: §5.3.3.1.2 for `avcC`, §8.3.3.1.2 for `hvcC`.
        let (codec, profile, level) = match video.codec {
            VideoCodec::H264 => ("H264", avc_profile(byte(1), byte(2)), level(u32::from(byte(3)), 10)),
            VideoCodec::Hevc => ("HEVC", hevc_profile(byte(1) & 0x1f), level(u32::from(byte(12)), 30)),
        };
        Self { codec, profile, level, width: video.width, height: video.height, fps: rate.frames_per_s }
    }
}

impl Audio {
    fn new(audio: &AudioConfig) -> Self {
        // `mp4a.40.N`: N is the object type.
        let profile = match audio.codec_string.rsplit('.').next() {
            Some("1") => "Main",
            Some("2") => "LC",
            Some("3") => "SSR",
            Some("5") => "HE",
            Some("29") => "HEv2",
            _ => "Other",
        };
        Self { codec: "AAC", sample_rate: audio.sample_rate, channel: audio.channels, profile }
    }
}

/// `srs_avc_profile2str`; the second byte tells the constrained profile.
fn avc_profile(profile: u8, compatibility: u8) -> &'static str {
    match profile {
        66 if compatibility & 0x40 != 0 => "Baseline(Constrained)",
        66 => "Baseline",
        77 => "Main",
        88 => "Extended",
        100 => "High",
        110 => "High(10)",
        122 => "High(422)",
        244 => "High(444)",
        _ => "Other",
    }
}

/// `srs_hevc_profile2str`
fn hevc_profile(profile: u8) -> &'static str {
    match profile {
        1 => "Main",
        2 => "Main10",
        3 => "Main Still Picture",
        4 => "Rext",
        _ => "Other",
    }
}

/// `4`, `4.1`: a level is written without a fraction of zero.
fn level(level: u32, unit: u32) -> String {
    let tenths = level * 10 / unit;
    match (tenths / 10, tenths % 10) {
        (whole, 0) => whole.to_string(),
        (whole, tenth) => format!("{whole}.{tenth}"),
    }
}

#[derive(Serialize, Debug)]
pub(super) struct Client {
    id: String,
    vhost: &'static str,
    stream: String,
    ip: String,
    #[serde(rename = "pageUrl")]
    page_url: &'static str,
    #[serde(rename = "swfUrl")]
    swf_url: &'static str,
    #[serde(rename = "tcUrl")]
    tc_url: &'static str,
    url: String,
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    publish: bool,
    alive: f64,
    send_bytes: u64,
    recv_bytes: u64,
    kbps: Kbps,
}

impl Client {
    pub(super) fn new(client: &ClientFacts, rate: Rate, now_us: i64) -> Self {
        let channel = client.channel_id.to_string();
        Self {
            id: client.id.to_string(),
            vhost: VHOST,
            stream: channel.clone(),
            ip: client.peer.ip().to_canonical().to_string(),
            page_url: "",
            swf_url: "",
            tc_url: TC_URL,
            url: format!("/live/{channel}"),
            name: channel,
            kind: match client.kind {
                ClientKind::Publisher => "fmle-publish",
                ClientKind::RtmpPlayer => "rtmp-play",
                ClientKind::FlvPlayer => "flv-play",
            },
            publish: client.kind == ClientKind::Publisher,
            alive: round(now_us.saturating_sub(client.since_us).max(0) as f64 / 1e6),
            send_bytes: client.sent_bytes,
            recv_bytes: client.received_bytes,
            kbps: Kbps { recv_30s: rate.received_kbps, send_30s: rate.sent_kbps },
        }
    }
}

/// Thousandths are enough.
fn round(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::{avc_profile, level};

    #[test]
    fn levels_and_profiles_are_written_as_srs_writes_them() {
        for (avc, written) in [(40, "4"), (41, "4.1"), (9, "0.9"), (52, "5.2"), (30, "3")] {
            assert_eq!(level(avc, 10), written);
        }
        for (hevc, written) in [(120, "4"), (123, "4.1"), (93, "3.1"), (153, "5.1")] {
            assert_eq!(level(hevc, 30), written);
        }
        assert_eq!(avc_profile(66, 0xc0), "Baseline(Constrained)");
        assert_eq!(avc_profile(100, 0), "High");
    }
}
