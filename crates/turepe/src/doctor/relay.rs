//! Whether the relay targets of all channels can be reached. What they say to a key only a publication can tell.

use std::time::Duration;

use relay::BaseUrl;
use tokio::net::TcpStream;

use super::{Finding, Patient};

/// How long a target may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn check(patient: &Patient<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for target in &patient.config.relay.targets {
        findings.push(reach(target).await);
    }
    findings
}

async fn reach(target: &BaseUrl) -> Finding {
    let (host, port) = target.authority();
    let says = match tokio::time::timeout(PATIENCE, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => return Finding::good(format!("{} accepts connections", target.masked())),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no connection within {} s", PATIENCE.as_secs()),
    };
    Finding::warning(
        format!("{}: {says}; channels are relayed there once it answers", target.masked()),
        "see that the target runs and that `[relay] targets` or TARGET_FORWARD_URL names it (docs/relay.md)",
    )
}
