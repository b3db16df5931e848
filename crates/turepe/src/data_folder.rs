//! The data folder: made when missing, taken by one node at a time, home of the catalog by default.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use catalog::Catalog;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, ftruncate, open};
use rustix::io::{Errno, pread, write};
use uuid::Uuid;
use world::{Closed, Disk, SystemClock, SystemDisk};

use crate::catalog_key;
use crate::config::{CATALOG_KEY_FILE, Config, OPERATORS_TOKEN_FILE};
use crate::failure::{Failure, Kind};
use crate::identity::{self, Identity};
use crate::installation::{self, OpenError};

/// Makes the folder.
pub(crate) fn make(config: &Config) -> Result<(), Failure> {
    make_folder(&config.node.data, "the data folder", "node.data")
}

/// Makes the folder that sealed segments go to: one that cannot be made is an error of the start, and not of the first seal.
pub(crate) fn make_store(config: &Config) -> Result<(), Failure> {
    make_folder(&config.store.folder, "the folder of footage", "store.url")
}

fn make_folder(path: &Path, what: &str, setting: &str) -> Result<(), Failure> {
    SystemDisk.create_dir_all(path).map_err(|error| {
        Failure::new(Kind::Failed, format!("cannot make {what} {} (`{setting}`): {error}", path.display()))
    })
}

/// What the data folder of an installation holds, and no other folder: one of these at least. Footage counts, too: what is left
/// when all else is lost (`installation` tells of that).
const MARKS: [&str; 8] = [
    LOCK_FILE,
    installation::ID_FILE,
    identity::FILE,
    "turepe.db",
    CATALOG_KEY_FILE,
    OPERATORS_TOKEN_FILE,
    "store",
    "spool",
];

/// Whether the data folder is one that a node or a first set-up has made.
pub(crate) fn is_installation(config: &Config) -> bool {
    MARKS.iter().any(|mark| SystemDisk.exists(&config.node.data.join(mark)))
}

/// What a command may do where there is no installation yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Setup {
    /// It sets one up.
    First,
    /// Nothing: a mistyped folder is not made, let alone found healthy.
    Never,
}

/// Makes the folder for a command that may; says where a new installation is, as it may not be where somebody meant it. For all
/// others an error where there is no installation.
fn enter(config: &Config, setup: Setup) -> Result<(), Failure> {
    if is_installation(config) {
        return Ok(());
    }
    if setup == Setup::First {
        make(config)?;
        eprintln!("turepe: {} is a new installation from now on", config.node.data.display());
        return Ok(());
    }
    // A catalog elsewhere, whose key is there: operators may sit where no node is.
    if !is_catalog_below(config) && SystemDisk.exists(&config.database.key_file) {
        return Ok(());
    }
    Err(no_installation(config))
}

/// As for a first set-up, for who makes the catalog's tables: nothing where the catalog is elsewhere.
pub(crate) fn make_for_catalog(config: &Config) -> Result<(), Failure> {
    if is_catalog_below(config) { enter(config, Setup::First) } else { Ok(()) }
}

/// Whether the catalog is the file in the data folder, be it there or not.
fn is_catalog_below(config: &Config) -> bool {
    config.database.options.url == format!("sqlite:{}", config.node.data.join("turepe.db").display())
}

/// An error for commands that need one.
pub(crate) fn no_installation(config: &Config) -> Failure {
    let data = &config.node.data;
    let what = if SystemDisk.exists(data) {
        format!("there is no installation in the data folder {}", data.display())
    } else {
        format!("there is no data folder {}", data.display())
    };
    Failure::new(
        Kind::NotFound,
        format!(
            "{what}: is `--data` (`node.data`) right? `turepe serve` and `turepe admin club add` set a new one up"
        ),
    )
}

/// Closes the data folder, and a store beside it, to everybody but their user, and says so where there was something to close.
fn close(config: &Config) {
    close_folder(&config.node.data);
    let store = &config.store.folder;
    if !store.starts_with(&config.node.data) && SystemDisk.exists(store) {
        close_folder(store);
    }
}

/// Once a folder is closed nobody reaches what is in it, so the modes of that, of years of footage perhaps, are seen to beside the start
/// and not before it.
fn close_folder(folder: &Path) {
    let folder = folder.to_owned();
    match world::close_one_to_others(&folder) {
        Ok(false) => return,
        Ok(true) => {}
        Err(error) => {
            return tracing::error!(
                %error,
                folder = %folder.display(),
                "a folder cannot be closed to other users of this machine; `turepe doctor` says more"
            );
        }
    }
    let closing = std::thread::Builder::new().name("closing".to_owned()).spawn(move || {
        let folder = folder.as_path();
        let Closed { closed, failed } = world::close_to_others(folder).unwrap_or_default();
        tracing::warn!(
            folder = %folder.display(),
            closed,
            failed,
            "a folder was open to other users of this machine: it is closed now, and what is in it"
        );
    });
    if let Err(error) = closing {
        tracing::warn!(%error, "a folder is closed to other users of this machine; what is in it keeps its modes");
    }
}

/// Opens the catalog and brings it up to date; an error where there is footage of which it knows nothing. The handle speaks for
/// the node of the data folder; for nobody where that folder is somebody else's, which is no obstacle to naming a club. Where
/// there is no installation, `setup` says what becomes of it.
pub(crate) async fn open_catalog(config: &Config, setup: Setup) -> Result<Catalog, Failure> {
    enter(config, setup)?;
    // On the heap: what opens a database is deep enough by itself.
    let catalog = Box::pin(installation::open(config)).await?;
    Ok(match Identity::of(&config.node.data) {
        Ok(identity) => catalog.for_node(identity.id),
        Err(error) => {
            tracing::debug!(%error, "the catalog is opened for no node");
            catalog
        }
    })
}

/// As [`open_catalog`], for commands that look at every file: what is here and held by nobody, or by what this folder was
/// before, is this node's from now on, as at a start.
pub(crate) async fn open_catalog_with_footage(config: &Config, setup: Setup) -> Result<Catalog, Failure> {
    let catalog = open_catalog(config, setup).await?;
    let identity = Identity::of(&config.node.data)?;
    claim_footage(config, &catalog, &identity).await?;
    Ok(catalog)
}

/// As [`open_catalog_with_footage`], whether or not the catalog knows of the footage: for rebuilding a catalog from it.
pub(crate) async fn open_catalog_to_rebuild(config: &Config) -> Result<Catalog, Failure> {
    enter(config, Setup::First)?;
    let identity = Identity::of(&config.node.data)?;
    let catalog = Catalog::open_with(&config.database.options, Arc::new(SystemClock))
        .await
        .map_err(|error| Failure::context("cannot open the catalog", error))?;
    let catalog = catalog_key::unlock(config, catalog).await?.for_node(identity.id);
    claim_footage(config, &catalog, &identity).await?;
    Ok(catalog)
}

async fn claim_footage(config: &Config, catalog: &Catalog, identity: &Identity) -> Result<(), Failure> {
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let former = former_nodes(config, identity);
    for holder in [None].into_iter().chain(former.into_iter().map(Some)) {
        archive::claim(catalog, &disk, &config.spool(), &config.store.folder, holder)
            .await
            .map_err(|error| Failure::context("cannot look for footage", error))?;
    }
    Ok(())
}

/// What this folder was before and may take over by itself: where its catalog came with it, nobody else has that. Where it
/// shares one, whoever was left behind may run and have the same files; then a person decides (`turepe admin node adopt`).
pub(crate) fn former_nodes(config: &Config, identity: &Identity) -> Vec<Uuid> {
    if identity::is_catalog_private(config) { identity.former.clone() } else { Vec::new() }
}

/// As [`open_catalog`], for a node: a database that does not answer yet is waited for, as after a power cut, when it may
/// start later than its clients.
pub(crate) async fn await_catalog(config: &Config) -> Result<Catalog, Failure> {
    make(config)?;
    let mut is_told = false;
    loop {
        match Box::pin(installation::open_and_seal(config)).await {
            Err(OpenError::Catalog(error)) if error.is_temporary() => {
                if !is_told {
                    tracing::warn!(%error, "waiting for the database");
                    is_told = true;
                }
                tokio::time::sleep(DATABASE_PAUSE).await;
            }
            opened => {
                let catalog = opened?;
                installation::marry(config, &catalog).await;
                return Ok(catalog);
            }
        }
    }
}

/// Pause between two looks for a database that does not answer.
const DATABASE_PAUSE: Duration = Duration::from_secs(1);

/// Holds the process id of the node that has the folder, and where it listens, a line each.
const LOCK_FILE: &str = "turepe.lock";

/// One node per data folder: two would write into each other's segments. The folder is ours while this lives. The kernel lets go with the process, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    file: OwnedFd,
}

/// Longest lock file that is read, in bytes.
const MAX_LOCK_BYTES: usize = 256;

/// Where the node that has a data folder listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Listening {
    /// For HTTP.
    pub(crate) http: SocketAddr,
    /// For monitoring; `None` where it is switched off, or somebody else has its port.
    pub(crate) monitoring: Option<SocketAddr>,
}

impl Lock {
    /// Takes the folder, or tells who has it.
    pub(crate) fn take(config: &Config) -> Result<Self, Failure> {
        make(config)?;
        close(config);
        let folder = config.node.data.as_path();
        let path = folder.join(LOCK_FILE);
        let problem = |error: Errno| Failure::context(format_args!("cannot lock {}", path.display()), error);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let file = open(&path, flags, Mode::from_raw_mode(0o600)).map_err(problem)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(taken(folder, &file)),
            Err(error) => return Err(problem(error)),
        }
        let pid = format!("{}\n", std::process::id());
        ftruncate(&file, 0).and_then(|()| write(&file, pid.as_bytes())).map_err(problem)?;
        Ok(Self { file })
    }

    /// Notes where the node listens, for commands that ask it something: a port in the settings may be somebody else's.
    pub(crate) fn note(&self, listening: Listening) -> Result<(), Errno> {
        let Listening { http, monitoring } = listening;
        let monitoring = monitoring.map(|address| address.to_string()).unwrap_or_default();
        write(&self.file, format!("{http}\n{monitoring}\n").as_bytes()).map(drop)
    }
}

/// Where the node listens that has the folder; `None` where none has it, or it has just begun.
pub(crate) fn listening(config: &Config) -> Option<Listening> {
    if !is_taken(config) {
        return None;
    }
    let path = config.node.data.join(LOCK_FILE);
    let bytes = world::read_whole(&SystemDisk, &path, MAX_LOCK_BYTES).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let mut lines = text.lines().skip(1);
    Some(Listening { http: lines.next()?.parse().ok()?, monitoring: lines.next()?.parse().ok() })
}

/// Whether a node has the folder now. Makes nothing, and takes nothing for longer than the look.
pub(crate) fn is_taken(config: &Config) -> bool {
    let path = config.node.data.join(LOCK_FILE);
    let Ok(file) = open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else { return false };
    flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
}

fn taken(folder: &Path, file: &OwnedFd) -> Failure {
    let mut text = [0; 20];
    // Without its number the sentence is still right.
    let count = pread(file, &mut text, 0).unwrap_or(0);
    let text = String::from_utf8_lossy(text.get(..count).unwrap_or_default());
    let pid = text.lines().next().unwrap_or_default();
    let who = if pid.is_empty() { String::new() } else { format!(" (process {pid})") };
    let message = format!(
        "another turepe{who} uses the data folder {}: stop it, or choose another folder with --data",
        folder.display()
    );
    Failure::new(Kind::Failed, message)
}
