//! Every route of the document, for everybody who may come: who is on the machine, a page of another site in a browser there, whoever
//! comes through a proxy, who has a pass of another club, and an operator. The club shows its matches by code.

use crate::node::{Node, TOKEN, path};
use access::Policy;
use reqwest::{Method, RequestBuilder, header};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use turepe_serve::Operators;
use uuid::Uuid;

const NOW: &str = "2026-11-21T11:30:00Z";

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Caller {
    /// A program on the machine; the node's operators said that this is enough to be told something.
    Machine,
    /// A page of another site, in a browser on the machine.
    OtherSite,
    /// Through a proxy on the machine: anybody.
    Stranger,
    /// The same, let in by another club.
    OtherClub,
    /// The same, with the token.
    Operator,
}

const CALLERS: [Caller; 5] =
    [Caller::Machine, Caller::OtherSite, Caller::Stranger, Caller::OtherClub, Caller::Operator];

/// What each of [`CALLERS`] gets.
type Row = (Method, &'static str, String, [u16; 5]);

struct Stage {
    node: Node,
    other_club: String,
}

impl Stage {
    fn ask(&self, caller: Caller, method: &Method, path: &str) -> RequestBuilder {
        let request = self.node.client.request(method.clone(), self.node.url(path));
        let request = if *method == Method::POST {
            request
                .json(&json!({"code": "WRONG2", "date": "2026-11-21", "time": "10:00", "court": "central"}))
        } else {
            request
        };
        let behind_proxy = |request: RequestBuilder| request.header("x-forwarded-for", "203.0.113.9");
        match caller {
            Caller::Machine => request,
            Caller::OtherSite => {
                request.header(header::ORIGIN, "https://evil.example").header("sec-fetch-site", "cross-site")
            }
            Caller::Stranger => behind_proxy(request),
            Caller::OtherClub => behind_proxy(request).header(header::COOKIE, &self.other_club),
            Caller::Operator => behind_proxy(request).bearer_auth(TOKEN),
        }
    }
}

async fn stage() -> (Stage, Uuid) {
    let node = Node::with(NOW, |config| config.operators = Operators::with_token(TOKEN).and_loopback()).await;
    let club = node.club("sur", "Europe/Madrid", "08:00-24:00", 60).await;
    let other = node.club("norte", "Europe/Madrid", "08:00-24:00", 60).await;
    for club in [&club, &other] {
        node.catalog.set_access(club.id, Policy::Code).await.unwrap();
        let court = node.court(club, "central").await;
        node.channel(&court, "main").await;
    }
    let court = node.catalog.courts(club.id).await.unwrap().remove(0);
    let channels = node.catalog.channels().await.unwrap();
    let channel = channels.iter().find(|channel| channel.court_id == Some(court.id)).unwrap().id;
    node.record(channel, "2026-11-21T08:50:00Z", "2026-11-21T10:10:00Z").await;
    let link = node.client.post(node.url("/api/clubs/norte/links")).bearer_auth(TOKEN);
    let link: Value = link.json(&json!({})).send().await.unwrap().json().await.unwrap();
    let secret =
        link["path"].as_str().unwrap_or_else(|| panic!("{link}")).split_once("#link=").unwrap().1.to_owned();
    let shown = node.client.post(node.url("/api/clubs/norte/access")).json(&json!({"link": secret}));
    let shown = shown.send().await.unwrap();
    assert_eq!(shown.status(), 200);
    let cookie = shown.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    (Stage { node, other_club: cookie }, channel)
}

/// One row a route: a new one has to be judged here before the tests are green.
#[tokio::test]
async fn every_route_answers_everybody_as_it_was_judged() {
    let (stage, channel) = stage().await;
    let court = "/api/clubs/sur/courts/central";
    let replay =
        stage.ask(Caller::Operator, &Method::GET, &format!("{court}/replay?date=2026-11-21&time=10:00"));
    let replay: Value = replay.send().await.unwrap().json().await.unwrap();
    let address = |name: &str| path(&replay[name]);
    let playlist = String::from_utf8(stage.node.bytes(&address("playlistUrl")).await.to_vec()).unwrap();
    let init = playlist.split("URI=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let gone = Uuid::nil();
    let (get, post, delete) = (Method::GET, Method::POST, Method::DELETE);
    let query = "date=2026-11-21";

    // Told to everybody; to people who run the server; to those with the token; and what an address opens to whoever has it.
    let all = [200; 5];
    let told = [200, 403, 403, 403, 200];
    let token = |status| [403, 403, 403, 403, status];
    let table: Vec<Row> = vec![
        (get.clone(), "/api/clubs", "/api/clubs".into(), all),
        (get.clone(), "/api/clubs/{club}", "/api/clubs/sur".into(), all),
        (get.clone(), "/api/clubs/{club}/courts/{court}/days", format!("{court}/days?month=2026-11"), all),
        (get.clone(), "/api/clubs/{club}/courts/{court}/slots", format!("{court}/slots?{query}"), all),
        (
            get.clone(),
            "/api/clubs/{club}/courts/{court}/replay",
            format!("{court}/replay?{query}&time=10:00"),
            token(200),
        ),
        (post.clone(), "/api/clubs/{club}/access", "/api/clubs/sur/access".into(), [403; 5]),
        (get.clone(), "/api/clubs/{club}/links", "/api/clubs/sur/links".into(), token(200)),
        (post.clone(), "/api/clubs/{club}/links", "/api/clubs/sur/links".into(), token(400)),
        (delete.clone(), "/api/clubs/{club}/links/{id}", format!("/api/clubs/sur/links/{gone}"), token(404)),
        (get.clone(), "/api/clubs/{club}/courts/{court}/codes", format!("{court}/codes?{query}"), token(200)),
        (post, "/api/clubs/{club}/courts/{court}/codes", format!("{court}/codes"), token(400)),
        (delete, "/api/clubs/{club}/codes/{id}", format!("/api/clubs/sur/codes/{gone}"), token(404)),
        (get.clone(), "/api/channels/{channel}/live", format!("/api/channels/{channel}/live"), token(200)),
        (get.clone(), "/api/node/ledger", "/api/node/ledger".into(), told),
        (get.clone(), "/api/node/relays", "/api/node/relays".into(), told),
        (get.clone(), "/metrics", "/metrics".into(), told),
        (get.clone(), "/healthz", "/healthz".into(), all),
        (get.clone(), "/readyz", "/readyz".into(), all),
        (get.clone(), "/replay/{token}/index.m3u8", address("playlistUrl"), all),
        (get.clone(), "/replay/{token}.mp4", address("downloadUrl"), all),
        (get.clone(), "/frame/{token}.jpg", address("thumbnailUrl"), all),
        (get.clone(), "/media/{token}/{segment}.mp4", path(&replay["fragments"][1]["url"]), all),
        (get.clone(), "/init/{hash}.mp4", init, all),
        // By its id alone a channel is watched under `open`, and here there is none.
        (get.clone(), "/live/{channel}/index.m3u8", format!("/live/{channel}/index.m3u8"), [404; 5]),
        (get.clone(), "/live/{channel}.flv", format!("/live/{channel}.flv"), [404; 5]),
        (get, "/thumbs/{md5}.jpg", "/thumbs/00000000000000000000000000000000.jpg".into(), [404; 5]),
    ];

    let document = stage.node.json("/openapi.json").await;
    let documented: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, operations)| {
            let methods = operations.as_object().unwrap().keys().map(|method| method.to_uppercase());
            methods.map(|method| (method, path.clone())).collect::<Vec<_>>()
        })
        .collect();
    let judged: BTreeSet<_> =
        table.iter().map(|(method, route, ..)| (method.to_string(), (*route).to_owned())).collect();
    assert_eq!(judged, documented, "each route of the document stands in the table");

    let mut wrong = Vec::new();
    for (method, route, path, expected) in &table {
        for (caller, expected) in CALLERS.into_iter().zip(expected) {
            let response = stage.ask(caller, method, path).send().await.unwrap();
            let status = response.status().as_u16();
            if status != *expected {
                wrong.push(format!("{method} {route} for {caller:?}: {status}, not {expected}"));
            }
            // Media may be played on other sites; what is said in words is for the node's own pages.
            let is_shared = response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN);
            if is_shared && (route.starts_with("/api/") || *route == "/metrics") {
                wrong.push(format!("{method} {route} lets pages of other sites read it"));
            }
            if !response.status().is_success() && response.bytes().await.unwrap().is_empty() {
                wrong.push(format!("{method} {route} for {caller:?}: {status} without a word"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
