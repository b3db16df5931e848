//! How many connections there may be: in all, and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts connections.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    max_total: usize,
    max_per_address: usize,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Default, Debug)]
struct Counts {
    total: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// Why a connection is closed before a byte is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TurnedAway {
    /// `max_connections` are open.
    Total,
    /// `max_connections_per_address` are open from there.
    PerAddress,
}

impl Admission {
    pub(crate) fn new(max_total: usize, max_per_address: usize) -> Self {
        Self { max_total, max_per_address, counts: Arc::default() }
    }

    /// A seat for a connection from `address`, kept until the ticket is dropped.
    pub(crate) fn enter(&self, address: IpAddr) -> Result<Ticket, TurnedAway> {
        let network = network(address);
        let mut counts = self.lock();
        if counts.total >= self.max_total {
            return Err(TurnedAway::Total);
        }
        let here = counts.by_network.entry(network).or_default();
        if *here >= self.max_per_address {
            return Err(TurnedAway::PerAddress);
        }
        *here += 1;
        counts.total += 1;
        Ok(Ticket { admission: self.clone(), network })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Nothing under this lock can panic half-way through a change.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A seat.
#[derive(Debug)]
pub(crate) struct Ticket {
    admission: Admission,
    network: IpAddr,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut counts = self.admission.lock();
        counts.total = counts.total.saturating_sub(1);
        if let Some(here) = counts.by_network.get_mut(&self.network) {
            *here = here.saturating_sub(1);
            if *here == 0 {
                counts.by_network.remove(&self.network);
            }
        }
    }
}

/// What counts as one address: an IPv6 host owns its whole /64 (RFC 4291 §2.5.4).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_limited_and_come_back() {
        let admission = Admission::new(3, 2);
        let one = IpAddr::from([10, 0, 0, 1]);
        let first = admission.enter(one).expect("free");
        let _second = admission.enter(one).expect("free");
        assert_eq!(admission.enter(one).map(|_| ()), Err(TurnedAway::PerAddress));
        let _other = admission.enter(IpAddr::from([10, 0, 0, 2])).expect("free");
        assert_eq!(admission.enter(IpAddr::from([10, 0, 0, 3])).map(|_| ()), Err(TurnedAway::Total));
        drop(first);
        assert!(admission.enter(one).is_ok());
    }

    #[test]
    fn an_ipv6_network_is_one_address_and_a_mapped_one_is_ipv4() {
        let admission = Admission::new(10, 1);
        let _first = admission.enter("2001:db8::1".parse().expect("address")).expect("free");
        assert!(admission.enter("2001:db8::ffff:2".parse().expect("address")).is_err());
        assert!(admission.enter("2001:db8:0:1::1".parse().expect("address")).is_ok());
        let _mapped = admission.enter("::ffff:10.0.0.1".parse().expect("address")).expect("free");
        assert!(admission.enter("10.0.0.1".parse().expect("address")).is_err());
    }
}
