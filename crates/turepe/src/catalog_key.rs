//! The key of the catalog's secrets: a file beside the catalog, made where nobody has sealed it yet, asked for where somebody has.
//!
//! Belongs here: which file, and what to say without it. Not here: what is sealed, and how (`catalog`).

use catalog::{Catalog, CatalogError, CatalogKey};

use crate::config::Config;
use crate::failure::{Failure, Kind};
use crate::identity::is_catalog_private;
use crate::installation::OpenError;
use crate::secret_file;

/// The same catalog with its key, for a command. A shared database that was never sealed stays so: a command that names it from
/// somewhere else would seal it with a key that no node has.
pub(crate) async fn unlock(config: &Config, catalog: Catalog) -> Result<Catalog, OpenError> {
    if catalog.is_locked() || is_catalog_private(config) {
        unlock_or_seal(config, catalog).await
    } else {
        Ok(catalog)
    }
}

/// The same catalog with its key, for a node. Where it was never sealed, a key is made, durable before the first secret is sealed with it.
pub(crate) async fn unlock_or_seal(config: &Config, catalog: Catalog) -> Result<Catalog, OpenError> {
    let path = &config.database.key_file;
    let shown = path.display();
    let failed = |error| {
        OpenError::Failure(Failure::context(
            format_args!("cannot read or write the catalog's key in {shown}"),
            error,
        ))
    };
    let mut is_new = false;
    let key = match known(config).map_err(OpenError::Failure)? {
        Some(key) => key,
        None if catalog.is_locked() => return Err(OpenError::Failure(missing(config))),
        None => {
            let (fresh, text) = CatalogKey::generate()?;
            is_new = secret_file::make(path, &text).map_err(failed)?;
            if is_new {
                fresh
            } else {
                // Somebody was quicker. A link that leads nowhere is in the way as well, and shows nothing.
                let known = known(config).map_err(OpenError::Failure)?;
                known.ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?
            }
        }
    };
    if is_new {
        tracing::info!(file = %shown, "a key for the catalog's secrets is made: back it up, and copy it to every node that shares the catalog");
    }
    match catalog.unlocked(key).await {
        Err(CatalogError::WrongKey) => {
            // Made a moment ago, while another node was quicker with its own: it opens nothing.
            if is_new {
                secret_file::remove(path).map_err(failed)?;
                return Err(OpenError::Failure(missing(config)));
            }
            Err(OpenError::Failure(Failure::new(
                Kind::Usage,
                format!(
                    "the secrets of this catalog are sealed with another key than that in {shown} (`database.key_file`): {REMEDY}"
                ),
            )))
        }
        other => Ok(other?),
    }
}

/// What to do, whatever is wrong with the key.
const REMEDY: &str = "copy that file from a node that shares the catalog, or from your backup. Where it is lost for good, \
                      `turepe migrate forget-secrets` gives up what is sealed: relay targets of single channels and codes of matches are gone, and addresses that were handed out \
                      and browsers' cookies end; links, footage and stream keys stay";

fn missing(config: &Config) -> Failure {
    Failure::new(
        Kind::Usage,
        format!(
            "the secrets of this catalog are sealed, and their key is not in {} (`database.key_file`): {REMEDY}",
            config.database.key_file.display()
        ),
    )
}

/// The key in the file; `None` where there is no file. Makes nothing, and says nothing of it in an error.
pub(crate) fn known(config: &Config) -> Result<Option<CatalogKey>, Failure> {
    let path = &config.database.key_file;
    let read = secret_file::read(path).map_err(|error| {
        Failure::context(format_args!("cannot read the catalog's key in {}", path.display()), error)
    })?;
    let Some(text) = read else { return Ok(None) };
    match CatalogKey::parse(&text) {
        Some(key) => Ok(Some(key)),
        None => Err(Failure::new(
            Kind::Usage,
            format!("{} (`database.key_file`) holds no key of a catalog: {REMEDY}", path.display()),
        )),
    }
}
