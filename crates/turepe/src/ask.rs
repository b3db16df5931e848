//! `turepe ask`: one request to the running node, as its operator.
//!
//! Belongs here: where the node listens and how it is asked. Not here: what it answers (`serve`).

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::cli;
use crate::config::{Config, near};
use crate::failure::{Failure, Kind};
use crate::{data_folder, operators, output};

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longest answer that is taken, in bytes: ten thousand clients of the monitoring are some 5 MB.
const MAX_ANSWER_BYTES: u64 = 64 << 20;

/// What the port of the monitoring answers and the main port does not, but for the summaries.
const MONITORING: &str = "/api/v1/";

/// Asks, and prints what comes back.
pub(crate) async fn run(arguments: &cli::Ask, config: &Config) -> Result<(), Failure> {
    let path = arguments.path.as_str();
    let token = operators::token(config)?.ok_or_else(|| {
        let file = config.http.operators_token_file.display();
        Failure::new(Kind::NotFound, format!("there is no operators' token in {file}: no node has started here, or --data names another folder"))
    })?;
    let address = address(config, path)?;
    let method = if arguments.delete { "DELETE" } else { "GET" };
    let answer = tokio::time::timeout(PATIENCE, exchange(address, method, path, &token))
        .await
        .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
        .map_err(|error| Failure::context(format_args!("the node at {address} does not answer"), error))?;
    let (status, body) = parse(&answer).ok_or_else(|| {
        Failure::new(
            Kind::Failed,
            format!("what answers at {address} does not speak HTTP, or said more than is read"),
        )
    })?;
    if (200..300).contains(&status) {
        return output::line(body.trim_end());
    }
    let kind = match status {
        401 | 403 => Kind::Refused,
        404 => Kind::NotFound,
        _ => Kind::Failed,
    };
    Err(Failure::new(kind, format!("the node answers with status {status}: {}", body.trim_end())))
}

/// Where the node is, by its own word: whoever else has a port of the settings is not shown the token.
fn address(config: &Config, path: &str) -> Result<SocketAddr, Failure> {
    let listening = data_folder::listening(config).ok_or_else(|| {
        let data = config.node.data.display();
        Failure::new(Kind::NotFound, format!("no node runs on {data}, or it has just begun: nobody is asked"))
    })?;
    if !path.starts_with(MONITORING) {
        return Ok(near(listening.http));
    }
    listening.monitoring.map(near).ok_or_else(|| {
        Failure::usage(
            "the node has no port for monitoring (`srs_api.listen`): it is switched off, or somebody else had it at the start",
        )
    })
}

/// HTTP/1.0: the answer is whole when the connection ends.
async fn exchange(address: SocketAddr, method: &str, path: &str, token: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let head =
        format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer).await?;
    Ok(answer)
}

fn parse(answer: &[u8]) -> Option<(u16, String)> {
    if answer.len() as u64 >= MAX_ANSWER_BYTES {
        return None;
    }
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}
