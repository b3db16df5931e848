//! Every limit of this room, with its reason.

use std::time::Duration;

/// Read at once from a connection that does not publish: a handshake is 3 kB.
pub const FIRST_READ_BYTES: usize = 4 * 1024;

/// Read at once from a connection that publishes: at 4 Mbit/s a tick brings 20 kB.
pub const MIN_READ_BYTES: usize = 64 * 1024;

/// Read at once when reads keep bringing all that was asked for (high bit rates, catching up after a stall).
pub const MAX_READ_BYTES: usize = 256 * 1024;

/// Read at once from a publisher that runs ahead of the clock: a few seconds of even a slow stream, so that pauses
/// stay far below the idle timeout.
pub const PACED_READ_BYTES: usize = 16 * 1024;

/// A publisher's socket is read at most this often. It sends some seventy small packets a second (40 ms video, 21 ms
/// audio); waking for each costs more processor time than everything that is done with them.
pub const READ_TICK: Duration = Duration::from_millis(50);

/// A read that brought this much came near to what the kernel holds for a new connection (64 KiB by default): the next
/// one follows after [`BUSY_READ_TICK`], so that the publisher is never held up.
pub const BUSY_READ_BYTES: usize = 40 * 1024;

/// See [`BUSY_READ_BYTES`].
pub const BUSY_READ_TICK: Duration = Duration::from_millis(10);

/// While media flows, a reply that the kernel did not take is offered again after this.
pub const WRITE_TICK: Duration = Duration::from_millis(50);

/// Replies waiting for a peer that does not read. A whole publish dialogue is under 5 kB.
pub const MAX_TRANSMIT_BYTES: usize = 64 * 1024;

/// Replies written in one system call.
pub const MAX_TRANSMIT_SLICES: usize = 16;

/// A peer that takes no byte of a waiting reply for this long is gone.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// What TLS holds sealed of one connection until the kernel takes it: four records (RFC 8446 §5.1).
pub const MAX_SEALED_BYTES: usize = 64 * 1024;

/// Pieces that are written to a player in one system call: a run of tags has about fifty.
pub const MAX_PLAY_SLICES: usize = 128;

/// A player that takes no byte for this long is gone. One that takes some, but too slowly, is taken to the newest keyframe
/// time and again.
pub const PLAYER_WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The first media may take this many times as long as the way to `publish`: encoders start up in between.
pub const FIRST_MEDIA_FACTOR: i64 = 2;

/// How long a gate may think.
pub const AUTHORISE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a newcomer waits until the connection it replaces has pushed its last sample.
pub const TAKEOVER_TIMEOUT: Duration = Duration::from_secs(1);

/// A publisher whose pictures run ahead of the monotonic clock by more than this is read more slowly, so that TCP slows it down.
pub const MAX_AHEAD_US: i64 = 2_000_000;

/// Longest single pause of a publisher that runs ahead; its position is judged anew after it.
pub const MAX_PAUSE: Duration = Duration::from_millis(500);

/// Sessions that a channel may begin at once: a camera that is set up, cut off and restarted in every way does not come near it.
pub const SESSION_BURST: u32 = 30;

/// Beyond [`SESSION_BURST`] one session more may begin in this time. An encoder that reconnects or changes its picture for hours needs
/// longer for each: it has to send a keyframe. One that does not is read no faster, so that TCP slows it down; nothing is dropped.
pub const SESSION_REFILL_US: i64 = 3_000_000;

/// After a refusal the socket stays open this long for the peer to read the reason: closing at once with unread input
/// would reset the connection and lose it (RFC 1122 §4.2.2.13).
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(1);

/// After the end of what it played, a player has this long to read what is on its way to it. Its acknowledgements would
/// meet a closed socket before, and the answer to them takes away what it has not read yet (RFC 793 §3.4).
pub const PLAYER_LINGER_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes thrown away while lingering; a peer that sends more than this is cut off.
pub const MAX_LINGER_BYTES: usize = 4 * 1024 * 1024;

/// Connections that the kernel completes while we are busy.
pub const ACCEPT_BACKLOG: u32 = 1024;

/// Pause after `accept` failed, for example because file descriptors ran out.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How long connections may take to say goodbye when the node stops.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

const _: () = assert!(
    FIRST_READ_BYTES <= PACED_READ_BYTES
        && PACED_READ_BYTES <= MIN_READ_BYTES
        && MIN_READ_BYTES <= MAX_READ_BYTES
);
const _: () = assert!(BUSY_READ_BYTES < MIN_READ_BYTES);
const _: () = assert!(TAKEOVER_TIMEOUT.as_millis() < AUTHORISE_TIMEOUT.as_millis());
