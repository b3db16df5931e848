//! A whole client session against a foreign server.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use media::rtmp::RtmpUrl;
use media::rtmp::client::{ClientConfig, ClientSession};

fuzz_target!(|bytes: &[u8]| {
    let Ok(url) = RtmpUrl::parse("rtmp://h/live/key") else { return };
    let mut session = ClientSession::new(ClientConfig::new(&url), 0);
    let mut result = session.handle_input(&[3], 0).and_then(|()| session.handle_input(&[0; 3072], 0));
    for piece in bytes.chunks(97) {
        result = result.and_then(|()| session.handle_input(piece, 0));
        while session.poll_event().is_some() {}
        if session.is_ready() {
            let _ = session.send_video(0, Bytes::from_static(&[0x17; 300]));
        }
        while session.poll_transmit().is_some() {}
    }
});
