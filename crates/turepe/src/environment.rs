//! Gathers what may speak about settings: files, environment, flags.

use std::io;
use std::path::Path;

use world::{Disk, SystemDisk, read_whole};

use crate::cli::Options;
use crate::config::Sources;
use crate::failure::{Failure, Kind};

/// The configuration file that is read when none is named.
const CONFIG_FILE: &str = "turepe.toml";

/// Environment variables beside the configuration.
const DOTENV_FILE: &str = ".env";

/// Longest configuration file.
const MAX_CONFIG_BYTES: usize = 1 << 20;

/// Reads `turepe.toml`, `.env`, the environment and the flags; understands nothing of it.
pub(crate) fn gather(options: &Options) -> Result<Sources, Failure> {
    let file = match &options.config {
        Some(path) => match read_text(path)? {
            Some(text) => Some((path.display().to_string(), text)),
            None => {
                let message = format!("there is no configuration file {}", path.display());
                return Err(Failure::new(Kind::Usage, message));
            }
        },
        None => read_text(Path::new(CONFIG_FILE))?.map(|text| (CONFIG_FILE.to_owned(), text)),
    };
    let mut flags = options.set.clone();
    if let Some(data) = &options.data {
        let data = data.to_str().ok_or_else(|| Failure::usage("--data: the path is not UTF-8"))?;
        flags.push(("node.data".to_owned(), data.to_owned()));
    }
    if let Some(format) = options.log {
        flags.push(("log.format".to_owned(), format.as_str().to_owned()));
    }
    Ok(Sources {
        file,
        dotenv: read_text(Path::new(DOTENV_FILE))?,
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        flags,
    })
}

/// The text of a small file; `None` where there is none.
pub(crate) fn read_text(path: &Path) -> Result<Option<String>, Failure> {
    let disk: &dyn Disk = &SystemDisk;
    let problem = |reason: String| Failure::usage(format!("cannot read {}: {reason}", path.display()));
    match read_whole(disk, path, MAX_CONFIG_BYTES) {
        Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|_| problem("it is not UTF-8".to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(problem(error.to_string())),
    }
}
