//! `turepe migrate`: the schema of the configured database, and copies from one database into another.
//!
//! Belongs here: what is printed, the progress bar, exit codes. Not here: what a migration or a copy does (`catalog`).

use std::io::IsTerminal as _;

use catalog::{CatalogError, CopyProgress, DatabaseOptions, Maintenance, copy, masked_url};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::cli::{Migrate, MigrateCommand};
use crate::config::Config;
use crate::data_folder;
use crate::failure::{Failure, Kind};
use crate::input;
use crate::installation;
use crate::output;

/// Runs the command. Call it inside a runtime.
pub(crate) async fn run(arguments: &Migrate, config: &Config) -> Result<(), Failure> {
    match (&arguments.schema, &arguments.from, &arguments.to) {
        (Some(MigrateCommand::Status { json }), ..) => status(config, *json).await,
        (Some(MigrateCommand::Up { dry_run: true, json }), ..) => print_pending(config, *json).await,
        (Some(MigrateCommand::Up { json, .. }), ..) => up(config, *json).await,
        (Some(MigrateCommand::ForgetSecrets { json }), ..) => forget_secrets(config, *json).await,
        (None, Some(from), Some(to)) => {
            let [from, to] = input::resolved([from.as_str(), to.as_str()])?;
            copy_all(&from, &to, config, arguments.json).await
        }
        _ => Err(Failure::usage("say `status`, `up`, or --from URL --to URL; see turepe migrate --help")),
    }
}

fn failure(error: CatalogError) -> Failure {
    let kind = match &error {
        CatalogError::Url(_) | CatalogError::UnsupportedDatabase(_) => Kind::Usage,
        CatalogError::NoDatabase => Kind::NotFound,
        CatalogError::NotEmpty { .. } => Kind::Exists,
        _ => Kind::Failed,
    };
    Failure::new(kind, error.to_string())
}

async fn status(config: &Config, as_json: bool) -> Result<(), Failure> {
    let options = &config.database.options;
    let database = Maintenance::open(options).await.map_err(failure)?;
    let status = database.status().await.map_err(failure);
    database.close().await.map_err(failure)?;
    let status = status?;
    if as_json {
        return output::json(&json!({
            "url": masked_url(&options.url),
            "applied": status.applied,
            "pending": status.pending,
            "unknown": status.unknown,
        }));
    }
    output::line(format_args!("Database {}", masked_url(&options.url)))?;
    for name in &status.applied {
        let note = if status.unknown.contains(name) { "  (of a newer version of this program)" } else { "" };
        output::line(format_args!("  applied  {name}{note}"))?;
    }
    for name in &status.pending {
        output::line(format_args!("  pending  {name}"))?;
    }
    if status.unknown.is_empty() && status.pending.is_empty() {
        output::line("The schema is up to date.")?;
    }
    Ok(())
}

async fn print_pending(config: &Config, as_json: bool) -> Result<(), Failure> {
    let database = Maintenance::open(&config.database.options).await.map_err(failure)?;
    let sql = database.pending_sql().await.map_err(failure);
    database.close().await.map_err(failure)?;
    let sql = sql?;
    if as_json {
        return output::json(&json!({ "sql": sql }));
    }
    sql.iter().try_for_each(|statement| output::line(format_args!("{statement};")))
}

async fn up(config: &Config, as_json: bool) -> Result<(), Failure> {
    data_folder::make_for_catalog(config)?;
    let mut database = Maintenance::open(&config.database.options).await.map_err(failure)?;
    let work = async {
        let before = database.status().await?;
        database.up().await?;
        Ok(before.pending)
    };
    let applied = work.await.map_err(failure);
    database.close().await.map_err(failure)?;
    let applied = applied?;
    if as_json {
        return output::json(&json!({ "applied": applied }));
    }
    if applied.is_empty() {
        return output::line("The schema was up to date already.");
    }
    applied.iter().try_for_each(|name| output::line(format_args!("applied  {name}")))
}

async fn forget_secrets(config: &Config, as_json: bool) -> Result<(), Failure> {
    if data_folder::is_taken(config) {
        return Err(Failure::new(Kind::Failed, "a node runs on this data folder: stop it first"));
    }
    let catalog = installation::existing(config).await.map_err(failure)?;
    let catalog = catalog.ok_or(CatalogError::NoDatabase).map_err(failure)?;
    let forgotten = catalog.forget_sealed().await.map_err(failure);
    catalog.close().await.map_err(failure)?;
    let targets = forgotten?;
    if as_json {
        return output::json(&json!({ "relayTargets": targets }));
    }
    output::line(format_args!(
        "Given up: {targets} relay targets (add them again with turepe admin relay add), codes of matches (make them again with turepe \
         admin code create) and the secrets that sign addresses. Links stay. The next start of a node seals with the key in {}, or with a \
         new one where there is none.",
        config.database.key_file.display()
    ))
}

async fn copy_all(from: &str, to: &str, config: &Config, as_json: bool) -> Result<(), Failure> {
    let with = |url: &str| DatabaseOptions { url: url.to_owned(), ..config.database.options.clone() };
    let bar = Bar::new();
    let copied = copy(&with(from), &with(to), &mut |progress| bar.show(progress)).await;
    bar.end();
    let copied = copied.map_err(failure)?;
    if as_json {
        let tables: serde_json::Map<_, _> =
            copied.iter().map(|table| (table.table.to_owned(), json!(table.rows))).collect();
        return output::json(&json!({ "from": masked_url(from), "to": masked_url(to), "rows": tables }));
    }
    for table in &copied {
        output::line(format_args!("{:<18} {:>12} rows on both sides", table.table, table.rows))?;
    }
    output::line(format_args!(
        "Everything is there. Let the nodes use it: TUREPE_DATABASE_URL, or `url` in [database] of turepe.toml."
    ))
}

/// The progress of a copy on standard error, where somebody watches.
struct Bar(Option<ProgressBar>);

impl Bar {
    fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::new(0);
        // The template is checked by a test.
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style);
        }
        Self(Some(bar))
    }

    fn show(&self, progress: CopyProgress) {
        let Some(bar) = &self.0 else { return };
        if bar.message() != progress.table {
            bar.reset();
            bar.set_message(progress.table);
        }
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    }

    fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

const TEMPLATE: &str = "{msg:18} {wide_bar} {pos}/{len} rows, {per_sec}, {eta} left";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_can_be_drawn() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
