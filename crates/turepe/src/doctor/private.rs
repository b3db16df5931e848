//! What other users of the machine could get at: modes of folders and files, the catalog's key, the operators' rule.

use std::sync::Arc;

use catalog::{Catalog, CatalogError};
use world::{Disk as _, SystemClock, SystemDisk};

use super::{Finding, Patient};
use crate::config::OperatorsRule;
use crate::secret_file::{OTHERS, mode};
use crate::{catalog_key, operators};

/// Whether only this user may enter the data folder, and read the secrets that lie elsewhere.
pub(super) async fn modes(patient: &Patient<'_>) -> Vec<Finding> {
    let config = patient.config;
    let data = &config.node.data;
    if !SystemDisk.exists(data) {
        return Vec::new();
    }
    let mut found = vec![match mode(data) {
        Ok(mode) if mode & OTHERS == 0 => {
            Finding::good(format!("{} is for its user alone ({mode:04o})", data.display()))
        }
        Ok(mode) => Finding::bad(
            format!(
                "{} ({mode:04o}) is open to other users of this machine: catalog, keys and footage",
                data.display()
            ),
            format!("chmod -R go= {}   (as does the next start of a node)", data.display()),
        ),
        Err(error) => {
            Finding::warning(format!("the mode of {} cannot be told: {error}", data.display()), "see above")
        }
    }];
    let store = &config.store.folder;
    if !store.starts_with(data)
        && let Ok(mode) = mode(store)
        && mode & OTHERS != 0
    {
        let says = format!(
            "{} ({mode:04o}) is open to other users of this machine: what is in it is only as private as each file",
            store.display()
        );
        found.push(Finding::warning(says, format!("chmod -R go= {}", store.display())));
    }
    for (file, what) in [
        (&config.database.key_file, "the key of the catalog's secrets"),
        (&config.http.operators_token_file, "the operators' token"),
    ] {
        if let Ok(mode) = mode(file)
            && mode & OTHERS != 0
        {
            let says =
                format!("{} ({mode:04o}), {what}, can be read by others than its user", file.display());
            found.push(Finding::bad(says, format!("chmod 600 {}", file.display())));
        }
    }
    found
}

/// Whether the secrets in the catalog are sealed, and with the key that is here.
pub(super) async fn key(patient: &Patient<'_>) -> Vec<Finding> {
    let config = patient.config;
    let file = config.database.key_file.display();
    let opened = Catalog::open_existing(&config.database.options, Arc::new(SystemClock)).await;
    // That it cannot be opened is told by the check of the database.
    let Ok(Some(catalog)) = opened else { return Vec::new() };
    let fix =
        "copy it from a node that shares the catalog, or from your backup (docs/databases.md, \"The key\")";
    let is_locked = catalog.is_locked();
    let found = match catalog_key::known(config) {
        Err(failure) => Finding::bad(failure.to_string(), fix),
        Ok(None) if is_locked => Finding::bad(
            format!("the secrets in the catalog are sealed, and their key is not in {file}"),
            fix,
        ),
        Ok(_) if !is_locked => Finding::warning(
            "the secrets in the catalog are not sealed yet",
            "the next start of a node seals them",
        ),
        Ok(None) => Finding::good("the secrets in the catalog are sealed"),
        // Sealed already: this only looks whether the key is the right one.
        Ok(Some(key)) => match catalog.clone().unlocked(key).await {
            Ok(_) => Finding::good(format!(
                "the secrets in the catalog are sealed with the key in {file}; is it in your backup?"
            )),
            Err(CatalogError::WrongKey) => Finding::bad(
                format!("the secrets in the catalog are sealed with another key than that in {file}"),
                fix,
            ),
            Err(error) => Finding::warning(error.to_string(), "see the check of the database"),
        },
    };
    // It was only looked at: closing cannot lose anything.
    let _ = catalog.close().await;
    vec![found]
}

/// Who may see what the node says of itself.
pub(super) async fn operators(patient: &Patient<'_>) -> Vec<Finding> {
    let http = &patient.config.http;
    let file = http.operators_token_file.display();
    let mut found = vec![match operators::token(patient.config) {
        Ok(Some(_)) => Finding::good(format!("operators are told by the token in {file}")),
        Ok(None) => Finding::good(format!("the first start makes the operators' token in {file}")),
        Err(failure) => {
            Finding::bad(failure.to_string(), format!("rm {file}   (the next start makes a new one)"))
        }
    }];
    if http.operators == OperatorsRule::Loopback {
        found.push(Finding::warning(
            "`http.operators = \"loopback\"`: every user of this machine is an operator, and everybody behind a proxy on it that adds no header",
            "`http.operators = \"token\"`, unless nobody else uses this machine and no proxy runs on it",
        ));
    }
    found
}
