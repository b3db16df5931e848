//! Rates over the last half minute, from counters that are sampled now and again.

use super::{ClientFacts, StreamFacts};
use std::collections::{HashMap, VecDeque};
use uuid::Uuid;
use world::Usage;

/// What a rate is taken over.
const WINDOW_US: i64 = 30_000_000;

/// Whose counters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Of {
    Stream(Uuid),
    Client(u64),
}

/// Counters at one instant.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Counters {
    pub(super) received_bytes: u64,
    pub(super) sent_bytes: u64,
    pub(super) frames: u64,
}

/// What came and went per second.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(super) struct Rate {
    pub(super) received_kbps: u64,
    pub(super) sent_kbps: u64,
    pub(super) frames_per_s: f64,
}

/// The samples of the last half minute. No more of them than there are streams and clients.
#[derive(Default, Debug)]
pub(super) struct Rates {
    samples: HashMap<Of, VecDeque<(i64, Counters)>>,
    usage: VecDeque<Usage>,
}

impl StreamFacts {
    pub(super) fn counters(&self) -> Counters {
        Counters { received_bytes: self.bytes, sent_bytes: 0, frames: self.frames }
    }
}

impl ClientFacts {
    pub(super) fn counters(&self) -> Counters {
        Counters { received_bytes: self.received_bytes, sent_bytes: self.sent_bytes, frames: 0 }
    }
}

impl Rates {
    /// Takes a sample of everything, and forgets what is gone.
    pub(super) fn sample(
        &mut self,
        now_us: i64,
        streams: &[StreamFacts],
        clients: &[ClientFacts],
        usage: Usage,
    ) {
        let streams = streams.iter().map(|stream| (Of::Stream(stream.channel_id), stream.counters()));
        let clients = clients.iter().map(|client| (Of::Client(client.id), client.counters()));
        let mut before = std::mem::take(&mut self.samples);
        for (of, counters) in streams.chain(clients) {
            let mut series = before.remove(&of).unwrap_or_default();
            // One older than the window stays, so that a rate is always taken over all of it. A clock that was set back
            // begins anew.
            while series.get(1).is_some_and(|(at_us, _)| now_us.saturating_sub(*at_us) >= WINDOW_US)
                || series.back().is_some_and(|(at_us, _)| *at_us > now_us)
            {
                series.pop_front();
            }
            series.push_back((now_us, counters));
            self.samples.insert(of, series);
        }
        self.usage.push_back(usage);
        if self.usage.len() > 2 {
            self.usage.pop_front();
        }
    }

    /// The rate up to now.
    pub(super) fn rate(&self, of: Of, now_us: i64, counters: Counters) -> Rate {
        let Some((from_us, before)) = self.samples.get(&of).and_then(VecDeque::front) else {
            return Rate::default();
        };
        // Less than a second tells nothing.
        let Ok(ms @ 1000..) = u64::try_from(now_us.saturating_sub(*from_us) / 1000) else {
            return Rate::default();
        };
        let kbps = |before: u64, now: u64| now.saturating_sub(before).saturating_mul(8) / ms;
        let frames = counters.frames.saturating_sub(before.frames);
        Rate {
            received_kbps: kbps(before.received_bytes, counters.received_bytes),
            sent_kbps: kbps(before.sent_bytes, counters.sent_bytes),
            frames_per_s: ((frames * 100_000) as f64 / ms as f64).round() / 100.0,
        }
    }

    /// The machine at the last sample, and what of its processors was used since the one before: by the process in
    /// processors, by everybody as a share of all.
    pub(super) fn usage(&self) -> (Usage, f64, f64) {
        let last = self.usage.back().copied().unwrap_or_default();
        let before = self.usage.front().copied().unwrap_or_default();
        let total = last.total_ticks.saturating_sub(before.total_ticks);
        if total == 0 {
            return (last, 0.0, 0.0);
        }
        let own = last.process_ticks.saturating_sub(before.process_ticks);
        let busy = last.busy_ticks.saturating_sub(before.busy_ticks);
        let share = |part: u64| part as f64 / total as f64;
        (last, share(own) * f64::from(last.processors.max(1)), share(busy))
    }
}

#[cfg(test)]
mod tests {
    use super::{ClientFacts, Counters, Of, Rate, Rates};
    use crate::monitor::ClientKind;
    use uuid::Uuid;
    use world::Usage;

    const S: i64 = 1_000_000;

    fn client(received_bytes: u64) -> ClientFacts {
        ClientFacts {
            id: 1,
            peer: "127.0.0.1:5".parse().unwrap(),
            channel_id: Uuid::nil(),
            kind: ClientKind::Publisher,
            since_us: 0,
            received_bytes,
            sent_bytes: 0,
        }
    }

    #[test]
    fn a_rate_is_taken_over_half_a_minute() {
        let mut rates = Rates::default();
        let kbps = |rates: &Rates, at_s: i64, bytes: u64| {
            rates.rate(Of::Client(1), at_s * S, client(bytes).counters()).received_kbps
        };
        assert_eq!(kbps(&rates, 0, 1000), 0, "nothing to compare with");
        // 1 Mbit/s for a minute, then silence.
        for at_s in (0..=60).step_by(5) {
            rates.sample(at_s * S, &[], &[client(at_s as u64 * 125_000)], Usage::default());
        }
        assert_eq!(kbps(&rates, 60, 60 * 125_000), 1000);
        assert_eq!(kbps(&rates, 75, 60 * 125_000), 1000 * 30 / 45);
        assert!(rates.samples[&Of::Client(1)].len() <= 8);
        // A clock that was set back, a client that is gone.
        rates.sample(10 * S, &[], &[client(0)], Usage::default());
        assert_eq!(kbps(&rates, 20, 1_250_000), 1000);
        rates.sample(15 * S, &[], &[], Usage::default());
        assert_eq!(rates.rate(Of::Client(1), 20 * S, Counters::default()), Rate::default());
        assert!(rates.samples.is_empty());
    }

    #[test]
    fn processors_are_shared_out() {
        let mut rates = Rates::default();
        let usage = |process_ticks, busy_ticks, total_ticks| Usage {
            process_ticks,
            busy_ticks,
            total_ticks,
            processors: 2,
            ..Usage::default()
        };
        rates.sample(0, &[], &[], usage(0, 0, 1000));
        rates.sample(S, &[], &[], usage(50, 150, 1200));
        let (_, own, all) = rates.usage();
        assert_eq!((own, all), (0.5, 0.75));
    }
}
