//! `turepe serve`

use std::future::Future;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use catalog::Catalog;

use crate::config::Config;
use crate::failure::Failure;
use crate::node::{Addresses, Node, PortSearch};
use crate::{output, signals};

/// Exit code after a second Ctrl-C: 128 and the number of SIGINT, as shells have it.
const FORCED: i32 = 130;

/// Runs a node until Ctrl-C or SIGTERM. Call it inside a runtime.
pub(crate) async fn run(config: &Config) -> Result<(), Failure> {
    signals::raise_open_files();
    let node = Node::open(config, PortSearch::Exact).await?;
    // Before anybody is told that it runs: whoever reads that may end it.
    let interrupted = interrupted_once();
    let addresses = node.addresses();
    let Addresses { http, https, rtmp, rtmps } = addresses;
    let shown = |address: Option<SocketAddr>| address.map(tracing::field::display);
    let (https_shown, rtmps_shown) = (shown(https), shown(rtmps));
    tracing::info!(%http, https = https_shown, %rtmp, rtmps = rtmps_shown, data = %config.node.data.display(), "node started");
    let website = https.map_or_else(
        || format!("http://{}/", reachable(http)),
        |https| format!("https://{}/ and http://{}/", reachable(https), reachable(http)),
    );
    output::line(format_args!(
        "Tu Repe {}\n  Website     {website}\n  Publish to  {}   (with a stream key of `turepe admin channel add`)\n  Data        {}",
        env!("CARGO_PKG_VERSION"),
        publish_urls(config, &addresses),
        config.node.data.display(),
    ))?;
    first_steps(node.catalog()).await?;
    node.run(interrupted).await;
    Ok(())
}

/// Resolves at the first signal from the call on; after that the second ends the process at once.
pub(crate) fn interrupted_once() -> impl Future<Output = ()> {
    let first = signals::interrupted();
    async move {
        first.await;
        let second = signals::interrupted();
        tokio::spawn(async move {
            second.await;
            std::process::exit(FORCED);
        });
    }
}

/// An address as a browser on this machine reaches it.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddrText {
    SocketAddrText(address)
}

/// Prints `localhost` where all addresses are listened on.
pub(crate) struct SocketAddrText(SocketAddr);

impl std::fmt::Display for SocketAddrText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let any = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        if any.contains(&self.0.ip()) { write!(f, "localhost:{}", self.0.port()) } else { self.0.fmt(f) }
    }
}

/// What to enter in OBS.
fn publish_urls(config: &Config, addresses: &Addresses) -> String {
    // Port 0 in the configuration is known only now.
    let plain = if config.rtmp.listen.port() == 0 {
        format!("rtmp://{}/live", reachable(addresses.rtmp))
    } else {
        config.rtmp.public_url.clone()
    };
    match addresses.rtmps {
        Some(rtmps) if !plain.starts_with("rtmps://") => {
            format!("rtmps://{}/live or {plain}", reachable(rtmps))
        }
        _ => plain,
    }
}

/// What to do with an empty catalog.
async fn first_steps(catalog: &Catalog) -> Result<(), Failure> {
    let clubs = catalog.clubs().await.map_err(|error| Failure::context("cannot read the catalog", error))?;
    if !clubs.is_empty() {
        return Ok(());
    }
    output::line(
        "\nThere is no club yet. In another terminal, in the same folder:\n\n  \
         turepe admin club add --slug club --name \"My Club\" --zone Europe/Madrid --open 08:00-24:00 --appointment-duration 90\n  \
         turepe admin court add --club club --slug court-1 --name \"Court 1\"\n  \
         turepe admin channel add --club club --court court-1 --push\n",
    )
}
