//! `turepe demo`: a node with a club whose courts already have a match, and cameras that go on.
//!
//! Belongs here: what the demo club is, and the order of things. Not here: how footage is made (`backfill`), how much
//! of it stays (`budget`), who plays the cameras (`cameras`).

mod backfill;
mod budget;
mod cameras;
mod club;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use world::{Clock as _, Disk, SystemClock, SystemDisk, write_whole};

use crate::cli::Demo;
use crate::config::{Config, Sources};
use crate::data_folder::{self, Lock, Setup};
use crate::failure::Failure;
use crate::node::{Node, PortSearch};
use crate::publish::Clip;
use crate::serve_command::{interrupted_once, reachable};
use crate::{output, signals};

/// Twenty-four seconds with a running clock: what the cameras of the demo see.
static CLIP: &[u8] = include_bytes!("../../assets/demo.mp4");

/// Its name in the data folder.
const CLIP_FILE: &str = "demo-clip.mp4";

/// Where the demo lives unless told otherwise: never in the folder of a real node.
const DATA_FOLDER: &str = "./data/demo";

/// The configuration, with the demo's own folder unless one is named.
pub(crate) fn config(sources: &Sources) -> Result<Config, Failure> {
    let mut sources = sources.clone();
    // Whatever stands in `.env`: a demo says nothing to the world.
    sources.flags.push(("directory.kind".to_owned(), "none".to_owned()));
    sources.flags.push(("relay.targets".to_owned(), "none".to_owned()));
    let config = Config::read(&sources)?;
    if !config.node.is_default_data {
        return Ok(config);
    }
    sources.flags.push(("node.data".to_owned(), DATA_FOLDER.to_owned()));
    Ok(Config::read(&sources)?)
}

/// Runs the demo until Ctrl-C or SIGTERM. Call it inside a runtime.
pub(crate) async fn run(arguments: &Demo, config: &Config) -> Result<(), Failure> {
    signals::raise_open_files();
    // Ctrl-C counts from the first moment on.
    let mut interrupted = Box::pin(interrupted_once());
    let prepared = tokio::select! {
        prepared = prepare(arguments, config) => prepared?,
        () = &mut interrupted => return Ok(()),
    };
    let Prepared { node, cameras } = prepared;
    let addresses = node.addresses();
    let cameras = cameras.start(addresses.rtmp)?;
    output::line(format_args!("\n  Open http://{}/    (Ctrl-C ends the demo)\n", reachable(addresses.http)))?;
    node.run(interrupted).await;
    // After the node: the recordings end because the program does, not because a camera failed.
    cameras.stop().await;
    Ok(())
}

struct Prepared {
    node: Node,
    cameras: cameras::Plan,
}

async fn prepare(arguments: &Demo, config: &Config) -> Result<Prepared, Failure> {
    let lock = Lock::take(config)?;
    let (clip, path) = clip(arguments, config)?;
    let catalog = data_folder::open_catalog_with_footage(config, Setup::First).await?;
    let club = club::create_missing(&catalog).await?;
    let now_us = SystemClock.now_us();
    let plan = backfill::plan(&catalog, &club, &clip, now_us).await?;
    budget::prune(&catalog, config, &club, &plan).await?;
    if plan.is_empty() {
        output::line("The last match is recorded already.")?;
    } else {
        output::line(format_args!(
            "Recording the last match of {} courts through the real pipeline …",
            club.courts.len()
        ))?;
        let start = tokio::time::Instant::now();
        let bytes = backfill::run(&catalog, config, plan, Arc::new(clip)).await?;
        let seconds = start.elapsed().as_secs_f64();
        output::line(format_args!("… {:.0} MB in {seconds:.1} s.", bytes as f64 / 1e6))?;
    }
    let cameras = cameras::Plan::new(&catalog, &club, path).await?;
    catalog.close().await.map_err(|error| Failure::context("cannot close the catalog", error))?;
    // The node takes the folder itself.
    drop(lock);
    let node = Node::open(config, PortSearch::NextFree).await?;
    Ok(Prepared { node, cameras })
}

/// The clip and the file it stands in, from where the cameras publish it.
fn clip(arguments: &Demo, config: &Config) -> Result<(Clip, PathBuf), Failure> {
    let disk: &dyn Disk = &SystemDisk;
    if let Some(path) = &arguments.clip {
        return Ok((Clip::open(disk, path)?, path.clone()));
    }
    let path = config.node.data.join(CLIP_FILE);
    write_whole(disk, &path, CLIP)
        .map_err(|error| Failure::context(format_args!("cannot write {}", Path::display(&path)), error))?;
    let clip = Clip::from_bytes(&Bytes::from_static(CLIP));
    let clip = clip.map_err(|reason| {
        Failure::new(crate::failure::Kind::Failed, format!("the built-in clip: {reason}"))
    })?;
    Ok((clip, path))
}
