use super::digest::{Signer, find_first, is_second_signed};
use super::*;
use crate::rtmp::Transmit;

fn drain(out: &mut Transmit) -> Vec<u8> {
    std::iter::from_fn(|| out.pop()).flatten().collect()
}

/// Lets an end read what has come so far.
fn advance(
    input: &mut Vec<u8>,
    read: impl FnOnce(&mut &[u8]) -> Result<bool, HandshakeError>,
) -> Result<bool, HandshakeError> {
    let mut rest = input.as_slice();
    let is_done = read(&mut rest)?;
    let left = rest.len();
    input.drain(..input.len() - left);
    Ok(is_done)
}

/// Both ends to completion, `step` bytes at a time: the bytes of client and server. One direction after the other will do:
/// neither end can go on before it has a whole packet.
fn shake(scheme: Option<Scheme>, step: usize) -> (Vec<u8>, Vec<u8>) {
    let (mut client, mut server) = (ClientHandshake::new(1, scheme), ServerHandshake::new(2));
    let (mut client_in, mut server_in, mut out) = (Vec::new(), Vec::new(), Transmit::default());
    assert!(!advance(&mut client_in, |input| client.advance(input, &mut out)).unwrap());
    let mut client_sent = drain(&mut out);
    for piece in client_sent.chunks(step) {
        server_in.extend_from_slice(piece);
        assert!(
            !advance(&mut server_in, |input| server.advance(input, &mut out)).unwrap(),
            "C2 has not come"
        );
    }
    let server_sent = drain(&mut out);
    let mut is_done = false;
    for piece in server_sent.chunks(step) {
        assert!(!is_done);
        client_in.extend_from_slice(piece);
        is_done = advance(&mut client_in, |input| client.advance(input, &mut out)).unwrap();
    }
    assert!(is_done && client_in.is_empty());
    let c2 = drain(&mut out);
    is_done = false;
    for piece in c2.chunks(step) {
        assert!(!is_done);
        server_in.extend_from_slice(piece);
        is_done = advance(&mut server_in, |input| server.advance(input, &mut out)).unwrap();
    }
    assert!(is_done && server_in.is_empty());
    client_sent.extend_from_slice(&c2);
    (client_sent, server_sent)
}

fn packet(bytes: &[u8], number: usize) -> &Packet {
    let start = 1 + number * PACKET_BYTES;
    bytes[start..start + PACKET_BYTES].try_into().unwrap()
}

#[test]
fn the_simple_handshake_echoes() {
    for step in [1, 7, 1536, 4000] {
        let (client, server) = shake(None, step);
        assert_eq!(packet(&server, 1), packet(&client, 0), "S2 is C1");
        assert_eq!(packet(&client, 1), packet(&server, 0), "C2 is S1");
        assert_eq!(find_first(Signer::Server, packet(&server, 0)), None);
    }
}

#[test]
fn the_digest_handshake_is_answered_in_the_clients_scheme() {
    for scheme in [Scheme::First, Scheme::Second] {
        let (client, server) = shake(Some(scheme), 1000);
        let (client_scheme, client_digest) = find_first(Signer::Client, packet(&client, 0)).unwrap();
        let (server_scheme, server_digest) = find_first(Signer::Server, packet(&server, 0)).unwrap();
        assert_eq!((client_scheme, server_scheme), (scheme, scheme));
        assert!(is_second_signed(Signer::Server, &client_digest, packet(&server, 1)));
        assert!(is_second_signed(Signer::Client, &server_digest, packet(&client, 1)));
    }
}

#[test]
fn a_version_without_a_digest_gets_the_simple_answer() {
    let mut c1 = [7_u8; PACKET_BYTES];
    c1[4..8].copy_from_slice(&[9, 0, 124, 2]);
    let bytes = [&[3_u8][..], &c1].concat();
    let mut input = bytes.as_slice();
    let mut out = Transmit::default();
    assert!(!ServerHandshake::new(5).advance(&mut input, &mut out).unwrap());
    assert_eq!(packet(&drain(&mut out), 1), &c1);
}

#[test]
fn what_is_no_rtmp_is_named_by_its_first_byte() {
    let cases = [
        (0x16, HandshakeError::Tls),
        (b'G', HandshakeError::Http),
        (6, HandshakeError::Encrypted(6)),
        (0xff, HandshakeError::Version(0xff)),
    ];
    for (byte, error) in cases {
        let mut input = &[byte][..];
        let mut out = Transmit::default();
        assert_eq!(ServerHandshake::new(1).advance(&mut input, &mut out), Err(error));
        let mut input = &[byte][..];
        assert_eq!(ClientHandshake::new(1, None).advance(&mut input, &mut out), Err(error));
    }
}
