//! `turepe admin node`: the nodes of a database, what each has on its disk, and a folder that was another node before.

use std::sync::Arc;

use archive::limits::NODE_ALIVE_US;
use catalog::{Catalog, Kind as RowKind, Node, NodeHoldings};
use serde_json::{Value, json};
use uuid::Uuid;
use world::{Clock as _, Disk, SystemClock, SystemDisk};

use super::{failure, instant, missing};
use crate::cli::NodeCommand;
use crate::config::Config;
use crate::data_folder;
use crate::failure::{Failure, Kind};
use crate::identity::Identity;
use crate::output;
use crate::progress::megabytes;

pub(super) async fn run(command: &NodeCommand, catalog: &Catalog, config: &Config) -> Result<(), Failure> {
    match command {
        NodeCommand::List { json } => list(catalog, *json).await,
        NodeCommand::Adopt { id, json } => adopt(catalog, config, *id, *json).await,
    }
}

/// A node with what it holds; one of both may be missing.
struct Line {
    node: Option<Node>,
    held: NodeHoldings,
}

async fn list(catalog: &Catalog, is_json: bool) -> Result<(), Failure> {
    let mut holdings = catalog.node_holdings().await.map_err(failure)?;
    let mut lines: Vec<Line> = Vec::new();
    for node in catalog.nodes().await.map_err(failure)? {
        let at = holdings.iter().position(|held| held.node_id == Some(node.id));
        let nothing = NodeHoldings { node_id: Some(node.id), ..NodeHoldings::default() };
        let held = at.map_or(nothing, |at| holdings.remove(at));
        lines.push(Line { node: Some(node), held });
    }
    lines.extend(holdings.into_iter().map(|held| Line { node: None, held }));
    let (here, now_us) = (catalog.node_id(), SystemClock.now_us());
    if is_json {
        let nodes: Vec<Value> = lines.iter().map(|line| line_json(line, here, now_us)).collect();
        return output::json(&json!({ "nodes": nodes }));
    }
    if lines.is_empty() {
        return output::line("No node has started with this database yet.");
    }
    lines.iter().try_for_each(|line| output::line(describe(line, here, now_us)))
}

/// Whether a node said within the last minute that it runs.
fn is_running(node: &Node, now_us: i64) -> bool {
    now_us.saturating_sub(node.last_seen_us) <= NODE_ALIVE_US
}

fn describe(line: &Line, here: Option<Uuid>, now_us: i64) -> String {
    let Line { node, held } = line;
    let what = format!(
        "growing {}, only there {} ({}), copies of the bucket's {} ({})",
        held.growing,
        held.sealed,
        megabytes(held.sealed_bytes),
        held.copies,
        megabytes(held.copy_bytes)
    );
    let Some(id) = held.node_id else { return format!("held by no node: {what}") };
    let Some(node) = node else { return format!("{id}  has never started with this database: {what}") };
    let state = if is_running(node, now_us) { "runs" } else { "last seen" };
    let this = if Some(id) == here { "  (this data folder)" } else { "" };
    format!("{id}  {}{this}\n  {state} {}\n  {what}", node.name, instant(node.last_seen_us))
}

fn line_json(line: &Line, here: Option<Uuid>, now_us: i64) -> Value {
    let Line { node, held } = line;
    json!({
        "id": held.node_id,
        "name": node.as_ref().map(|node| &node.name),
        "isThis": held.node_id.is_some() && held.node_id == here,
        "isRunning": node.as_ref().is_some_and(|node| is_running(node, now_us)),
        "firstSeen": node.as_ref().map(|node| instant(node.first_seen_us)),
        "lastSeen": node.as_ref().map(|node| instant(node.last_seen_us)),
        "growing": held.growing,
        "sealed": held.sealed,
        "sealedBytes": held.sealed_bytes,
        "copies": held.copies,
        "copyBytes": held.copy_bytes,
    })
}

/// Takes over what a node held that is gone, as far as its files lie in this data folder.
async fn adopt(catalog: &Catalog, config: &Config, id: Uuid, is_json: bool) -> Result<(), Failure> {
    // Says why there is none.
    let own = Identity::of(&config.node.data)?.id;
    if own == id {
        return Err(Failure::usage("that is the node of this data folder: it holds its own already"));
    }
    let node = catalog.node(id).await.map_err(failure)?;
    let node = node.ok_or_else(|| missing(RowKind::Node, &id.to_string(), "turepe admin node list"))?;
    let ago_us = SystemClock.now_us().saturating_sub(node.last_seen_us);
    if ago_us <= NODE_ALIVE_US {
        let message = format!(
            "the node `{}` ran {} s ago, and what it holds is its own. If it is gone for good: try again in {} s",
            node.name,
            (ago_us / 1_000_000).max(0),
            (NODE_ALIVE_US - ago_us.max(0)) / 1_000_000 + 1
        );
        return Err(Failure::new(Kind::Refused, message));
    }
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let claimed = archive::claim(catalog, &disk, &config.spool(), &config.store.folder, Some(id)).await;
    let claimed = claimed.map_err(|error| Failure::context("cannot take over what it held", error))?;
    if is_json {
        return output::json(&json!({ "id": id, "adopted": claimed.segments, "absent": claimed.absent }));
    }
    output::line(format_args!(
        "{} segments of `{}` are in this data folder and are this node's now; {} are not here and stay with it.",
        claimed.segments, node.name, claimed.absent
    ))?;
    if claimed.segments > 0 && data_folder::is_taken(config) {
        output::line("Restart the node of this data folder, so that it seals what was growing.")?;
    }
    Ok(())
}
