//! The operators' token: made at the first start, in a file that only its user reads; taken from there by the node and by the
//! command line.

use std::io;

use serve::Operators;

use crate::config::{Config, OperatorsRule};
use crate::failure::{Failure, Kind};
use crate::secret_file;

/// Fewer characters can be guessed.
const SHORTEST_TOKEN: usize = 16;

/// Bytes of chance in a token that is made here.
const RANDOM_BYTES: usize = 24;

/// Who is an operator, for a node; the token is made where there is none yet.
pub(crate) fn open(config: &Config) -> Result<Operators, Failure> {
    let operators = Operators::with_token(&token_or_new(config)?);
    Ok(match config.http.operators {
        OperatorsRule::Token => operators,
        OperatorsRule::Loopback => operators.and_loopback(),
    })
}

fn token_or_new(config: &Config) -> Result<String, Failure> {
    if let Some(token) = token(config)? {
        return Ok(token);
    }
    let path = &config.http.operators_token_file;
    let failed = |error| {
        Failure::context(format_args!("cannot write the operators' token to {}", path.display()), error)
    };
    let mut bytes = [0; RANDOM_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| failed(io::Error::other(error.to_string())))?;
    let fresh: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    if secret_file::make(path, &fresh).map_err(failed)? {
        tracing::info!(file = %path.display(), "the operators' token is made");
        return Ok(fresh);
    }
    token(config)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
}

/// The token in force; `None` where no node has started yet. Says nothing of it in an error.
pub(crate) fn token(config: &Config) -> Result<Option<String>, Failure> {
    let path = &config.http.operators_token_file;
    let read = secret_file::read(path).map_err(|error| {
        Failure::context(format_args!("cannot read the operators' token in {}", path.display()), error)
    })?;
    match read {
        Some(text) if text.len() >= SHORTEST_TOKEN && text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(Some(text))
        }
        None => Ok(None),
        Some(_) => Err(Failure::new(
            Kind::Usage,
            format!(
                "{} (`http.operators_token_file`) needs {SHORTEST_TOKEN} characters or more, ASCII and without spaces: \
                 `openssl rand -hex 24` makes such a token; without the file the next start makes one",
                path.display()
            ),
        )),
    }
}
