//! Building and running: the demo, the web interface, the clip, the measurements.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::install;

/// What names a bucket outside, for its test.
const BUCKET_TEST_VARIABLES: [&str; 5] = [
    "TUREPE_TEST_S3_ENDPOINT",
    "TUREPE_TEST_S3_BUCKET",
    "TUREPE_TEST_S3_REGION",
    "TUREPE_TEST_S3_KEY_ID",
    "TUREPE_TEST_S3_SECRET_KEY",
];

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
    // What cargo says to us about our package: build scripts (ring's) take another one for a change, and all that follows is built again.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
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

/// Runs the buckets' conformance suite on the service that the environment names.
pub(crate) fn bucket_test() -> Result<()> {
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let missing: Vec<&str> = BUCKET_TEST_VARIABLES.into_iter().filter(|name| !is_set(name)).collect();
    if !missing.is_empty() {
        bail!("docs/buckets.md explains what to set; missing: {}", missing.join(", "));
    }
    step("Test the bucket", "everything it stores is deleted again");
    let test = ["test", "--package", "turepe-archive", "--test", "buckets", "--", "outside", "--nocapture"];
    run(&mut cargo(&test))
}

/// Has OBS publish to a node, and plays back what was recorded.
pub(crate) fn obs() -> Result<()> {
    step("Publish from OBS", "no window is seen");
    run(&mut cargo(&["test", "--workspace", "--test", "obs", "--", "--nocapture"]))
}

/// Runs a measurement.
pub(crate) fn bench(what: &str, rest: &[String]) -> Result<()> {
    let mut command = match what {
        "media" => cargo(&["bench", "--package", "turepe-media", "--"]),
        "catalog" => cargo(&["bench", "--package", "turepe-catalog", "--bench", "million", "--"]),
        "record" => cargo(&["run", "--release", "--package", "turepe-bench", "--bin", "record", "--"]),
        "covers" => cargo(&["run", "--release", "--package", "turepe-bench", "--bin", "covers", "--"]),
        "sync" => cargo(&["run", "--release", "--package", "turepe-bench", "--bin", "sync", "--"]),
        "relay" => cargo(&["run", "--release", "--package", "turepe-bench", "--bin", "relay", "--"]),
        "live" => cargo(&["run", "--release", "--package", "turepe-bench", "--bin", "live", "--"]),
        "idle" => cargo(&["run", "--release", "--package", "turepe-bench", "--bin", "idle", "--"]),
        "hooks" => cargo(&["run", "--release", "--package", "turepe-bench", "--bin", "hooks", "--"]),
        _ => cargo(&["run", "--release", "--package", "turepe-bench", "--bin", "replay", "--"]),
    };
    if matches!(what, "record" | "relay" | "replay" | "hooks" | "idle") {
        run(&mut cargo(&["build", "--release", "--package", "turepe"]))?;
    }
    run(command.args(rest))
}

/// Kills a release build of the program at random instants.
pub(crate) fn soak_kill(kills: u32, publishers: u32, seed: Option<u64>) -> Result<()> {
    let mut command = soak("kill")?;
    command.env("SOAK_KILLS", kills.to_string()).env("SOAK_PUBLISHERS", publishers.to_string());
    if let Some(seed) = seed {
        command.env("SOAK_SEED", seed.to_string());
    }
    run(&mut command)
}

/// Attacks a release build of the program.
pub(crate) fn soak_hostile(seconds: u64, publishers: u32, crowd: u32) -> Result<()> {
    let mut command = soak("hostile")?;
    command
        .env("SOAK_SECONDS", seconds.to_string())
        .env("SOAK_PUBLISHERS", publishers.to_string())
        .env("SOAK_CROWD", crowd.to_string())
        .env("SOAK_HEALTH_MS", "1000");
    run(&mut command)
}

/// A test of `e2e` on a release build of the program.
fn soak(test: &str) -> Result<Command> {
    run(&mut cargo(&["build", "--release", "--package", "turepe"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let mut command = cargo(&["test", "--package", "turepe-e2e", "--test", test, "--", "--nocapture"]);
    command.env("TUREPE_BIN", root().join(target).join("release/turepe"));
    Ok(command)
}

/// Runs many schedules of the archive's simulation.
pub(crate) fn soak_simulate(schedules: u64, seed: u64) -> Result<()> {
    let mut command = simulation("whatever_happens");
    run(command.env("SIM_SCHEDULES", schedules.to_string()).env("SIM_SEED", seed.to_string()))
}

/// Lets the simulated bucket be away for hours.
pub(crate) fn soak_away(hours: u64, uplink: u64) -> Result<()> {
    let mut command = simulation("away");
    run(command.env("SIM_AWAY_HOURS", hours.to_string()).env("SIM_AWAY_UPLINK", uplink.to_string()))
}

fn simulation(test: &str) -> Command {
    let simulation = ["test", "--release", "--package", "turepe-archive", "--test", "simulation"];
    cargo(&[&simulation[..], &["--", test, "--nocapture"]].concat())
}

/// Repairs many torn segments.
pub(crate) fn soak_repair(files: u32) -> Result<()> {
    let arguments =
        ["test", "--release", "--package", "turepe-archive", "--test", "repairing", "--", "--nocapture"];
    run(cargo(&arguments).env("SOAK_FILES", files.to_string()))
}
