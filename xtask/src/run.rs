//! Building and running: the demo, the web interface, the clip, the measurements.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::install;

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap_or_else(|_| PathBuf::from("."))
}

/// Says what happens now.
pub(crate) fn step(title: &str, detail: &str) {
    println!("\x1b[1m── {title}\x1b[0m {detail}");
}

/// Runs a command in the checkout and fails with its own words.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}").replace('"', "");
    let status = command.status().with_context(|| format!("could not start: {shown}"))?;
    if status.success() { Ok(()) } else { bail!("failed ({status}): {shown}") }
}

/// The cargo that runs us.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// npm in `web/`.
pub(crate) fn npm(arguments: &[&str]) -> Command {
    let mut command = Command::new("npm");
    command.args(arguments).current_dir(root().join("web"));
    command
        .env("npm_config_fund", "false")
        .env("npm_config_audit", "false")
        .env("npm_config_update_notifier", "false");
    command
}

/// Installs the web dependencies if the lock has changed since they were installed.
pub(crate) fn web_dependencies() -> Result<()> {
    let lock = std::fs::read(root().join("web/package-lock.json")).context("web/package-lock.json")?;
    let stamp = root().join("web/node_modules/.turepe-lock");
    if std::fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    step("Install the web interface's packages", "npm ci");
    run(&mut npm(&["ci", "--loglevel=error"]))?;
    #[expect(clippy::disallowed_methods, reason = "the task runner works on the real machine")]
    std::fs::write(stamp, lock)?;
    Ok(())
}

/// Builds the web interface into `web/dist`, from where the program embeds it.
pub(crate) fn build_web() -> Result<()> {
    web_dependencies()?;
    step("Build the web interface", "npm run build");
    run(&mut npm(&["run", "--silent", "build"]))
}

/// Installs, builds and runs the demo. Ctrl-C reaches the program through the terminal; we wait for its end.
pub(crate) fn demo(data: Option<&Path>) -> Result<()> {
    install::for_demo()?;
    build_web()?;
    step("Build the program", "cargo build --release");
    run(&mut cargo(&["build", "--release", "--package", "turepe"]))?;
    step("Start the demo", "Ctrl-C ends it");
    let mut command = cargo(&["run", "--quiet", "--release", "--package", "turepe", "--", "demo"]);
    if let Some(data) = data {
        command.arg("--data").arg(data);
    }
    // The terminal sends Ctrl-C to the whole group: the program ends by itself, and we with it.
    use std::os::unix::process::CommandExt;
    Err(command.exec()).context("the demo could not be started")
}

/// Makes the demo clip.
pub(crate) fn clip() -> Result<()> {
    run(Command::new(root().join("xtask/assets/clip.sh")).arg(root().join("crates/turepe/assets/demo.mp4")))
}

/// Runs a measurement.
pub(crate) fn bench(what: &str, rest: &[String]) -> Result<()> {
    let mut command = match what {
        "media" => cargo(&["bench", "--package", "turepe-media", "--"]),
        "record" => cargo(&["run", "--release", "--package", "turepe-bench", "--bin", "record", "--"]),
        "live" => cargo(&["run", "--release", "--package", "turepe-bench", "--bin", "live", "--"]),
        _ => cargo(&["run", "--release", "--package", "turepe-bench", "--bin", "replay", "--"]),
    };
    if what != "media" {
        run(&mut cargo(&["build", "--release", "--package", "turepe"]))?;
    }
    run(command.args(rest))
}
