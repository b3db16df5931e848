//! Ports for servers that cannot be handed a socket.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below what the kernel gives to outgoing connections (`net.ipv4.ip_local_port_range` begins at 32768): a server that is
/// stopped for a while finds its port as it left it.
const FIRST: u16 = 12_000;
const COUNT: u16 = 20_000;

/// A port that was free a moment ago, and that this process gets only once.
///
/// # Panics
/// When the machine has none.
#[must_use]
pub fn free_port() -> u16 {
    // Processes begin at places of their own, so that they seldom try the same ones.
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id().wrapping_mul(7919) % u32::from(COUNT)) as u16;
    (0..COUNT)
        .map(|_| FIRST + NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(start) % COUNT)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .unwrap_or_else(|| panic!("no free port"))
}
