//! Seats: how many connections there may be, in all and from one address, and who gives his up to a newcomer.
//!
//! A connection is *idle* while no request of it is being answered: it sends a head, or nothing. It is *stalled* when nothing of
//! any answer on it was taken for a while. Whoever holds such connections keeps nobody out: when all seats are taken, the one that
//! has been idle longest is closed for the newcomer, or else the one that has stalled longest. Only answers that get on make a
//! newcomer turn back, and even then the machine itself has seats left for health checks and operators.
//!
//! How many seats there are follows from how many files may be open: what recording needs is never sat on.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::progress::Progress;
use crate::limits::{LOOPBACK_CONNECTIONS, MAX_CONNECTIONS, MAX_CONNECTIONS_PER_ADDRESS, STALLED_AFTER};

/// How many seats there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeatLimits {
    /// In all.
    pub(crate) total: usize,
    /// Of these, only for connections from the machine itself.
    pub(crate) loopback: usize,
    /// For one address, or one IPv6 /64 network. The machine itself has no such limit: a proxy on it speaks for many.
    pub(crate) per_address: usize,
}

impl SeatLimits {
    /// Of so many seats in all. Where they are few, nobody gets more of them than a part.
    pub(crate) fn of(total: usize) -> Self {
        let total = total.clamp(1, MAX_CONNECTIONS);
        Self {
            total,
            loopback: LOOPBACK_CONNECTIONS.min(total / 4),
            per_address: MAX_CONNECTIONS_PER_ADDRESS.min((total / 2).max(1)),
        }
    }
}

/// Why a connection is closed before a byte is read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub(crate) enum TurnedAway {
    /// All seats are taken by connections whose answers get on.
    #[error("there are as many connections as there may be")]
    Total,
    /// The address has as many as it may, and the answers of all of them get on.
    #[error("this address has as many connections as one may have")]
    PerAddress,
}

/// Counts connections.
#[derive(Debug)]
pub(crate) struct Seats {
    limits: SeatLimits,
    table: Mutex<Table>,
}

#[derive(Default, Debug)]
struct Table {
    taken: HashMap<u64, Taken>,
    by_network: HashMap<IpAddr, usize>,
    /// Idle connections by the moment since when they are, counted and not timed: the first is idle longest.
    idle: BTreeMap<u64, u64>,
    next: u64,
}

#[derive(Debug)]
struct Taken {
    network: IpAddr,
    /// Requests that are being answered, and how that gets on.
    answers: BTreeMap<u64, Option<Arc<Progress>>>,
    /// Place among the idle ones, while nothing is being answered.
    idle_since: u64,
    close: CancellationToken,
}

impl Taken {
    /// Since when nothing of any answer was taken; `None` while one of them is ours to go on with.
    fn waiting_since(&self) -> Option<Instant> {
        let mut since = None;
        for progress in self.answers.values() {
            since = since.max(Some(progress.as_ref()?.waiting_since()?));
        }
        since
    }
}

impl Seats {
    pub(crate) fn new(limits: SeatLimits) -> Arc<Self> {
        Arc::new(Self { limits, table: Mutex::default() })
    }

    /// A seat for a connection from `address`, kept until it is dropped or needed for somebody else.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Seat, TurnedAway> {
        let network = refusals::network(address);
        let mut table = self.lock();
        let here = table.by_network.get(&network).copied().unwrap_or(0);
        if !network.is_loopback() {
            if here >= self.limits.per_address && !table.shed(|taken| taken.network == network) {
                return Err(TurnedAway::PerAddress);
            }
            let open = self.limits.total.saturating_sub(self.limits.loopback);
            if table.taken.len() >= open && !table.shed(|taken| !taken.network.is_loopback()) {
                return Err(TurnedAway::Total);
            }
        } else if table.taken.len() >= self.limits.total && !table.shed(|_| true) {
            return Err(TurnedAway::Total);
        }
        let number = table.number();
        let close = CancellationToken::new();
        table.idle.insert(number, number);
        *table.by_network.entry(network).or_default() += 1;
        let taken = Taken { network, answers: BTreeMap::new(), idle_since: number, close: close.clone() };
        table.taken.insert(number, taken);
        Ok(Seat { seats: Arc::clone(self), number, close })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing under this lock can panic half-way through a change.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Closes the connection that has been idle longest of those that `may_go`, or else the one that has stalled longest. Its
    /// seat is free at once.
    fn shed(&mut self, may_go: impl Fn(&Taken) -> bool) -> bool {
        let idle = self.idle.values().copied().find(|number| self.taken.get(number).is_some_and(&may_go));
        let Some(number) = idle.or_else(|| self.stalled(may_go)) else { return false };
        if let Some(taken) = self.leave(number) {
            taken.close.cancel();
        }
        true
    }

    /// A walk over all of them, which happens only while every seat is taken.
    fn stalled(&self, may_go: impl Fn(&Taken) -> bool) -> Option<u64> {
        let candidates = self.taken.iter().filter(|(_, taken)| may_go(taken));
        let waiting = candidates.filter_map(|(number, taken)| Some((taken.waiting_since()?, *number)));
        waiting.min().filter(|(since, _)| since.elapsed() >= STALLED_AFTER).map(|(_, number)| number)
    }

    fn leave(&mut self, number: u64) -> Option<Taken> {
        let taken = self.taken.remove(&number)?;
        self.idle.remove(&taken.idle_since);
        if let Some(here) = self.by_network.get_mut(&taken.network) {
            *here = here.saturating_sub(1);
            if *here == 0 {
                self.by_network.remove(&taken.network);
            }
        }
        Some(taken)
    }
}

/// One connection's seat.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    number: u64,
    close: CancellationToken,
}

impl Seat {
    /// Resolves when the seat is given to somebody else: the connection is to end.
    pub(crate) async fn is_needed(&self) {
        self.close.cancelled().await;
    }

    /// A request has come and is being answered until the guard is dropped, its body included.
    pub(crate) fn answering(self: &Arc<Self>) -> Answering {
        let mut table = self.seats.lock();
        let number = table.number();
        let idle_since = table.taken.get_mut(&self.number).map(|taken| {
            taken.answers.insert(number, None);
            taken.idle_since
        });
        if let Some(idle_since) = idle_since {
            table.idle.remove(&idle_since);
        }
        Answering { seat: Arc::clone(self), number }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.lock().leave(self.number);
    }
}

/// A request is being answered.
#[derive(Debug)]
pub(crate) struct Answering {
    seat: Arc<Seat>,
    number: u64,
}

impl Answering {
    /// By what it is seen whether the answer gets on.
    pub(crate) fn gets_on_by(&self, progress: &Arc<Progress>) {
        let mut table = self.seat.seats.lock();
        if let Some(taken) = table.taken.get_mut(&self.seat.number) {
            taken.answers.insert(self.number, Some(Arc::clone(progress)));
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut table = self.seat.seats.lock();
        let now = table.number();
        let number = self.seat.number;
        let is_idle = table.taken.get_mut(&number).is_some_and(|taken| {
            taken.answers.remove(&self.number);
            taken.idle_since = now;
            taken.answers.is_empty()
        });
        if is_idle {
            table.idle.insert(now, number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SeatLimits = SeatLimits { total: 6, loopback: 2, per_address: 3 };
    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn enter(seats: &Arc<Seats>, address: IpAddr) -> Result<Arc<Seat>, TurnedAway> {
        seats.enter(address).map(Arc::new)
    }

    #[test]
    fn one_address_takes_the_seats_of_nobody_else() {
        let seats = Seats::new(LIMITS);
        let mine: Vec<_> = (0..3).map(|_| enter(&seats, address(1)).unwrap()).collect();
        let _work: Vec<_> = mine.iter().map(|seat| seat.answering()).collect();
        assert_eq!(enter(&seats, address(1)).map(|_| ()), Err(TurnedAway::PerAddress));
        assert!(enter(&seats, address(2)).is_ok());
    }

    #[test]
    fn the_longest_idle_connection_makes_room_for_a_newcomer() {
        let seats = Seats::new(LIMITS);
        let all: Vec<_> = (1..=4).map(|last| enter(&seats, address(last)).unwrap()).collect();
        // The first was idle before the others, and has just been served.
        drop(all[0].answering());
        let newcomer = enter(&seats, address(9)).unwrap();
        let closed: Vec<_> = all.iter().map(|seat| seat.close.is_cancelled()).collect();
        assert_eq!(closed, [false, true, false, false]);
        // The one that was closed leaves later, and takes nobody's seat with it.
        let table = |seats: &Arc<Seats>| seats.lock().taken.len();
        assert_eq!(table(&seats), 4);
        drop(all);
        assert_eq!(table(&seats), 1);
        drop(newcomer);
        assert!(
            seats.lock().taken.is_empty()
                && seats.lock().idle.is_empty()
                && seats.lock().by_network.is_empty()
        );
    }

    #[test]
    fn answers_under_way_are_not_closed_and_the_machine_itself_always_gets_in() {
        let seats = Seats::new(LIMITS);
        let all: Vec<_> = (1..=4).map(|last| enter(&seats, address(last)).unwrap()).collect();
        let mut work: Vec<_> = all.iter().map(|seat| seat.answering()).collect();
        assert_eq!(enter(&seats, address(9)).map(|_| ()), Err(TurnedAway::Total));
        let local = [enter(&seats, LOOPBACK).unwrap(), enter(&seats, LOOPBACK).unwrap()];
        let _local_work: Vec<_> = local.iter().map(|seat| seat.answering()).collect();
        assert_eq!(enter(&seats, LOOPBACK).map(|_| ()), Err(TurnedAway::Total));
        work.pop();
        assert!(enter(&seats, address(9)).is_ok());
        assert!(all[3].close.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn readers_that_take_nothing_keep_nobody_out() {
        let seats = Seats::new(LIMITS);
        let all: Vec<_> = (1..=4).map(|last| enter(&seats, address(last)).unwrap()).collect();
        let work: Vec<_> = all.iter().map(|seat| (seat.answering(), Progress::new())).collect();
        for (answering, progress) in &work {
            answering.gets_on_by(progress);
            progress.given();
        }
        assert_eq!(enter(&seats, address(9)).map(|_| ()), Err(TurnedAway::Total), "they have just begun");
        tokio::time::sleep(STALLED_AFTER).await;
        // One reads, one waits for us; of the others one has another stream that gets on.
        work[0].1.given();
        work[1].1.is_ours();
        let (second, progress) = (all[2].answering(), Progress::new());
        second.gets_on_by(&progress);
        progress.given();
        let newcomer = enter(&seats, address(9)).unwrap();
        let closed: Vec<_> = all.iter().map(|seat| seat.close.is_cancelled()).collect();
        assert_eq!(closed, [false, false, false, true]);
        let _work = newcomer.answering();
        assert_eq!(enter(&seats, address(8)).map(|_| ()), Err(TurnedAway::Total));
    }

    #[test]
    fn few_seats_are_shared_as_well() {
        for total in [0, 1, 2, 8, 128, MAX_CONNECTIONS, usize::MAX] {
            let SeatLimits { total, loopback, per_address } = SeatLimits::of(total);
            assert!(total >= 1 && per_address >= 1 && loopback < total && per_address <= total, "{total}");
        }
    }

    #[test]
    fn two_streams_of_one_connection_are_both_waited_for() {
        let seats = Seats::new(SeatLimits { total: 1, loopback: 0, per_address: 1 });
        let seat = enter(&seats, address(1)).unwrap();
        let (first, second) = (seat.answering(), seat.answering());
        drop(first);
        assert!(enter(&seats, address(2)).is_err());
        drop(second);
        assert!(enter(&seats, address(2)).is_ok());
    }
}
