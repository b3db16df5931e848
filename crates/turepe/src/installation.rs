//! Whether a catalog and the footage beside it belong together: asked before a catalog is believed, made or written to.
//!
//! A catalog that is lost, or another one than the day before (a mistyped URL, an empty database in its place), knows none of the
//! channels whose footage lies here. To start all the same would refuse every camera and treat footage as nobody's. Two
//! things bear witness: the channels that footage names, and an id that catalog and data folder both keep.
//!
//! Belongs here: the facts, the judgement, which is pure, and what is said of it. Not here: what reindexing does (`archive`).

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use archive::{FootageOf, footage_here, footage_in_bucket};
use catalog::{Catalog, CatalogError, masked_url};
use uuid::Uuid;
use world::{Clock, SystemClock, SystemDisk};

use crate::catalog_key;
use crate::config::Config;
use crate::failure::{Failure, Kind};

/// Holds the id of the catalog that the data folder was last used with.
pub(crate) const ID_FILE: &str = "turepe.catalog";

/// Longest such file.
const MAX_ID_FILE_BYTES: usize = 128;

/// Name of the catalog's note of its id.
const ID_NOTE: &str = "installation";

/// How long the bucket is waited for, where only it can tell.
const BUCKET_PATIENCE: Duration = Duration::from_secs(10);

/// What is known before a catalog is believed.
#[derive(Debug, Default)]
struct Facts {
    /// Whose footage there is.
    footage: Vec<FootageOf>,
    /// The channels that the catalog knows; none where there is no catalog.
    channels: HashSet<Uuid>,
    /// Whether it knows any club.
    has_clubs: bool,
    /// The catalog's id, if it has one.
    catalog_id: Option<Uuid>,
    /// The id of the catalog that the data folder was used with.
    folder_id: Option<Uuid>,
    /// Why the bucket could not be asked, where only it could tell.
    bucket_problem: Option<String>,
}

/// What follows from them.
#[derive(PartialEq, Debug)]
enum Judgement {
    /// They belong together, as far as anybody can see.
    Together,
    /// Some of the footage is of channels that the catalog does not know, such as this one.
    Partly(FootageOf, usize),
    /// The catalog knows nothing of the footage.
    Lost(FootageOf, usize),
    /// The catalog is another one, and does not know all of the footage.
    Other(FootageOf, usize),
    /// The catalog is new, the data folder is not, and the bucket that may hold its footage does not answer.
    Unclear(String),
}

fn judge(facts: &Facts) -> Judgement {
    let unknown: Vec<&FootageOf> =
        facts.footage.iter().filter(|footage| !facts.channels.contains(&footage.channel_id)).collect();
    let is_other = facts.folder_id.is_some() && facts.catalog_id != facts.folder_id;
    if let Some(example) = unknown.first() {
        let (example, count) = ((*example).clone(), unknown.len());
        return match facts.catalog_id {
            _ if count == facts.footage.len() => Judgement::Lost(example, count),
            // A catalog without an id is from before there were any: an old backup, at worst.
            Some(_) if is_other => Judgement::Other(example, count),
            _ => Judgement::Partly(example, count),
        };
    }
    match &facts.bucket_problem {
        Some(problem) if is_other && facts.channels.is_empty() => Judgement::Unclear(problem.clone()),
        _ => Judgement::Together,
    }
}

/// Opens a catalog that belongs to the footage beside it, and brings its schema up to date. Makes one only where there is
/// no footage, and changes nothing where there is an error. Its secrets are with it if their key is here; a shared database
/// is not sealed.
pub(crate) async fn open(config: &Config) -> Result<Catalog, OpenError> {
    catalog_key::unlock(config, belonging(config).await?).await
}

/// As [`open`], for a node: what is not sealed yet is sealed.
pub(crate) async fn open_and_seal(config: &Config) -> Result<Catalog, OpenError> {
    catalog_key::unlock_or_seal(config, belonging(config).await?).await
}

async fn belonging(config: &Config) -> Result<Catalog, OpenError> {
    let (facts, catalog) = Box::pin(gather(config)).await?;
    if let Some(problem) = problem(judge(&facts), &facts, config) {
        close(catalog).await;
        return Err(OpenError::Failure(Failure::new(Kind::Faults, problem)));
    }
    Ok(match catalog {
        Some(catalog) => catalog,
        None => {
            let opening = Catalog::open_with(&config.database.options, Arc::new(SystemClock));
            Box::pin(opening).await?
        }
    })
}

/// What keeps a catalog from being opened, for whoever only looks; nothing where the database does not answer.
pub(crate) async fn look(config: &Config) -> Option<String> {
    let (facts, catalog) = Box::pin(gather(config)).await.ok()?;
    close(catalog).await;
    problem(judge(&facts), &facts, config)
}

/// The catalog, if there is one; nothing is made.
pub(crate) async fn existing(config: &Config) -> Result<Option<Catalog>, CatalogError> {
    Catalog::open_existing(&config.database.options, Arc::new(SystemClock)).await
}

async fn close(catalog: Option<Catalog>) {
    if let Some(catalog) = catalog
        && let Err(error) = catalog.close().await
    {
        tracing::debug!(%error, "a catalog that was only looked at did not close");
    }
}

async fn gather(config: &Config) -> Result<(Facts, Option<Catalog>), OpenError> {
    let mut facts = Facts {
        footage: local_footage(config).await.map_err(OpenError::Failure)?,
        folder_id: folder_id(&config.node.data),
        ..Facts::default()
    };
    let catalog = Box::pin(existing(config)).await?;
    if let Some(open) = &catalog
        && let Err(error) = read(open, &mut facts).await
    {
        close(catalog).await;
        return Err(error.into());
    }
    if facts.footage.is_empty() && facts.channels.is_empty() {
        ask_bucket(config, &mut facts).await;
    }
    Ok((facts, catalog))
}

/// Why a catalog is not opened.
pub(crate) enum OpenError {
    /// The database's word.
    Catalog(CatalogError),
    /// Ours.
    Failure(Failure),
}

impl From<CatalogError> for OpenError {
    fn from(error: CatalogError) -> Self {
        Self::Catalog(error)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Catalog(error) => Self::context("cannot open the catalog", error),
            OpenError::Failure(failure) => failure,
        }
    }
}

/// Notes that catalog and data folder belong together from now on. Where that cannot be written down, footage alone bears
/// witness.
pub(crate) async fn marry(config: &Config, catalog: &Catalog) {
    let folder_id = folder_id(&config.node.data);
    let fresh = folder_id.unwrap_or_else(|| catalog.new_id());
    let noted = match catalog.note_once(ID_NOTE, &fresh.to_string()).await {
        Ok(noted) => noted,
        Err(error) => return tracing::warn!(%error, "the catalog's id cannot be noted"),
    };
    if folder_id.is_none_or(|id| id.to_string() != noted) {
        let path = config.node.data.join(ID_FILE);
        let written =
            tokio::task::spawn_blocking(move || world::write_whole(&SystemDisk, &path, noted.as_bytes()));
        if let Err(error) = written.await.map_err(std::io::Error::other).flatten() {
            tracing::warn!(%error, "the catalog's id cannot be noted in the data folder");
        }
    }
}

async fn local_footage(config: &Config) -> Result<Vec<FootageOf>, Failure> {
    let (store, spool) = (config.store.folder.clone(), config.spool());
    let looked = tokio::task::spawn_blocking(move || footage_here(&SystemDisk, &store, &spool)).await;
    let looked = looked.map_err(std::io::Error::other).flatten();
    looked.map_err(|error| Failure::context("cannot look through the footage in the data folder", error))
}

async fn read(catalog: &Catalog, facts: &mut Facts) -> Result<(), CatalogError> {
    facts.catalog_id = catalog.note(ID_NOTE).await?.and_then(|id| id.parse().ok());
    facts.has_clubs = !catalog.clubs().await?.is_empty();
    facts.channels = catalog.channels().await?.into_iter().map(|channel| channel.id).collect();
    Ok(())
}

/// A catalog without channels beside a folder without footage: new, or the footage is in the bucket.
async fn ask_bucket(config: &Config, facts: &mut Facts) {
    if config.store.is_in_memory() {
        return;
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let Ok(Some(bucket)) = config.store.bucket(&clock) else { return };
    let asked = tokio::time::timeout(BUCKET_PATIENCE, footage_in_bucket(bucket.as_ref())).await;
    match asked {
        Ok(Ok(footage)) => facts.footage = footage,
        Ok(Err(error)) => facts.bucket_problem = Some(error.to_string()),
        Err(_) => {
            facts.bucket_problem = Some(format!("it did not answer within {} s", BUCKET_PATIENCE.as_secs()));
        }
    }
}

fn folder_id(data: &Path) -> Option<Uuid> {
    let path: PathBuf = data.join(ID_FILE);
    let bytes = world::read_whole(&SystemDisk, &path, MAX_ID_FILE_BYTES).ok()?;
    std::str::from_utf8(&bytes).ok()?.trim().parse().ok()
}

/// What is wrong, and what to do; `None` where the catalog may be opened.
fn problem(judgement: Judgement, facts: &Facts, config: &Config) -> Option<String> {
    let database = masked_url(&config.database.options.url);
    let others =
        |count: usize| if count == 1 { String::new() } else { format!(" ({count} channels in all)") };
    let remedy = "Nothing was changed. See that `[database] url` and `--data` are right, or put the newest backup of the \
                  database in its place. If the catalog is lost, `turepe reindex` rebuilds it from the footage";
    match judgement {
        Judgement::Together => None,
        Judgement::Partly(example, count) => {
            tracing::warn!(
                channels = count,
                example = example.example,
                "there is footage of channels that the catalog does not know: `turepe reindex` takes it in"
            );
            None
        }
        Judgement::Lost(example, count) if facts.channels.is_empty() && !facts.has_clubs => Some(format!(
            "there is footage, and no catalog of it: {}{} is here, and {database} holds nothing. {remedy}",
            example.example,
            others(count)
        )),
        Judgement::Lost(example, count) => Some(format!(
            "the catalog knows nothing of the footage: {}{} is here, and its channel is not in {database}. {remedy}",
            example.example,
            others(count)
        )),
        Judgement::Other(example, count) => Some(format!(
            "the catalog is another one than this data folder was used with: {database} does not know the channel of {}{}. \
             {remedy}",
            example.example,
            others(count)
        )),
        Judgement::Unclear(reason) => Some(format!(
            "the data folder was used with another catalog than {database}, which is empty, and whether the bucket holds its \
             footage cannot be seen: {reason}. {remedy}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn footage(channels: &[u128]) -> Vec<FootageOf> {
        let of = |number: &u128| FootageOf { channel_id: id(*number), example: format!("file {number}") };
        channels.iter().map(of).collect()
    }

    #[test]
    fn catalog_and_footage_are_judged_by_channels_and_ids() {
        use Judgement::{Lost, Other, Partly, Together, Unclear};
        let one = |number: u128| footage(&[number]).remove(0);
        // What it is, footage of, channels known, the catalog's id, the folder's id, the bucket's problem.
        type Case<'a> =
            (&'a str, &'a [u128], &'a [u128], Option<u128>, Option<u128>, Option<&'a str>, Judgement);
        let table: [Case<'_>; 16] = [
            ("a new house", &[], &[], None, None, None, Together),
            ("a new house whose bucket is not set up", &[], &[], None, None, Some("no"), Together),
            ("every day", &[1, 2], &[1, 2, 3], Some(7), Some(7), None, Together),
            ("before there were ids", &[1, 2], &[1, 2], None, None, None, Together),
            ("a new folder on an old database", &[], &[1, 2], Some(7), None, None, Together),
            ("the file is gone", &[1], &[], None, Some(7), None, Lost(one(1), 1)),
            ("gone before there were ids", &[1, 2], &[], None, None, None, Lost(one(1), 2)),
            ("clubs were set up anew", &[1], &[8, 9], None, Some(7), None, Lost(one(1), 1)),
            ("another installation's", &[1], &[8, 9], Some(6), Some(7), None, Lost(one(1), 1)),
            ("another one that knows some", &[1, 2], &[1], Some(6), Some(7), None, Other(one(2), 1)),
            ("another one that knows all", &[1, 2], &[1, 2], Some(6), Some(7), None, Together),
            ("an old backup", &[1, 2, 3], &[1], Some(7), Some(7), None, Partly(one(2), 2)),
            ("a backup from before ids", &[1, 2], &[1], None, Some(7), None, Partly(one(2), 1)),
            ("all is gone on purpose", &[], &[], None, Some(7), None, Together),
            ("new, and the bucket is away", &[], &[], None, Some(7), Some("no"), Unclear("no".into())),
            ("the bucket is away as it may be", &[], &[1], Some(7), Some(7), Some("no"), Together),
        ];
        for (what, found, known, catalog_id, folder_id, problem, expected) in table {
            let facts = Facts {
                footage: footage(found),
                channels: known.iter().map(|number| id(*number)).collect(),
                has_clubs: !known.is_empty(),
                catalog_id: catalog_id.map(id),
                folder_id: folder_id.map(id),
                bucket_problem: problem.map(str::to_owned),
            };
            assert_eq!(judge(&facts), expected, "{what}");
        }
    }
}
