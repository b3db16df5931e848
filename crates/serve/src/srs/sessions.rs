//! Who publishes at SRS: one entry per client, whatever order its callbacks come in.
//!
//! SRS calls each time on a new connection and never again, so that callbacks may be lost, and come twice or late when
//! something between stands still. What holds here:
//!
//! - `on_publish` precedes SRS's own check whether the stream is busy: a second publisher begins and ends with `on_close`
//!   alone, and the first goes on. So nothing is kept by stream.
//! - `on_unpublish` is not a client's last word: the same connection may publish again. `on_close` is, and what comes after it
//!   changes nothing.
//! - SRS's own list is right about what it has had time to list.

use super::{
    call::Client,
    limits::{CLOSED_AGE_US, LISTING_GRACE_US, MAX_CLOSED, MAX_SESSIONS},
};
use std::collections::{HashMap, HashSet, VecDeque, hash_map::Entry};
use uuid::Uuid;

/// A publication at SRS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SrsPublication {
    /// SRS's `server_id`.
    pub server: String,
    /// SRS's `client_id`.
    pub client: String,
    /// The channel; [`None`] for a stream that is none of ours and was let in all the same.
    pub channel_id: Option<Uuid>,
    /// UTC microseconds since when it is known here.
    pub since_us: i64,
}

/// What an event has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    /// Nothing: it was known, or comes too late.
    None,
    /// A publication has begun.
    Began(Option<Uuid>),
    /// A publication is over.
    Ended(Option<Uuid>),
}

#[derive(Clone, Copy, Debug)]
struct Session {
    channel_id: Option<Uuid>,
    since_us: i64,
}

/// All publications that are known.
#[derive(Default, Debug)]
pub(crate) struct Sessions {
    open: HashMap<Client, Session>,
    closed: HashSet<Client>,
    /// The same in order, with when.
    closed_order: VecDeque<(i64, Client)>,
}

impl Sessions {
    /// `on_publish` that was granted.
    pub(crate) fn publish(&mut self, client: &Client, channel_id: Option<Uuid>, now_us: i64) -> Change {
        self.forget_closed(now_us);
        if self.closed.contains(client) {
            return Change::None;
        }
        if self.open.len() >= MAX_SESSIONS && !self.open.contains_key(client) {
            self.forget_oldest();
        }
        match self.open.entry(client.clone()) {
            // Twice, or the same connection with another stream: what it says last is what it does.
            Entry::Occupied(mut known) if known.get().channel_id != channel_id => {
                known.insert(Session { channel_id, since_us: now_us });
                Change::Began(channel_id)
            }
            Entry::Occupied(_) => Change::None,
            Entry::Vacant(vacant) => {
                vacant.insert(Session { channel_id, since_us: now_us });
                Change::Began(channel_id)
            }
        }
    }

    /// `on_unpublish`.
    pub(crate) fn unpublish(&mut self, client: &Client) -> Change {
        self.end(client)
    }

    /// `on_close`: also the end of what never got `on_unpublish`.
    pub(crate) fn close(&mut self, client: &Client, now_us: i64) -> Change {
        self.forget_closed(now_us);
        if self.closed.insert(client.clone()) {
            self.closed_order.push_back((now_us, client.clone()));
        }
        self.end(client)
    }

    /// Whether a client is known to publish.
    pub(crate) fn is_open(&self, client: &Client) -> bool {
        self.open.contains_key(client)
    }

    /// SRS's own list, asked for at `asked_us`: ends what `server` does not list although it has had time to.
    pub(crate) fn retain_listed(
        &mut self,
        server: &str,
        listed: &HashSet<Client>,
        asked_us: i64,
    ) -> Vec<(Client, Change)> {
        let over: Vec<Client> = self
            .open
            .iter()
            .filter(|(client, session)| {
                &*client.server == server
                    && !listed.contains(*client)
                    && session.since_us.saturating_add(LISTING_GRACE_US) <= asked_us
            })
            .map(|(client, _)| client.clone())
            .collect();
        self.end_all(over)
    }

    /// A server is gone: another one answers in its place.
    pub(crate) fn end_server(&mut self, server: &str) -> Vec<(Client, Change)> {
        let over = self.open.keys().filter(|client| &*client.server == server).cloned().collect();
        self.end_all(over)
    }

    /// All publications, by client.
    pub(crate) fn publications(&self) -> Vec<SrsPublication> {
        let mut all: Vec<_> = self
            .open
            .iter()
            .map(|(client, session)| SrsPublication {
                server: client.server.to_string(),
                client: client.id.to_string(),
                channel_id: session.channel_id,
                since_us: session.since_us,
            })
            .collect();
        all.sort_by(|a, b| (&a.server, &a.client).cmp(&(&b.server, &b.client)));
        all
    }

    fn end(&mut self, client: &Client) -> Change {
        self.open.remove(client).map_or(Change::None, |session| Change::Ended(session.channel_id))
    }

    fn end_all(&mut self, over: Vec<Client>) -> Vec<(Client, Change)> {
        over.into_iter().map(|client| (client.clone(), self.end(&client))).collect()
    }

    fn forget_closed(&mut self, now_us: i64) {
        while let Some((closed_us, _)) = self.closed_order.front() {
            // A clock that was set back makes them older than they are said to be, never younger.
            let is_young = (0..CLOSED_AGE_US).contains(&now_us.saturating_sub(*closed_us));
            if is_young && self.closed_order.len() < MAX_CLOSED {
                break;
            }
            if let Some((_, client)) = self.closed_order.pop_front() {
                self.closed.remove(&client);
            }
        }
    }

    fn forget_oldest(&mut self) {
        let oldest = self.open.iter().min_by_key(|(_, session)| session.since_us);
        if let Some(client) = oldest.map(|(client, _)| client.clone()) {
            self.open.remove(&client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Sessions};
    use crate::srs::{
        call::Client,
        limits::{CLOSED_AGE_US, LISTING_GRACE_US, MAX_CLOSED, MAX_SESSIONS},
    };
    use std::collections::HashSet;
    use uuid::Uuid;

    const COURT: Option<Uuid> = Some(Uuid::from_u128(1));
    const S: i64 = 1_000_000;

    /// A callback of a table.
    #[derive(Clone, Copy, Debug)]
    enum Say {
        Publish,
        Unpublish,
        Close,
    }
    use Say::{Close, Publish, Unpublish};

    /// Who says what, and what it changes.
    type Step = (&'static str, Say, Change);

    fn client(id: &str) -> Client {
        Client { server: "vid-1".into(), id: id.into() }
    }

    fn say(sessions: &mut Sessions, id: &str, what: Say, at_s: i64) -> Change {
        match what {
            Publish => sessions.publish(&client(id), COURT, at_s * S),
            Unpublish => sessions.unpublish(&client(id)),
            Close => sessions.close(&client(id), at_s * S),
        }
    }

    #[test]
    fn callbacks_that_are_lost_doubled_and_late_leave_what_is_true() {
        let (began, ended) = (Change::Began(COURT), Change::Ended(COURT));
        let table: &[(&str, &[Step], &[&str])] = &[
            (
                "as it should be",
                &[("a", Publish, began), ("a", Unpublish, ended), ("a", Close, Change::None)],
                &[],
            ),
            ("on_unpublish is lost", &[("a", Publish, began), ("a", Close, ended)], &[]),
            ("on_close is lost", &[("a", Publish, began), ("a", Unpublish, ended)], &[]),
            ("on_publish is lost", &[("a", Unpublish, Change::None), ("a", Close, Change::None)], &[]),
            (
                "everything comes twice",
                &[
                    ("a", Publish, began),
                    ("a", Publish, Change::None),
                    ("a", Unpublish, ended),
                    ("a", Unpublish, Change::None),
                    ("a", Close, Change::None),
                    ("a", Close, Change::None),
                ],
                &[],
            ),
            (
                "on_publish comes after on_close",
                &[("a", Close, Change::None), ("a", Publish, Change::None)],
                &[],
            ),
            (
                "all of it replayed afterwards",
                &[
                    ("a", Publish, began),
                    ("a", Close, ended),
                    ("a", Publish, Change::None),
                    ("a", Unpublish, Change::None),
                    ("a", Close, Change::None),
                ],
                &[],
            ),
            (
                "a second publisher on a busy stream",
                &[("a", Publish, began), ("b", Publish, began), ("b", Close, ended)],
                &["a"],
            ),
            (
                "a connection publishes again",
                &[("a", Publish, began), ("a", Unpublish, ended), ("a", Publish, began)],
                &["a"],
            ),
            (
                "a reconnect before the old one is noticed",
                &[
                    ("a", Publish, began),
                    ("b", Publish, began),
                    ("a", Unpublish, ended),
                    ("a", Close, Change::None),
                ],
                &["b"],
            ),
        ];
        for (what, steps, left) in table {
            let mut sessions = Sessions::default();
            for (at, (id, said, change)) in (0..).zip(*steps) {
                assert_eq!(say(&mut sessions, id, *said, at), *change, "{what}: step {at}");
            }
            let open: Vec<_> = sessions.publications().into_iter().map(|session| session.client).collect();
            assert_eq!(open, *left, "{what}");
        }
    }

    #[test]
    fn every_order_of_one_life_ends_with_nobody_once_it_is_closed() {
        for order in [
            [Publish, Unpublish, Close],
            [Publish, Close, Unpublish],
            [Unpublish, Publish, Close],
            [Unpublish, Close, Publish],
            [Close, Publish, Unpublish],
            [Close, Unpublish, Publish],
        ] {
            let mut sessions = Sessions::default();
            for said in order {
                say(&mut sessions, "a", said, 0);
            }
            assert_eq!(sessions.publications(), [], "{order:?}");
        }
    }

    #[test]
    fn the_list_ends_what_it_has_had_time_to_list() {
        let mut sessions = Sessions::default();
        let elsewhere = Client { server: "vid-2".into(), id: "a".into() };
        for id in ["listed", "lost"] {
            sessions.publish(&client(id), COURT, 0);
        }
        sessions.publish(&elsewhere, None, 0);
        let asked_us = LISTING_GRACE_US;
        sessions.publish(&client("young"), COURT, asked_us - 1);
        let listed = HashSet::from([client("listed")]);
        let ended = sessions.retain_listed("vid-1", &listed, asked_us);
        assert_eq!(ended, [(client("lost"), Change::Ended(COURT))]);
        assert!(["listed", "young"].iter().all(|id| sessions.is_open(&client(id))));
        assert!(sessions.is_open(&elsewhere), "another server's are not this one's to list");
        assert_eq!(sessions.end_server("vid-2"), [(elsewhere, Change::Ended(None))]);
        assert_eq!(sessions.publications().len(), 2);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_is_forgotten_first() {
        let mut sessions = Sessions::default();
        for number in 0..MAX_SESSIONS + 3 {
            sessions.publish(&client(&number.to_string()), COURT, number as i64);
        }
        assert_eq!(sessions.open.len(), MAX_SESSIONS);
        assert!(!sessions.is_open(&client("2")) && sessions.is_open(&client("3")));
        for number in 0..MAX_CLOSED + 3 {
            sessions.close(&client(&number.to_string()), 0);
        }
        assert!(sessions.closed.len() <= MAX_CLOSED && sessions.closed_order.len() <= MAX_CLOSED);
        assert_eq!(sessions.closed.len(), sessions.closed_order.len());
        sessions.publish(&client("x"), COURT, CLOSED_AGE_US);
        assert!(sessions.closed.is_empty());
        // A clock that is set back does not keep them for ever.
        sessions.close(&client("x"), CLOSED_AGE_US);
        sessions.publish(&client("y"), COURT, 0);
        assert!(sessions.closed.is_empty());
    }
}
