//! Who may watch: every way to footage, under each policy, for each kind of visitor.

use crate::{
    live::Camera,
    node::{Node, SECOND, at, path, problem},
};
use ::live::{
    Live,
    covers::{CoverId, Covers, CoversConfig, Roster},
};
use access::Policy;
use catalog::{Channel, Club, Court, NewChannel, Source};
use reqwest::{RequestBuilder, Response, header};
use serde_json::{Value, json};
use std::{future::Future, pin::Pin, sync::Arc};
use tokio::net::TcpListener;
use turepe_serve::{Listeners, Operators, ServeConfig, Server};
use uuid::Uuid;
use world::SystemDisk;

const NOW: &str = "2026-11-21T11:30:00Z";
const TOKEN: &str = "a-token-of-some-length";
const COURT: &str = "/api/clubs/sur/courts/central";
const MATCH: &str = "/api/clubs/sur/courts/central/replay?date=2026-11-21&time=10:00";

/// How long answers about access are remembered, and a little more.
const A_MOMENT: i64 = turepe_serve::limits::ACCESS_CACHE_US + SECOND;

/// A club with a recorded match from 10:00 to 11:00, and one that is being played since 12:00.
struct Stage {
    node: Node,
    club: Club,
    court: Court,
    channel: Channel,
    other: Club,
    covers: Covers,
    camera: Camera,
    hubs: Live,
}

struct One(Uuid);

impl Roster for One {
    fn channels(&self) -> Pin<Box<dyn Future<Output = Option<Vec<Uuid>>> + Send + '_>> {
        Box::pin(async { Some(vec![self.0]) })
    }
}

async fn stage(policy: Policy) -> Stage {
    let (hubs, mut covers) = (Live::new(), None);
    let node = Node::with(NOW, |config| {
        config.hubs = hubs.clone();
        config.operators = Operators::with_token(TOKEN);
        config.covers =
            Some(Covers::new(CoversConfig::new(config.data.join("covers")), Arc::new(SystemDisk)));
        covers.clone_from(&config.covers);
    })
    .await;
    let club = node.club("sur", "Europe/Madrid", "08:00-24:00", 60).await;
    let other = node.club("norte", "Europe/Madrid", "08:00-24:00", 60).await;
    node.catalog.set_access(other.id, policy).await.unwrap();
    node.catalog.set_access(club.id, policy).await.unwrap();
    let court = node.court(&club, "central").await;
    let channel = node.channel(&court, "main").await;
    node.record(channel.id, "2026-11-21T08:50:00Z", "2026-11-21T10:10:00Z").await;
    let covers = covers.unwrap();
    node.live.set(channel.id);
    let mut camera = Camera::new(&hubs, channel.id, node.now_us());
    camera.frames(9);
    Stage { node, club, court, channel, other, covers, camera, hubs }
}

/// A visitor as his browser sends him.
#[derive(Clone, Default)]
struct Visitor {
    cookie: Option<String>,
    token: Option<&'static str>,
}

impl Stage {
    fn get(&self, visitor: &Visitor, path: &str) -> RequestBuilder {
        let mut request = self.node.get(path);
        if let Some(cookie) = &visitor.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        match visitor.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn status(&self, visitor: &Visitor, path: &str) -> u16 {
        self.get(visitor, path).send().await.unwrap().status().as_u16()
    }

    async fn json(&self, visitor: &Visitor, path: &str) -> Value {
        let response = self.get(visitor, path).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.json().await.unwrap()
    }

    async fn post(&self, path: &str, body: &Value) -> Response {
        self.node.client.post(self.node.url(path)).bearer_auth(TOKEN).json(body).send().await.unwrap()
    }

    async fn made(&self, path: &str, body: Value) -> Value {
        let response = self.post(path, &body).await;
        assert_eq!(response.status(), 201, "{path}");
        response.json().await.unwrap()
    }

    /// A link of a club: its id and its secret.
    async fn link(&self, club: &str, what: Value) -> (String, String) {
        let made = self.made(&format!("/api/clubs/{club}/links"), what).await;
        let secret = made["path"].as_str().unwrap().split_once("#link=").unwrap().1.to_owned();
        (made["link"]["id"].as_str().unwrap().to_owned(), secret)
    }

    async fn code(&self, time: &str) -> String {
        let made = self.made(&format!("{COURT}/codes"), json!({"date": "2026-11-21", "time": time})).await;
        made["codes"][0]["code"].as_str().unwrap().to_owned()
    }

    async fn show(&self, from: &str, body: Value) -> Response {
        let request = self.node.client.post(self.node.url("/api/clubs/sur/access"));
        request.header("x-forwarded-for", from).json(&body).send().await.unwrap()
    }

    /// A visitor who has shown something.
    async fn with(&self, body: Value) -> Visitor {
        let response = self.show("203.0.113.1", body).await;
        assert_eq!(response.status(), 200);
        let set = response.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
        for part in ["; Path=/api/clubs/sur;", "; HttpOnly", "; SameSite=Strict"] {
            assert!(set.contains(part), "{set}");
        }
        Visitor { cookie: Some(set.split(';').next().unwrap().to_owned()), token: None }
    }

    /// The address of the playlist that goes so far back, if there is one.
    async fn rewind(&self, live: &str, seconds: u64) -> Option<String> {
        let variants = self.node.bytes(&format!("{live}?window={seconds}")).await;
        let variants = String::from_utf8(variants.to_vec()).unwrap();
        let address = variants.lines().find(|line| line.starts_with("rewind.m3u8"))?;
        Some(live.replace("index.m3u8", address))
    }

    async fn with_link(&self, what: Value) -> (Visitor, String) {
        let (id, secret) = self.link("sur", what).await;
        (self.with(json!({"link": secret})).await, id)
    }

    async fn with_code(&self, time: &str) -> Visitor {
        let code = self.code(time).await;
        self.with(json!({"code": code, "court": "central", "date": "2026-11-21", "time": time})).await
    }

    /// Every address that leads to pictures of the recorded match, as the API hands them out.
    async fn addresses(&self, visitor: &Visitor) -> Vec<String> {
        let replay = self.json(visitor, MATCH).await;
        let mut all: Vec<String> = ["playlistUrl", "downloadUrl", "thumbnailUrl"]
            .iter()
            .map(|field| path(&replay[*field]))
            .collect();
        all.extend(replay["fragments"].as_array().unwrap().iter().map(|fragment| path(&fragment["url"])));
        let playlist = self.node.get(&all[0]).send().await.unwrap().text().await.unwrap();
        all.extend(playlist.lines().find(|line| line.starts_with("/media/")).map(str::to_owned));
        assert!(all.len() > 4);
        all
    }

    /// What the club's page shows of the court that is live.
    async fn live_url(&self, visitor: &Visitor) -> Option<String> {
        let club = self.json(visitor, "/api/clubs/sur").await;
        let court = &club["courts"][0];
        assert_eq!(court["liveUrl"], court["channels"][0]["liveUrl"]);
        assert_eq!(court["isLive"], true);
        court["liveUrl"].as_str().map(str::to_owned)
    }

    async fn thumbnail(&self, visitor: &Visitor) -> Option<String> {
        let slots = self.json(visitor, &format!("{COURT}/slots?date=2026-11-21")).await;
        let slots = slots["slots"].as_array().unwrap();
        let slot = slots.iter().find(|slot| slot["time"] == "10:00").unwrap();
        assert_eq!(slot["coverage"], 1.0, "what was recorded is told to everybody");
        slot["thumbnailUrl"].as_str().map(str::to_owned)
    }
}

/// Everything of the match, and what is broadcast, for visitors of every kind.
async fn table(policy: Policy, refusal: &str) {
    let stage = stage(policy).await;
    let nobody = Visitor::default();
    let operator = Visitor { token: Some(TOKEN), cookie: None };
    let (all, _) = stage.with_link(json!({})).await;
    let (of_match, _) =
        stage.with_link(json!({"court": "central", "date": "2026-11-21", "time": "10:00"})).await;
    let (of_range, _) = stage
        .with_link(json!({"from": "2026-11-21T10:00:00+01:00", "to": "2026-11-21T12:00:00+01:00"}))
        .await;
    let (of_part, _) = stage
        .with_link(json!({"from": "2026-11-21T10:00:01+01:00", "to": "2026-11-21T12:00:00+01:00"}))
        .await;
    let (of_live, _) = stage.with_link(json!({"court": "central", "live": true})).await;
    let (revoked, id) = stage.with_link(json!({})).await;
    stage
        .node
        .client
        .delete(stage.node.url(&format!("/api/clubs/sur/links/{id}")))
        .bearer_auth(TOKEN)
        .send()
        .await
        .unwrap()
        .error_for_status()
        .unwrap();
    let (expired, _) = stage.with_link(json!({"expiresAt": "2026-11-21T12:30:01+01:00"})).await;
    stage.node.clock.advance(A_MOMENT);
    let forged = Visitor { cookie: Some(format!("turepe_pass={}", "A".repeat(44))), token: None };
    let guessed = Visitor { token: Some("Bearer-of-nothing-at-all"), cookie: None };
    // Who he is; whether he sees the match; whether he sees what is broadcast; why not.
    let visitors = [
        ("nobody", nobody.clone(), false, false, refusal),
        ("a forged pass", forged, false, false, refusal),
        ("a guessed token", guessed, false, false, refusal),
        ("an operator", operator, true, true, ""),
        ("a link to everything", all, true, true, ""),
        ("a link to the match", of_match, true, false, ""),
        ("a link to a range", of_range, true, false, ""),
        ("a link to a part of it", of_part, false, false, refusal),
        ("a link to live", of_live, false, true, refusal),
        ("a revoked link", revoked, false, false, "access_revoked"),
        ("an expired link", expired, false, false, "access_expired"),
    ];
    for (who, visitor, sees_match, sees_live, why) in visitors {
        let is_let_in = |is: bool| is || policy == Policy::Open;
        assert_eq!(stage.thumbnail(&visitor).await.is_some(), is_let_in(sees_match), "{policy} {who}");
        if is_let_in(sees_match) {
            for address in stage.addresses(&visitor).await {
                // Without a cookie: players, downloads and televisions send none.
                let response = stage.node.get(&address).send().await.unwrap();
                assert_eq!(response.status(), 200, "{policy} {who} {address}");
            }
        } else {
            for more in ["", "&channel="] {
                let more =
                    if more.is_empty() { String::new() } else { format!("{more}{}", stage.channel.id) };
                let response = stage.get(&visitor, &format!("{MATCH}{more}")).send().await.unwrap();
                let status = if why.starts_with("access_") { 410 } else { 403 };
                problem(response, status, why).await;
            }
        }
        let live = stage.live_url(&visitor).await;
        assert_eq!(live.is_some(), is_let_in(sees_live), "{policy} {who}");
        if let Some(live) = live {
            assert_eq!(live.contains(&stage.channel.id.to_string()), policy == Policy::Open, "{live}");
            let playlist = String::from_utf8(stage.node.bytes(&live).await.to_vec()).unwrap();
            let folder = live.strip_suffix("index.m3u8").unwrap();
            let segment = playlist.lines().find(|line| !line.starts_with('#')).unwrap();
            let response = stage.node.get(&format!("{folder}{segment}")).send().await.unwrap();
            let kept = response.headers()["cache-control"].to_str().unwrap().to_owned();
            assert_eq!(kept.starts_with("public"), policy == Policy::Open, "{kept}");
            let flv = live.replace("/index.m3u8", ".flv");
            assert_eq!(stage.status(&nobody, &flv).await, 200, "{policy} {who}");
        }
        // Open to everybody under every policy: what there is, not what it shows.
        for address in
            ["/api/clubs".to_owned(), format!("{COURT}/days?month=2026-11"), "/sur/central".to_owned()]
        {
            assert_eq!(stage.status(&visitor, &address).await, 200, "{address}");
        }
        // By its id, which everybody knows, only where the club is open.
        for file in [".flv", "/index.m3u8", "/index.m3u8?window=60"] {
            let status = stage.status(&visitor, &format!("/live/{}{file}", stage.channel.id)).await;
            assert_eq!(status, if policy == Policy::Open { 200 } else { 404 }, "{policy} {who} {file}");
        }
    }
    drop(stage.camera);
}

#[tokio::test]
async fn an_open_club_shows_everything_to_everybody() {
    table(Policy::Open, "").await;
}

#[tokio::test]
async fn a_club_with_links_shows_what_they_open() {
    table(Policy::Link, "link_required").await;
}

#[tokio::test]
async fn links_open_a_club_with_codes_too() {
    table(Policy::Code, "code_required").await;
}

#[tokio::test]
async fn a_code_opens_its_match_and_the_court_while_it_is_played() {
    let stage = stage(Policy::Code).await;
    let past = stage.with_code("10:00").await;
    for address in stage.addresses(&past).await {
        assert_eq!(stage.status(&Visitor::default(), &address).await, 200, "{address}");
    }
    assert!(stage.thumbnail(&past).await.is_some());
    assert_eq!(stage.live_url(&past).await, None, "its match is over");
    let beside = format!("{COURT}/replay?date=2026-11-21&time=09:00");
    problem(stage.get(&past, &beside).send().await.unwrap(), 403, "code_required").await;
    let around = format!("{COURT}/replay?from=2026-11-21T09:59:59%2B01:00&to=2026-11-21T11:00:00%2B01:00");
    problem(stage.get(&past, &around).send().await.unwrap(), 403, "code_required").await;
    // 12:30 in Madrid.
    let present = stage.with_code("12:00").await;
    let live = stage.live_url(&present).await.unwrap();
    assert!(!stage.node.bytes(&live).await.is_empty());
    problem(stage.get(&present, MATCH).send().await.unwrap(), 403, "code_required").await;
    // Back to the beginning of the match and no further: there the court is somebody else's.
    let rewind = stage.rewind(&live, 7 * 3600).await;
    assert!(rewind.is_none(), "nothing of this match is on disk, and the one before is somebody else's");
    stage.node.clock.advance(31 * 60 * SECOND);
    let over = stage.node.get(&live).send().await.unwrap();
    problem(over, 410, "token_expired").await;
    assert_eq!(stage.live_url(&present).await, None);

    // In a club with links a code opens nothing, also one that was shown before.
    stage.node.catalog.set_access(stage.club.id, Policy::Link).await.unwrap();
    stage.node.clock.advance(A_MOMENT);
    problem(stage.get(&past, MATCH).send().await.unwrap(), 403, "link_required").await;
}

#[tokio::test]
async fn a_live_viewer_goes_back_four_hours_and_chooses_no_instant() {
    let stage = stage(Policy::Open).await;
    let live = stage.live_url(&Visitor::default()).await.unwrap();
    stage.node.clock.advance(2 * 3600 * SECOND);
    for (seconds, first) in [(36_000, "09:30"), (14_400, "09:30"), (13_000, "09:50"), (12_600, "10:00")] {
        let address = stage.rewind(&live, seconds).await.unwrap();
        let playlist = String::from_utf8(stage.node.bytes(&address).await.to_vec()).unwrap();
        let begin = playlist.split("PROGRAM-DATE-TIME:").nth(1).unwrap();
        assert_eq!(&begin[..16], format!("2026-11-21T{first}"), "{seconds}");
        // A token belongs to its court.
        let elsewhere = Uuid::now_v7();
        let _camera = Camera::new(&stage.hubs, elsewhere, stage.node.now_us());
        let elsewhere = address.replace(&stage.channel.id.to_string(), &elsewhere.to_string());
        assert!(matches!(stage.status(&Visitor::default(), &elsewhere).await, 403 | 404));
    }
    for chosen in ["2026-11-21T08:50:00Z", "2026-11-21T10:00:00Z"] {
        let chosen = live.replace("index.m3u8", &format!("rewind.m3u8?from={}", at(chosen)));
        problem(stage.node.get(&chosen).send().await.unwrap(), 400, "bad_request").await;
    }
}

#[tokio::test]
async fn segments_at_the_edges_give_no_more_than_was_granted() {
    let stage = stage(Policy::Link).await;
    // From within one segment of five minutes into the next but one.
    let range = json!({"from": "2026-11-21T10:02:00+01:00", "to": "2026-11-21T10:12:00+01:00"});
    let (visitor, _) = stage.with_link(range).await;
    let address = format!("{COURT}/replay?from=2026-11-21T10:02:00%2B01:00&to=2026-11-21T10:12:00%2B01:00");
    let replay = stage.json(&visitor, &address).await;
    let playlist = stage.node.bytes(&path(&replay["playlistUrl"])).await;
    let playlist = String::from_utf8(playlist.to_vec()).unwrap();
    let mut lines = playlist.lines();
    let mut listed = Vec::new();
    while let Some(line) = lines.next() {
        let Some(bytes) = line.strip_prefix("#EXT-X-BYTERANGE:") else { continue };
        let (length, start) = bytes.split_once('@').unwrap();
        let (length, start): (u64, u64) = (length.parse().unwrap(), start.parse().unwrap());
        listed.push((lines.next().unwrap().to_owned(), start, start + length));
    }
    let ask = |url: &str, range: String| stage.node.get(url).header(header::RANGE, range).send();
    for (url, start, end) in &listed {
        let response = ask(url, format!("bytes={start}-{}", end - 1)).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), response.content_length()),
            (206, Some(end - start)),
            "{url}"
        );
    }
    let fragments = replay["fragments"].as_array().unwrap();
    assert_eq!(fragments.len(), 3);
    for (at, fragment) in fragments.iter().enumerate() {
        let url = path(&fragment["url"]);
        let ranges = || listed.iter().filter(|(listed, ..)| *listed == url);
        let first = ranges().map(|(_, start, _)| *start).min().unwrap();
        let last = ranges().map(|(.., end)| *end).max().unwrap();
        let head = stage.node.client.head(stage.node.url(&url)).send().await.unwrap();
        assert_eq!(head.status(), 200);
        if at == 1 {
            assert_eq!(stage.status(&visitor, &url).await, 200, "the one in the middle is theirs");
            continue;
        }
        problem(stage.node.get(&url).send().await.unwrap(), 403, "token_invalid").await;
        let size = fragment["sizeBytes"].as_u64().unwrap();
        let outside = [(0, 0), (first - 1, first), (last - 1, last), (0, size), (last, size)];
        for (start, end) in outside.into_iter().filter(|(start, end)| *start < first || *end >= last) {
            problem(ask(&url, format!("bytes={start}-{end}")).await.unwrap(), 403, "token_invalid").await;
        }
        for tail in ["bytes=0-".to_owned(), "bytes=-1".to_owned(), "bytes=0-1,5-6".to_owned()] {
            problem(ask(&url, tail).await.unwrap(), 403, "token_invalid").await;
        }
    }
}

#[tokio::test]
async fn what_is_taken_back_ends_and_so_does_what_was_opened_with_it() {
    let stage = stage(Policy::Code).await;
    let (visitor, link) = stage.with_link(json!({})).await;
    let by_code = stage.with_code("10:00").await;
    let open = stage.addresses(&visitor).await;
    let opened = stage.addresses(&by_code).await;
    let live = stage.live_url(&visitor).await.unwrap();
    let mut stream = stage.node.get(&live.replace("/index.m3u8", ".flv")).send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    let codes =
        stage.get(&Visitor { token: Some(TOKEN), cookie: None }, &format!("{COURT}/codes?date=2026-11-21"));
    let codes: Value = codes.send().await.unwrap().json().await.unwrap();
    assert_eq!(codes["codes"][0]["code"], Value::Null, "told once");
    let code = codes["codes"][0]["id"].as_str().unwrap();
    for address in [format!("/api/clubs/sur/links/{link}"), format!("/api/clubs/sur/codes/{code}")] {
        let foreign = address.replace("sur", "norte");
        let delete =
            |address: &str| stage.node.client.delete(stage.node.url(address)).bearer_auth(TOKEN).send();
        problem(delete(&foreign).await.unwrap(), 404, "grant_not_found").await;
        assert!(delete(&address).await.unwrap().status().is_success());
    }
    stage.node.clock.advance(A_MOMENT);
    for (addresses, status, code) in [(open, 410, "access_revoked"), (opened, 403, "code_required")] {
        for address in addresses {
            problem(stage.node.get(&address).send().await.unwrap(), status, code).await;
        }
    }
    problem(stage.node.get(&live).send().await.unwrap(), 410, "access_revoked").await;
    // The stream ends by itself.
    while stream.chunk().await.unwrap().is_some() {}
}

#[tokio::test]
async fn a_club_that_shuts_shuts_what_was_handed_out_before() {
    let stage = stage(Policy::Open).await;
    let open = stage.addresses(&Visitor::default()).await;
    let flv = format!("/live/{}.flv", stage.channel.id);
    let mut stream = stage.node.get(&flv).send().await.unwrap();
    stage.node.catalog.set_access(stage.club.id, Policy::Link).await.unwrap();
    stage.node.clock.advance(A_MOMENT);
    for address in open {
        problem(stage.node.get(&address).send().await.unwrap(), 403, "link_required").await;
    }
    while stream.chunk().await.unwrap().is_some() {}
    problem(stage.node.get(&flv).send().await.unwrap(), 404, "not_live").await;
    // And back: the same addresses are good again.
    stage.node.catalog.set_access(stage.club.id, Policy::Open).await.unwrap();
    stage.node.clock.advance(A_MOMENT);
    assert_eq!(stage.status(&Visitor::default(), MATCH).await, 200);
}

#[tokio::test]
async fn covers_are_public_where_the_club_is_open() {
    let stage = stage(Policy::Open).await;
    let running = tokio::spawn({
        let (covers, channel) = (stage.covers.clone(), stage.channel.id);
        async move { covers.run(Arc::new(One(channel)), std::future::pending()).await }
    });
    let address = format!("/thumbs/{}", CoverId::of(stage.channel.id).file_name());
    let slate = stage.covers.slate();
    let mut cover = slate.to_vec();
    cover.splice(2..2, [0xff, 0xfe, 0, 4, b'h', b'i']);
    let file = stage.node.folder.path().join("covers").join(CoverId::of(stage.channel.id).file_name());
    loop {
        let known = stage.node.get(&address).send().await.unwrap().status() == 200;
        if known {
            break;
        }
        tokio::task::yield_now().await;
    }
    #[expect(clippy::disallowed_methods, reason = "a test works on real files")]
    std::fs::write(&file, &cover).unwrap();
    assert_eq!(stage.node.bytes(&address).await, cover);
    let (visitor, _) = stage.with_link(json!({})).await;
    for policy in [Policy::Link, Policy::Code] {
        stage.node.catalog.set_access(stage.club.id, policy).await.unwrap();
        stage.node.clock.advance(A_MOMENT);
        for who in [&Visitor::default(), &visitor] {
            let response = stage.get(who, &address).send().await.unwrap();
            let headers = response.headers();
            assert_eq!(headers["cache-control"], "no-store");
            assert_eq!(headers["access-control-allow-origin"], "*");
            assert_eq!(headers["content-type"], "image/jpeg");
            assert_eq!(response.bytes().await.unwrap(), slate, "{policy}");
        }
    }
    running.abort();
}

#[tokio::test]
async fn wrong_codes_are_counted_by_slot_and_address_and_a_restart_forgets_nothing() {
    let stage = stage(Policy::Code).await;
    let code = stage.code("10:00").await;
    let wrong = if code.starts_with('2') { "333-333" } else { "222-222" };
    let body = |code: &str, time: &str| json!({"code": code, "court": "central", "date": "2026-11-21", "time": time});
    // What can be no code is not counted.
    for _ in 0..3 {
        problem(stage.show("203.0.113.9", body("000", "10:00")).await, 403, "code_wrong").await;
    }
    // One address, over several slots, some of which have no code: nobody learns which.
    for attempt in 0..access::PER_ADDRESS.failures {
        let time = ["10:00", "11:00", "12:00"][attempt as usize % 3];
        problem(stage.show("203.0.113.9", body(wrong, time)).await, 403, "code_wrong").await;
    }
    let refused = stage.show("203.0.113.9", body(&code, "10:00")).await;
    let after = refused.headers()[header::RETRY_AFTER].to_str().unwrap().parse::<i64>().unwrap();
    assert_eq!(after, access::PER_ADDRESS.window_us / SECOND + 1);
    let document: Value = refused.json().await.unwrap();
    assert_eq!(
        (&document["code"], &document["retryAt"]),
        (&json!("too_many_attempts"), &json!("2026-11-21T11:45:00.000Z"))
    );
    // Others are let in meanwhile, and being right costs nothing.
    for _ in 0..2 {
        assert_eq!(stage.show("198.51.100.1", body(&code, "10:00")).await.status(), 200);
    }
    let mut tried = 7;
    while tried < access::PER_SLOT.failures {
        problem(stage.show(&format!("198.51.100.{tried}"), body(wrong, "10:00")).await, 403, "code_wrong")
            .await;
        tried += 1;
    }
    problem(stage.show("192.0.2.1", body(&code, "10:00")).await, 429, "too_many_attempts").await;
    // Another process on the same catalog.
    let config = ServeConfig::new(stage.node.folder.path(), Arc::new(SystemDisk));
    let (archive, catalog) = (stage.node.archive.clone(), stage.node.catalog.clone());
    let server =
        Server::new(config, archive, catalog, stage.node.live.clone() as _, stage.node.clock.clone() as _);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/clubs/sur/access", listener.local_addr().unwrap());
    let server = server.await.unwrap();
    tokio::spawn(server.run(Listeners::from(listener), std::future::pending()));
    let show = |from: &str, time: &str| {
        stage.node.client.post(&url).header("x-forwarded-for", from).json(&body(&code, time)).send()
    };
    problem(show("192.0.2.1", "10:00").await.unwrap(), 429, "too_many_attempts").await;
    problem(show("203.0.113.9", "13:00").await.unwrap(), 429, "too_many_attempts").await;
    // An hour later the slot is open again; staff need not wait: a new code has new attempts.
    let renewed = json!({"date": "2026-11-21", "time": "10:00", "renew": true});
    let renewed = stage.made(&format!("{COURT}/codes"), renewed).await;
    let renewed = renewed["codes"][0]["code"].as_str().unwrap();
    problem(show("192.0.2.1", "10:00").await.unwrap(), 403, "code_wrong").await;
    assert_eq!(stage.show("192.0.2.1", body(renewed, "10:00")).await.status(), 200);
}

#[tokio::test]
async fn robots_that_fetch_a_link_spend_nothing() {
    let stage = stage(Policy::Link).await;
    let made = stage
        .made("/api/clubs/sur/links", json!({"court": "central", "date": "2026-11-21", "time": "10:00"}))
        .await;
    let link = made["path"].as_str().unwrap();
    let (page, secret) = link.split_once("#link=").unwrap();
    assert_eq!(page, "/sur/central/2026-11-21/10:00");
    // What is behind the # no client sends; a robot gets the page, which says nothing of the match.
    for _ in 0..3 {
        for request in [stage.node.get(page), stage.node.client.head(stage.node.url(page))] {
            let response = request.header(header::ACCEPT, "text/html").send().await.unwrap();
            assert_eq!(response.status(), 200);
            assert!(response.headers().get(header::SET_COOKIE).is_none());
        }
        let access = "/api/clubs/sur/access";
        problem(stage.node.get(access).send().await.unwrap(), 405, "method_not_allowed").await;
        assert_eq!(stage.node.client.head(stage.node.url(access)).send().await.unwrap().status(), 405);
    }
    for _ in 0..2 {
        let visitor = stage.with(json!({"link": secret})).await;
        assert_eq!(stage.status(&visitor, MATCH).await, 200);
    }
}

#[tokio::test]
async fn what_is_shown_must_be_of_this_club_and_whole() {
    let stage = stage(Policy::Link).await;
    let (_, foreign) = stage.link("norte", json!({})).await;
    for secret in ["", "x", &foreign, &foreign[1..], &"x".repeat(1_000)] {
        problem(stage.show("203.0.113.1", json!({"link": secret})).await, 403, "link_invalid").await;
    }
    // A cookie of one club opens nothing at another, whatever path it is sent to.
    let at_norte = stage.node.client.post(stage.node.url("/api/clubs/norte/access"));
    let response = at_norte.json(&json!({"link": foreign})).send().await.unwrap();
    let cookie =
        response.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    let visitor = Visitor { cookie: Some(cookie), token: None };
    problem(stage.get(&visitor, MATCH).send().await.unwrap(), 403, "link_required").await;
    let code = json!({"code": "222-222", "court": "central", "date": "2026-11-21", "time": "10:00"});
    problem(stage.show("203.0.113.1", code).await, 403, "link_required").await;
    for body in
        [json!({}), json!({"link": "a", "code": "b"}), json!({"lnik": "a"}), json!([]), json!({"link": 7})]
    {
        problem(stage.show("203.0.113.1", body).await, 400, "bad_request").await;
    }
    let plain = |kind: &str, body: String| {
        let request = stage.node.client.post(stage.node.url("/api/clubs/sur/access"));
        request.header(header::CONTENT_TYPE, kind).body(body).send()
    };
    // What a page of another site may send without asking.
    for kind in ["text/plain", "application/x-www-form-urlencoded"] {
        problem(plain(kind, "{}".into()).await.unwrap(), 400, "bad_request").await;
    }
    let long = format!("{{\"link\":\"{}\"}}", "x".repeat(turepe_serve::limits::MAX_JSON_BYTES));
    problem(plain("application/json", long).await.unwrap(), 413, "body_too_large").await;
    let nowhere = stage.node.client.post(stage.node.url("/api/clubs/nowhere/access"));
    problem(nowhere.json(&json!({"link": "a"})).send().await.unwrap(), 404, "club_not_found").await;
}

#[tokio::test]
async fn only_operators_hand_out_and_take_back() {
    let stage = stage(Policy::Code).await;
    let id = Uuid::now_v7();
    let codes = format!("{COURT}/codes");
    let client = &stage.node.client;
    let url = |path: &str| stage.node.url(path);
    let requests = || {
        [
            client.post(url("/api/clubs/sur/links")).json(&json!({})),
            client.get(url("/api/clubs/sur/links")),
            client.delete(url(&format!("/api/clubs/sur/links/{id}"))),
            client.post(url(&codes)).json(&json!({"date": "2026-11-21"})),
            client.get(url(&format!("{codes}?date=2026-11-21"))),
            client.delete(url(&format!("/api/clubs/sur/codes/{id}"))),
            client.get(url(&format!("/api/channels/{}/live", stage.channel.id))),
        ]
    };
    for request in requests() {
        let response = request.header("x-forwarded-for", "8.8.8.8").send().await.unwrap();
        problem(response, 403, "operators_only").await;
    }
    for request in requests() {
        let status = request.bearer_auth(TOKEN).send().await.unwrap().status();
        assert!(status.is_success() || status == 404, "{status}");
    }
    // All of a day, and each once.
    let again = stage.made(&codes, json!({"date": "2026-11-21"})).await;
    assert_eq!(again["codes"].as_array().unwrap().len(), 16);
    assert!(again["codes"].as_array().unwrap().iter().all(|code| code["code"].is_null()));
    for (body, code) in [
        (json!({"live": true, "from": "2026-11-21T10:00:00Z", "to": "2026-11-21T11:00:00Z"}), "bad_request"),
        (json!({"date": "2026-11-21"}), "bad_request"),
        (json!({"date": "2026-11-21", "time": "10:00"}), "bad_request"),
        (json!({"court": "central", "date": "2026-11-21", "time": "10:10"}), "no_such_slot"),
        (json!({"from": "2026-11-21T11:00:00Z", "to": "2026-11-21T10:00:00Z"}), "bad_request"),
        (json!({"expiresAt": "2026-11-21T10:00:00Z"}), "bad_request"),
        (json!({"expiresAt": "2076-11-21T10:00:00Z"}), "bad_request"),
        (json!({"court": "nowhere"}), "court_not_found"),
    ] {
        let response = stage.post("/api/clubs/sur/links", &body).await;
        let status = if code == "bad_request" { 400 } else { 404 };
        problem(response, status, code).await;
    }
    assert_eq!(stage.other.slug, "norte");
    assert_eq!(stage.court.slug, "central");
}

#[tokio::test]
async fn channels_of_no_club_are_open_unless_the_node_is_told_otherwise() {
    for policy in [Policy::Open, Policy::Closed] {
        let hubs = Live::new();
        let node = Node::with(NOW, |config| {
            config.hubs = hubs.clone();
            config.of_no_club = policy;
            config.operators = Operators::with_token(TOKEN);
        })
        .await;
        let new = NewChannel { court_id: None, name: "Alone".into(), source: Source::Push };
        let channel = node.catalog.create_channel(new).await.unwrap().0.id;
        let mut camera = Camera::new(&hubs, channel, node.now_us());
        camera.frames(9);
        let by_id = node.get(&format!("/live/{channel}/index.m3u8")).send().await.unwrap().status();
        assert_eq!(by_id, if policy == Policy::Open { 200 } else { 404 });
        let live =
            node.get(&format!("/api/channels/{channel}/live")).bearer_auth(TOKEN).send().await.unwrap();
        let live: Value = live.json().await.unwrap();
        assert_eq!(live["isLive"], true);
        assert_eq!(live["expiresAt"].is_null(), policy == Policy::Open);
        assert!(!node.bytes(&path(&live["liveUrl"])).await.is_empty());
    }
}
