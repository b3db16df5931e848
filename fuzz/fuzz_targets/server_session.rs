//! A whole server session: the handshake is given, everything after it is foreign. Any cut gives the same events.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media::flv::{parse_audio, parse_video};
use media::rtmp::RtmpError;
use media::rtmp::limits::MAX_REPLY_BYTES;
use media::rtmp::server::{ServerConfig, ServerEvent, ServerSession};

fn serve(bytes: &[u8], step: usize) -> (Vec<ServerEvent>, Result<(), RtmpError>) {
    let mut session = ServerSession::new(ServerConfig::default(), 0);
    let mut events = Vec::new();
    let mut result = session.handle_input(&[3], 0).and_then(|()| session.handle_input(&[0; 3072], 0));
    for piece in bytes.chunks(step) {
        result = result.and_then(|()| session.handle_input(piece, 0));
        while let Some(event) = session.poll_event() {
            match &event {
                ServerEvent::PublishRequested { key, .. } if key.expose().starts_with('!') => {
                    session.refuse_publish("no");
                }
                ServerEvent::PublishRequested { .. } => session.accept_publish(),
                ServerEvent::Video { body, .. } => drop(parse_video(body.clone())),
                ServerEvent::Audio { body, .. } => drop(parse_audio(body.clone())),
                _ => {}
            }
            events.push(event);
        }
        // A fault found while accepting.
        result = result.and_then(|()| session.handle_timeout(0));
        let mut sent = 0;
        while let Some(piece) = session.poll_transmit() {
            sent += piece.len();
        }
        assert!(sent <= MAX_REPLY_BYTES + 4096 || result.is_err());
        if result.is_err() || session.should_close() {
            break;
        }
    }
    (events, result)
}

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = input;
    // More would reach the budgets that count what comes in one piece.
    let bytes = &bytes[..bytes.len().min(32 * 1024)];
    let whole = serve(bytes, bytes.len().max(1));
    assert_eq!(serve(bytes, usize::from(step) + 1), whole);
});
