//! What a node needs beside the machine: its database, its ports, ffmpeg.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use access::Policy;
use catalog::Catalog;
use live::sandbox::{Needs, Sandbox};
use tokio::process::Command;
use world::{Disk as _, SystemClock, SystemDisk};

use super::{Finding, Patient};
use crate::identity::{self, Identity};
use crate::installation;

/// Clubs that are told by name.
const MAX_CLUBS_NAMED: usize = 10;

/// How long ffmpeg may take to tell its version.
const FFMPEG_PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn database(patient: &Patient<'_>) -> Vec<Finding> {
    let options = &patient.config.database.options;
    let url = options.url.as_str();
    let file = url.strip_prefix("sqlite:").map(|path| path.trim_start_matches("//"));
    if let Some(problem) = installation::look(patient.config).await {
        return vec![Finding::bad(problem, "put a backup in its place, or run turepe reindex")];
    }
    if let Some(file) = file
        && !SystemDisk.exists(Path::new(file))
    {
        return vec![Finding::good(format!("{file} is made at the first start"))];
    }
    let opened = async {
        let catalog = Catalog::open_with(options, Arc::new(SystemClock)).await?;
        let clubs = catalog.clubs().await?.len();
        catalog.close().await?;
        Ok::<_, catalog::CatalogError>(clubs)
    };
    vec![match opened.await {
        Ok(clubs) => Finding::good(format!("it answers, its schema is up to date, clubs: {clubs}")),
        Err(error) => Finding::bad(
            error.to_string(),
            if file.is_some() {
                "if it is damaged or lost: put a backup in its place, or move it away and run turepe reindex"
            } else {
                "see that the server runs and that `[database] url` names it, its database and its user (docs/databases.md)"
            },
        ),
    }]
}

/// Which clubs show everything to everybody: that is a choice, and one should know of it.
pub(super) async fn access(patient: &Patient<'_>) -> Vec<Finding> {
    // That it cannot be opened is told by the check of the database.
    let opened = Catalog::open_existing(&patient.config.database.options, Arc::new(SystemClock)).await;
    let Ok(Some(catalog)) = opened else { return Vec::new() };
    let Ok(clubs) = catalog.clubs().await else { return Vec::new() };
    if clubs.is_empty() {
        return Vec::new();
    }
    let open: Vec<&str> =
        clubs.iter().filter(|club| club.access == Policy::Open).map(|club| club.slug.as_str()).collect();
    let more = open.len().saturating_sub(MAX_CLUBS_NAMED);
    let named = open.iter().take(MAX_CLUBS_NAMED).copied().collect::<Vec<_>>().join(", ");
    let mut found = vec![Finding::good(match (open.len(), more) {
        (0, _) => "no club shows its matches to everybody".to_owned(),
        (_, 0) => {
            format!("everybody may watch: {named} (turepe admin club set --club SLUG --access link|code)")
        }
        _ => {
            format!(
                "everybody may watch: {named} and {more} more (turepe admin club set --club SLUG --access link|code)"
            )
        }
    })];
    if patient.config.covers.shared.is_some() && open.len() < clubs.len() {
        found.push(Finding::warning(
            "covers of clubs that are not open lie in `covers.folder`, for every user of this machine and for the web server that shows it",
            "take `covers.folder` out, or let this node alone answer /thumbs/: it shows the slate for them",
        ));
    }
    found
}

/// Whether the folder is the node that it was, and has what that node recorded.
pub(super) async fn identity(patient: &Patient<'_>) -> Vec<Finding> {
    let config = patient.config;
    let folder = &config.node.data;
    let name = identity::name(config);
    if let Some(why) = Identity::would_renew(folder) {
        let says =
            format!("{} was another node before ({why}): the next start goes by a new id", folder.display());
        let fix = if identity::is_catalog_private(config) {
            "nothing: that start takes over the footage that is in the folder"
        } else {
            "if the original is gone for good: turepe admin node list, then turepe admin node adopt ID of that node"
        };
        return vec![Finding::warning(says, fix)];
    }
    let Some(Identity { id, former }) = Identity::known(folder) else {
        return vec![Finding::good(format!("this node will be called `{name}`"))];
    };
    let mut left = Vec::new();
    if !identity::is_catalog_private(config) && !former.is_empty() {
        let opened = Catalog::open_with(&config.database.options, Arc::new(SystemClock)).await;
        // That it cannot be opened is told by the check of the database.
        if let Ok(catalog) = opened {
            for was in former {
                if catalog.held_segments(Some(was), i64::MIN, 1).await.is_ok_and(|held| !held.is_empty()) {
                    left.push(was);
                }
            }
            // It was only looked at: closing cannot lose anything.
            let _ = catalog.close().await;
        }
    }
    if left.is_empty() {
        return vec![Finding::good(format!("this node is `{name}`, {id}"))];
    }
    let warn = |was| {
        Finding::warning(
            format!("this folder was the node {was} before, and the database holds footage for that one"),
            format!("if that folder is gone for good: turepe admin node adopt {was}"),
        )
    };
    left.into_iter().map(warn).collect()
}

pub(super) async fn ports(patient: &Patient<'_>) -> Vec<Finding> {
    patient.config.ports().into_iter().map(|(key, address)| port(key, address, patient.is_running)).collect()
}

fn port(key: &str, address: SocketAddr, is_running: bool) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::good(format!("{address} (`{key}`) is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_running => {
            Finding::good(format!("{address} (`{key}`) is in use, and a node runs on this data folder"))
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Finding::bad(
            format!("{address} (`{key}`) is used by another program"),
            format!("sudo ss -ltnp 'sport = :{}'   (shows which; end it, or set `{key}`)", address.port()),
        ),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Finding::bad(
            format!("{address} (`{key}`): {error}"),
            "AmbientCapabilities=CAP_NET_BIND_SERVICE in the [Service] of the unit, or a port above 1023",
        ),
        Err(error) => Finding::bad(format!("{address} (`{key}`): {error}"), format!("set `{key}`")),
    }
}

/// What stands between foreign video and this machine while ffmpeg decodes it.
async fn sandbox(patient: &Patient<'_>) -> Finding {
    let node = &patient.config.node;
    let needs = Needs { folder: None, private: patient.config.private_folders() };
    match Sandbox::probe(&node.ffmpeg, &needs).await {
        Some(sandbox) if sandbox.missing().is_empty() => {
            Finding::good("it runs with files, sockets, memory and rights of its own alone")
        }
        Some(sandbox) => Finding::warning(
            format!("foreign video is decoded without: {}", sandbox.missing().join("; ")),
            "a kernel of 5.13 or newer with Landlock (`lsm=landlock,…`), seccomp, and sudo apt-get install util-linux",
        ),
        None => Finding::warning(
            format!("{} cannot be run in its sandbox", node.ffmpeg.display()),
            "look at the log of the node: it names what is missing",
        ),
    }
}

pub(super) async fn ffmpeg(patient: &Patient<'_>) -> Vec<Finding> {
    let program = &patient.config.node.ffmpeg;
    let mut command = Command::new(program);
    command.arg("-version").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let answer = tokio::time::timeout(FFMPEG_PATIENCE, command.output()).await;
    let says = match answer {
        Ok(Ok(output)) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            let version: Vec<&str> = text.split_whitespace().take(3).collect();
            return vec![Finding::good(version.join(" ")), sandbox(patient).await];
        }
        Ok(Ok(output)) => format!("it ended with {}", output.status),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("it said nothing within {} s", FFMPEG_PATIENCE.as_secs()),
    };
    vec![Finding::warning(
        format!("{}: {says}; matches and channels have no pictures", program.display()),
        "sudo apt-get install ffmpeg   (or set `node.ffmpeg`)",
    )]
}
