//! Covers: what is known is shown, nothing else is.

use crate::node::{Node, problem};
use live::covers::{CoverId, Covers, CoversConfig, Roster};
use std::{future::Future, pin::Pin, sync::Arc, time::Duration};
use uuid::Uuid;
use world::SystemDisk;

const NOW: &str = "2026-11-21T11:30:00Z";
const CHANNEL: Uuid = Uuid::from_u128(0x0199_9999_aaaa_7bbb_8ccc_dddd_eeee_ffff);

/// One channel.
struct One;

impl Roster for One {
    fn channels(&self) -> Pin<Box<dyn Future<Output = Option<Vec<Uuid>>> + Send + '_>> {
        Box::pin(async { Some(vec![CHANNEL]) })
    }
}

#[tokio::test]
async fn a_cover_is_shown_to_any_site_and_never_stored() {
    let mut covers = None;
    let node = Node::with(NOW, |config| {
        let folder = config.data.join("covers");
        config.covers = Some(Covers::new(CoversConfig::new(folder), Arc::new(SystemDisk)));
        covers.clone_from(&config.covers);
    })
    .await;
    let covers = covers.unwrap();
    let address = format!("/thumbs/{}", CoverId::of(CHANNEL).file_name());
    problem(node.get(&address).send().await.unwrap(), 404, "not_found").await;
    let running = tokio::spawn({
        let covers = covers.clone();
        async move { covers.run(Arc::new(One), std::future::pending()).await }
    });
    // It never was live: there is a slate as soon as the channel is known.
    let response = loop {
        let response = node.get(&address).send().await.unwrap();
        if response.status() == 200 {
            break response;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let headers = response.headers().clone();
    assert_eq!(headers["content-type"], "image/jpeg");
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["access-control-allow-origin"], "*");
    assert!(headers.get("vary").is_none());
    let slate = response.bytes().await.unwrap();
    assert!(slate.starts_with(&[0xff, 0xd8]));
    assert_eq!(headers["content-length"], slate.len().to_string().as_str());

    let head = node.client.head(node.url(&address)).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], headers["content-length"]);
    assert_eq!(head.headers()["etag"], headers["etag"]);
    assert!(head.bytes().await.unwrap().is_empty());
    let again = node.get(&address).header("if-none-match", &headers["etag"]).send().await.unwrap();
    assert_eq!(again.status(), 304);

    // Another picture is another version.
    let file = node.folder.path().join("covers").join(CoverId::of(CHANNEL).file_name());
    let mut other = slate.to_vec();
    other.splice(2..2, [0xff, 0xfe, 0, 4, b'h', b'i']);
    #[expect(clippy::disallowed_methods, reason = "a test works on real files")]
    std::fs::write(&file, &other).unwrap();
    let changed = node.get(&address).header("if-none-match", &headers["etag"]).send().await.unwrap();
    assert_eq!(changed.status(), 200);
    assert_ne!(changed.headers()["etag"], headers["etag"]);
    assert_eq!(changed.bytes().await.unwrap(), other);
    // Half a file, as a power cut may leave it, is none.
    #[expect(clippy::disallowed_methods, reason = "a test works on real files")]
    std::fs::write(&file, &other[..100]).unwrap();
    assert_eq!(node.bytes(&address).await, slate);

    let name = CoverId::of(CHANNEL).to_string();
    for address in [
        format!("/thumbs/{}", CoverId::of(Uuid::nil()).file_name()),
        format!("/thumbs/{name}"),
        format!("/thumbs/{}.jpg", name.to_uppercase()),
        format!("/thumbs/{CHANNEL}.jpg"),
        "/thumbs/slate.jpg".to_owned(),
        "/thumbs/..%2fturepe.db".to_owned(),
        "/thumbs/%2e%2e%2f%2e%2e%2fetc%2fpasswd".to_owned(),
        "/thumbs/.work".to_owned(),
        format!("/thumbs/{name}%00.jpg"),
        format!("/thumbs/frames%2f{name}.jpg"),
    ] {
        problem(node.get(&address).send().await.unwrap(), 404, "not_found").await;
    }
    let response = node.client.post(node.url(&address)).send().await.unwrap();
    problem(response, 405, "method_not_allowed").await;
    running.abort();
}
