//! The answers. An error is status 200 and a number, as SRS has it.

use super::{
    ClientFacts, ClientKind, Monitor, StreamFacts,
    door::nothing,
    rates::Of,
    shapes::{self, Envelope, Shape},
};
use crate::problem::Problem;
use axum::{
    Json,
    extract::{Path, RawQuery, State},
};
use uuid::Uuid;

/// `ERROR_RTMP_STREAM_NOT_FOUND` of SRS.
const STREAM_NOT_FOUND: i32 = 2048;
/// `ERROR_RTMP_CLIENT_NOT_FOUND` of SRS.
const CLIENT_NOT_FOUND: i32 = 2049;

/// Rows where nobody asks for more, and the fewest that are given: SRS has no smaller page.
const LEAST_ROWS: usize = 10;
/// The most.
const MOST_ROWS: usize = 10_000;

type Answer = Json<Envelope>;

pub(super) async fn versions(State(monitor): State<Monitor>) -> Answer {
    monitor.envelope(Shape::Versions { data: shapes::Version::this() })
}

pub(super) async fn summaries(State(monitor): State<Monitor>) -> Answer {
    let inner = &monitor.inner;
    let now_us = inner.clock.now_us();
    let (usage, own, all) = monitor.rates().usage();
    let uptime_s = (now_us.saturating_sub(inner.started_us) / 1_000_000).max(0);
    let data = shapes::Summary::new(now_us, uptime_s, inner.source.connections(), &usage, own, all);
    monitor.envelope(Shape::Summaries { data: Box::new(data) })
}

pub(super) async fn streams(State(monitor): State<Monitor>, RawQuery(query): RawQuery) -> Answer {
    let streams = monitor.inner.source.streams();
    let clients = monitor.inner.source.clients();
    let page = page(query.as_deref().unwrap_or_default(), &streams);
    let rows = page.iter().map(|stream| monitor.stream_row(stream, &clients)).collect();
    monitor.envelope(Shape::Streams { streams: rows })
}

pub(super) async fn stream(State(monitor): State<Monitor>, Path(id): Path<String>) -> Answer {
    let id: Option<Uuid> = id.parse().ok();
    let streams = monitor.inner.source.streams();
    match streams.iter().find(|stream| Some(stream.channel_id) == id) {
        Some(stream) => {
            let row = monitor.stream_row(stream, &monitor.inner.source.clients());
            monitor.envelope(Shape::Stream { stream: Box::new(row) })
        }
        None => Json(Envelope::error(STREAM_NOT_FOUND)),
    }
}

pub(super) async fn clients(State(monitor): State<Monitor>, RawQuery(query): RawQuery) -> Answer {
    let clients = monitor.inner.source.clients();
    let page = page(query.as_deref().unwrap_or_default(), &clients);
    let rows = page.iter().map(|client| monitor.client_row(client)).collect();
    monitor.envelope(Shape::Clients { clients: rows })
}

pub(super) async fn client(State(monitor): State<Monitor>, Path(id): Path<String>) -> Answer {
    let id: Option<u64> = id.parse().ok();
    match monitor.inner.source.clients().iter().find(|client| Some(client.id) == id) {
        Some(client) => {
            let row = monitor.client_row(client);
            monitor.envelope(Shape::Client { client: Box::new(row) })
        }
        None => Json(Envelope::error(CLIENT_NOT_FOUND)),
    }
}

pub(super) async fn drop_client(State(monitor): State<Monitor>, Path(id): Path<String>) -> Answer {
    match id.parse() {
        Ok(id) if monitor.inner.source.drop_client(id) => {
            tracing::info!(connection = id, "connection dropped by the monitoring API");
            monitor.envelope(Shape::Nothing {})
        }
        _ => Json(Envelope::error(CLIENT_NOT_FOUND)),
    }
}

pub(super) async fn nothing_here() -> Problem {
    nothing()
}

impl Monitor {
    fn envelope(&self, shape: Shape) -> Answer {
        Json(Envelope::new(&self.inner.server, &self.inner.service, shape))
    }

    fn stream_row(&self, stream: &StreamFacts, clients: &[ClientFacts]) -> shapes::Stream {
        let now_us = self.inner.clock.now_us();
        let rate = self.rates().rate(Of::Stream(stream.channel_id), now_us, stream.counters());
        let here = clients.iter().filter(|client| client.channel_id == stream.channel_id);
        let publisher =
            here.clone().find(|client| client.kind == ClientKind::Publisher).map(|client| client.id);
        let sent_bytes = here.clone().map(|client| client.sent_bytes).sum();
        shapes::Stream::new(stream, rate, now_us, publisher, here.count(), sent_bytes)
    }

    fn client_row(&self, client: &ClientFacts) -> shapes::Client {
        let now_us = self.inner.clock.now_us();
        let rate = self.rates().rate(Of::Client(client.id), now_us, client.counters());
        shapes::Client::new(client, rate, now_us)
    }
}

/// The part that `start` and `count` ask for. What is no number is 0, as `atoi` has it.
fn page<'a, T>(query: &str, rows: &'a [T]) -> &'a [T] {
    let number = |name: &str| {
        let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| value.parse::<usize>().ok()).unwrap_or(0)
    };
    let count = number("count").clamp(LEAST_ROWS, MOST_ROWS);
    let from = number("start").min(rows.len());
    rows.get(from..from.saturating_add(count).min(rows.len())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn pages_are_as_srs_has_them() {
        let rows: Vec<usize> = (0..25).collect();
        for (query, first, length) in [
            ("", Some(0), 10),
            ("start=0&count=1000", Some(0), 25),
            ("count=3", Some(0), 10),
            ("start=20", Some(20), 5),
            ("start=x&count=-1", Some(0), 10),
            ("start=25", None, 0),
            ("start=99999999999999999999&count=5", Some(0), 10),
            ("start=10&count=12", Some(10), 12),
        ] {
            let page = page(query, &rows);
            assert_eq!((page.first().copied(), page.len()), (first, length), "{query}");
        }
    }
}
