//! Seats: how many connections there may be of those that publish, those that play, and those that have done neither yet; in all, and
//! from one address.
//!
//! The three kinds share nothing, so that neither strangers nor players can take a seat that a camera needs. Those that have not said
//! who they are wait in a pool that is never closed: where it is full, the one that has waited longest goes, of the network that has
//! most of them there. So whoever floods it pushes out its own, and a camera, which says who it is within a moment, gets through.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::server::RtmpConfig;

/// What a seat is taken for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    Publishing,
    Playing,
}

/// The seats of a server. Cloning gives another handle to the same ones.
#[derive(Clone, Debug)]
pub(super) struct Seats {
    limits: Limits,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    waiting: Limit,
    publishing: Limit,
    playing: Limit,
}

/// How many there may be.
#[derive(Clone, Copy, Debug)]
struct Limit {
    in_all: usize,
    per_network: usize,
}

#[derive(Default, Debug)]
struct Taken {
    pool: Pool,
    publishing: Count,
    playing: Count,
    /// Displaced connections whose sockets are not closed yet.
    leaving: usize,
}

/// Why a seat is not to be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum NoSeat {
    /// The limit, by the name of its setting.
    #[error("as many as `{0}` allows are there")]
    Full(&'static str),
    /// It has been displaced itself.
    #[error("longer-waiting connections make room: neither `publish` nor `play` came in time")]
    Displaced,
}

impl Seats {
    pub(super) fn new(config: &RtmpConfig) -> Self {
        let limit = |in_all, per_network| Limit { in_all, per_network };
        Self {
            limits: Limits {
                waiting: limit(config.max_waiting, config.max_waiting_per_address),
                publishing: limit(config.max_connections, config.max_connections_per_address),
                playing: limit(config.max_players, config.max_players_per_address),
            },
            taken: Arc::default(),
        }
    }

    /// A place among those that wait. Another may have to go for it.
    ///
    /// # Errors
    ///
    /// When connections come faster than those that were displaced can be closed.
    pub(super) fn enter(&self, address: IpAddr) -> Result<Seat, NoSeat> {
        let network = refusals::network(address);
        let mut taken = self.lock();
        if taken.leaving >= self.limits.waiting.in_all {
            return Err(NoSeat::Full("rtmp.max_waiting"));
        }
        let notice = Arc::new(Notice::default());
        let number = taken.pool.enter(network, notice.clone());
        taken.make_room(network, self.limits.waiting);
        Ok(Seat { seats: self.clone(), network, notice, kind: Kind::Waiting(number) })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // Nothing under this lock can panic half-way through a change.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Displaces those for whom there is no room any more.
    fn make_room(&mut self, newest: IpAddr, limit: Limit) {
        if self.pool.of(newest) > limit.per_network && self.pool.displace_oldest_of(newest) {
            self.leaving += 1;
        }
        if self.pool.waiting.len() > limit.in_all
            && let Some(network) = self.pool.fullest()
            && self.pool.displace_oldest_of(network)
        {
            self.leaving += 1;
        }
    }

    fn count(&mut self, purpose: Purpose) -> &mut Count {
        match purpose {
            Purpose::Publishing => &mut self.publishing,
            Purpose::Playing => &mut self.playing,
        }
    }
}

/// A connection's seat; free again when it is dropped, which is to happen after its socket is closed.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    network: IpAddr,
    notice: Arc<Notice>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Its number in the pool.
    Waiting(u64),
    For(Purpose),
}

impl Seat {
    /// Leaves the pool for a seat of its own.
    ///
    /// # Errors
    ///
    /// When there is none; then nothing changes.
    pub(super) fn take(&mut self, purpose: Purpose) -> Result<(), NoSeat> {
        let limits = &self.seats.limits;
        let (limit, of_all, of_one) = match purpose {
            Purpose::Publishing => {
                (limits.publishing, "rtmp.max_connections", "rtmp.max_connections_per_address")
            }
            Purpose::Playing => (limits.playing, "rtmp.max_players", "rtmp.max_players_per_address"),
        };
        let mut taken = self.seats.lock();
        let count = taken.count(purpose);
        if count.in_all >= limit.in_all {
            return Err(NoSeat::Full(of_all));
        }
        if count.of(self.network) >= limit.per_network {
            return Err(NoSeat::Full(of_one));
        }
        self.kind = taken.promote(self.kind, self.network, purpose)?;
        Ok(())
    }

    /// The same for a publisher that takes its channel over from another connection: that one has just given its seat back, and who was
    /// quicker to take it must not cost the channel its recording. There are never more of these than channels.
    ///
    /// # Errors
    ///
    /// When this connection has been displaced.
    pub(super) fn take_over(&mut self) -> Result<(), NoSeat> {
        self.kind = self.seats.lock().promote(self.kind, self.network, Purpose::Publishing)?;
        Ok(())
    }

    /// Goes back among those that wait, as the newest of them.
    pub(super) fn give_back(&mut self) {
        let Kind::For(purpose) = self.kind else { return };
        let mut taken = self.seats.lock();
        taken.count(purpose).remove(self.network);
        self.kind = Kind::Waiting(taken.pool.enter(self.network, self.notice.clone()));
        taken.make_room(self.network, self.seats.limits.waiting);
    }

    /// Resolves when the connection has to go at once, for others that wait.
    pub(super) async fn displaced(&self) {
        while !self.is_displaced() {
            self.notice.told.notified().await;
        }
    }

    /// Whether it has to.
    pub(super) fn is_displaced(&self) -> bool {
        self.notice.is_displaced.load(Ordering::Acquire)
    }
}

impl Taken {
    fn promote(&mut self, from: Kind, network: IpAddr, purpose: Purpose) -> Result<Kind, NoSeat> {
        match from {
            Kind::Waiting(number) => self.pool.leave(number).map(|_| ()).ok_or(NoSeat::Displaced)?,
            Kind::For(before) => self.count(before).remove(network),
        }
        self.count(purpose).add(network);
        Ok(Kind::For(purpose))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        match self.kind {
            Kind::Waiting(number) => {
                if taken.pool.leave(number).is_none() {
                    taken.leaving -= 1;
                }
            }
            Kind::For(purpose) => taken.count(purpose).remove(self.network),
        }
    }
}

/// How a connection hears that it has to go.
#[derive(Default, Debug)]
struct Notice {
    is_displaced: AtomicBool,
    told: Notify,
}

/// Seats of one purpose.
#[derive(Default, Debug)]
struct Count {
    in_all: usize,
    by_network: HashMap<IpAddr, usize>,
}

impl Count {
    fn of(&self, network: IpAddr) -> usize {
        self.by_network.get(&network).copied().unwrap_or_default()
    }

    fn add(&mut self, network: IpAddr) {
        self.in_all += 1;
        *self.by_network.entry(network).or_default() += 1;
    }

    fn remove(&mut self, network: IpAddr) {
        self.in_all -= 1;
        if let Some(here) = self.by_network.get_mut(&network) {
            *here -= 1;
            if *here == 0 {
                self.by_network.remove(&network);
            }
        }
    }
}

/// Those that wait, by age and by network.
#[derive(Default, Debug)]
struct Pool {
    /// The last number given: whoever came later has a higher one.
    last: u64,
    waiting: BTreeMap<u64, (IpAddr, Arc<Notice>)>,
    by_network: HashMap<IpAddr, BTreeSet<u64>>,
    /// The networks by how many of theirs wait, and the one whose oldest has waited longest last among equals.
    by_weight: BTreeSet<(usize, std::cmp::Reverse<u64>, IpAddr)>,
}

impl Pool {
    fn enter(&mut self, network: IpAddr, notice: Arc<Notice>) -> u64 {
        self.last += 1;
        let number = self.last;
        self.waiting.insert(number, (network, notice));
        self.weigh(network, |numbers| numbers.insert(number));
        number
    }

    /// Takes one out, if it is there still.
    fn leave(&mut self, number: u64) -> Option<Arc<Notice>> {
        let (network, notice) = self.waiting.remove(&number)?;
        self.weigh(network, |numbers| numbers.remove(&number));
        Some(notice)
    }

    fn of(&self, network: IpAddr) -> usize {
        self.by_network.get(&network).map_or(0, BTreeSet::len)
    }

    /// The network with most of them.
    fn fullest(&self) -> Option<IpAddr> {
        self.by_weight.last().map(|(_, _, network)| *network)
    }

    /// False where there is none of it.
    fn displace_oldest_of(&mut self, network: IpAddr) -> bool {
        let oldest = self.by_network.get(&network).and_then(|numbers| numbers.first().copied());
        let Some(notice) = oldest.and_then(|number| self.leave(number)) else { return false };
        notice.is_displaced.store(true, Ordering::Release);
        notice.told.notify_one();
        true
    }

    fn weigh(&mut self, network: IpAddr, change: impl FnOnce(&mut BTreeSet<u64>) -> bool) {
        let numbers = self.by_network.entry(network).or_default();
        let weight = |numbers: &BTreeSet<u64>| {
            numbers.first().map(|oldest| (numbers.len(), std::cmp::Reverse(*oldest), network))
        };
        if let Some(before) = weight(numbers) {
            self.by_weight.remove(&before);
        }
        change(numbers);
        match weight(numbers) {
            Some(after) => {
                self.by_weight.insert(after);
            }
            None => {
                self.by_network.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats(change: impl FnOnce(&mut RtmpConfig)) -> Seats {
        let mut config = RtmpConfig::new("127.0.0.1:0".parse().unwrap());
        change(&mut config);
        Seats::new(&config)
    }

    fn host(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn who_fills_the_pool_pushes_out_its_own() {
        let seats = seats(|config| (config.max_waiting, config.max_waiting_per_address) = (6, 4));
        let camera = seats.enter(host(1)).unwrap();
        let other = seats.enter(host(2)).unwrap();
        let flood: Vec<_> = (0..6).map(|_| seats.enter(host(3)).unwrap()).collect();
        // Two for its own limit; the pool is full with the rest.
        let gone: Vec<_> = flood.iter().map(Seat::is_displaced).collect();
        assert_eq!(gone, [true, true, false, false, false, false]);
        // The next ones from elsewhere cost the one that has most.
        let late = seats.enter(host(4)).unwrap();
        assert!(flood[2].is_displaced() && !flood[3].is_displaced());
        assert!(![&camera, &other, &late].into_iter().any(Seat::is_displaced));
    }

    #[test]
    fn of_many_networks_the_longest_waiting_goes() {
        let seats = seats(|config| config.max_waiting = 3);
        let mut all: Vec<_> = (1..=5).map(|number| seats.enter(host(number)).unwrap()).collect();
        let gone: Vec<_> = all.iter().map(Seat::is_displaced).collect();
        assert_eq!(gone, [true, true, false, false, false]);
        assert_eq!(all[0].take(Purpose::Publishing), Err(NoSeat::Displaced));
        // Displaced ones count until they are closed: no more of them than of those that wait.
        let _sixth = seats.enter(host(6)).unwrap();
        assert_eq!(seats.enter(host(7)).map(|_| ()), Err(NoSeat::Full("rtmp.max_waiting")));
        all.remove(0);
        assert!(seats.enter(host(7)).is_ok());
    }

    #[test]
    fn players_and_strangers_take_no_seat_of_publishers() {
        let seats = seats(|config| {
            config.max_waiting = 2;
            (config.max_players, config.max_players_per_address) = (2, 1);
            (config.max_connections, config.max_connections_per_address) = (2, 1);
        });
        let mut players: Vec<_> = (1..=4)
            .map(|number| {
                let mut seat = seats.enter(host(number)).unwrap();
                let taken = seat.take(Purpose::Playing);
                (seat, taken)
            })
            .collect();
        let taken: Vec<_> = players.iter().map(|(_, taken)| *taken).collect();
        let full = Err(NoSeat::Full("rtmp.max_players"));
        assert_eq!(taken, [Ok(()), Ok(()), full, full]);
        let mut publisher = seats.enter(host(9)).unwrap();
        assert_eq!(publisher.take(Purpose::Publishing), Ok(()));
        let mut second = seats.enter(host(9)).unwrap();
        let full = NoSeat::Full("rtmp.max_connections_per_address");
        assert_eq!(second.take(Purpose::Publishing), Err(full));
        // Who takes a channel over has the seat that was just given back, whoever else has been quicker.
        assert_eq!(second.take_over(), Ok(()));
        publisher.give_back();
        drop((publisher, second));
        // Every seat comes back.
        players.clear();
        let taken = seats.lock();
        assert_eq!((taken.publishing.in_all, taken.playing.in_all, taken.leaving), (0, 0, 0));
        assert!(taken.pool.waiting.is_empty() && taken.pool.by_weight.is_empty());
        assert!(taken.pool.by_network.is_empty() && taken.publishing.by_network.is_empty());
    }

    #[tokio::test]
    async fn who_stops_publishing_waits_again() {
        let seats = seats(|config| (config.max_waiting, config.max_waiting_per_address) = (2, 1));
        let mut publisher = seats.enter(host(1)).unwrap();
        publisher.take(Purpose::Publishing).unwrap();
        let other = seats.enter(host(1)).unwrap();
        assert!(!publisher.is_displaced());
        publisher.give_back();
        assert!(other.is_displaced() && !publisher.is_displaced());
        let _third = seats.enter(host(1)).unwrap();
        publisher.displaced().await;
    }
}
