//! `turepe`: configuration, signals and wiring; the command line.
//!
//! - **In**: arguments, configuration, signals.
//! - **Out**: a running node; commands for those who run it.
//! - **Invariants**: the rooms meet only here; every mistake in the configuration names its key; a command either works
//!   or ends with an exit code and a sentence that says what to do.
//! - **Never**: a protocol, a format, a query: those have rooms of their own.

mod admin;
mod ask;
mod catalog_key;
mod cli;
mod clock_state;
mod config;
mod data_folder;
mod demo;
mod descriptors;
mod doctor;
mod environment;
mod failure;
mod identity;
mod input;
mod installation;
mod logging;
mod migrate;
mod node;
mod operators;
mod output;
mod progress;
mod publish;
mod reindex;
mod secret_file;
mod serve_command;
mod signals;
mod srs_conf;
mod tls;
mod verify;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

use crate::cli::{Cli, Command};
use crate::config::Config;
use crate::failure::Failure;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long blocking work may go on after a node has ended.
const HANGING_THREADS: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    // What others make for us, SQLite and ffmpeg, is for our user alone as well.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(secret_file::OTHERS));
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("turepe: {failure}");
            failure.exit_code()
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let load = || environment::gather(&cli.options).and_then(|sources| Ok(Config::read(&sources)?));
    match &cli.command {
        Command::Config { default: true, .. } => output::line(config::DEFAULT_TOML.trim_end()),
        Command::Config { json: true, .. } => output::json(&load()?.to_json()),
        Command::Config { .. } => output::line(load()?.to_toml()),
        Command::Openapi { .. } => {
            let document = serve::openapi_json();
            let document =
                document.map_err(|error| Failure::context("cannot write the OpenAPI document", error))?;
            output::line(document.trim_end())
        }
        Command::Ask(arguments) => {
            let config = load()?;
            logging::start_quiet(&config.log);
            one_thread()?.block_on(ask::run(arguments, &config))
        }
        Command::SrsConf { json } => srs_conf::run(&load()?, *json),
        Command::Serve => {
            let config = load()?;
            logging::start(&config.log);
            on_all_processors(serve_command::run(&config))
        }
        Command::Demo(arguments) => {
            let config = demo::config(&environment::gather(&cli.options)?)?;
            logging::start_quiet(&config.log);
            on_all_processors(demo::run(arguments, &config))
        }
        Command::Admin(command) => {
            let config = load()?;
            logging::start_quiet(&config.log);
            one_thread()?.block_on(admin::run(command, &config))
        }
        Command::Migrate(arguments) => {
            let config = load()?;
            logging::start_quiet(&config.log);
            one_thread()?.block_on(migrate::run(arguments, &config))
        }
        Command::Verify(arguments) => {
            let config = load()?;
            logging::start_quiet(&config.log);
            on_all_processors(verify::run(arguments, &config))
        }
        Command::Reindex { dry_run, json } => {
            let config = load()?;
            logging::start_quiet(&config.log);
            on_all_processors(reindex::run(*dry_run, *json, &config))
        }
        Command::Doctor(arguments) => {
            let config = load()?;
            logging::start_quiet(&config.log);
            on_all_processors(doctor::run(arguments, &config))
        }
        Command::Publish(arguments) => {
            if arguments.with_parent && !signals::end_with_parent() {
                return Ok(());
            }
            logging::start_quiet(&load()?.log);
            signals::raise_open_files();
            one_thread()?.block_on(publish::run(arguments))
        }
    }
}

/// Runs a node, and does not wait for threads that hang when it has ended.
fn on_all_processors(node: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::context("cannot start the runtime", error))?;
    let result = runtime.block_on(node);
    runtime.shutdown_timeout(HANGING_THREADS);
    result
}

/// For work that one processor does best: no thread waits for another.
fn one_thread() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::context("cannot start the runtime", error))
}
