//! When to acknowledge what was received (RTMP §5.4.3, §5.4.4).

use super::limits::WINDOW_BYTES;

/// Counts received bytes against the peer's window.
#[derive(Debug)]
pub(super) struct ReceiveWindow {
    received: u64,
    acknowledged: u64,
    window: u32,
}

impl Default for ReceiveWindow {
    fn default() -> Self {
        Self { received: 0, acknowledged: 0, window: WINDOW_BYTES }
    }
}

impl ReceiveWindow {
    /// So many bytes came out of the socket.
    pub(super) fn received(&mut self, bytes: usize) {
        self.received += bytes as u64;
    }

    /// The peer named its window; 0 means nothing and is passed over.
    pub(super) fn set(&mut self, window: u32) {
        if window > 0 {
            self.window = window;
        }
    }

    /// The number to acknowledge now, if it is time: at half the window, so that a peer that waits at its end never does.
    pub(super) fn due(&mut self) -> Option<u32> {
        if self.received - self.acknowledged < u64::from(self.window.div_ceil(2)) {
            return None;
        }
        self.acknowledged = self.received;
        // The sequence number is the count modulo 2^32.
        Some((self.received & u64::from(u32::MAX)) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::ReceiveWindow;

    #[test]
    fn acknowledges_twice_a_window_and_wraps() {
        let mut window = ReceiveWindow::default();
        window.set(0);
        window.set(1000);
        window.received(499);
        assert_eq!(window.due(), None);
        window.received(1);
        assert_eq!(window.due(), Some(500));
        assert_eq!(window.due(), None);
        window.received(u32::MAX as usize);
        assert_eq!(window.due(), Some(499));
    }
}
