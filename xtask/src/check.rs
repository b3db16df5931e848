//! Every check, in the order in which a mistake is found soonest.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::install;
use crate::run::{build_web, cargo, npm, run, step, web_dependencies};

type Step = (&'static str, fn() -> Result<()>);

const STEPS: [Step; 7] = [
    ("format", || run(&mut cargo(&["fmt", "--all", "--check"]))),
    ("web-check", || {
        web_dependencies()?;
        run(&mut npm(&["run", "--silent", "check"]))
    }),
    ("web-test", || {
        web_dependencies()?;
        run(&mut npm(&["test", "--silent"]))
    }),
    // The program embeds the built interface, and the browser tests walk through it.
    ("web-build", build_web),
    ("lint", || run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))),
    ("docs", || {
        let mut command = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
        run(command.env("RUSTDOCFLAGS", "--deny warnings"))
    }),
    ("rust-test", || run(&mut cargo(&["test", "--workspace", "--no-fail-fast"]))),
];

/// Runs the steps whose name contains one of `only`, or all.
pub(crate) fn all(only: &[String]) -> Result<()> {
    install::for_tests()?;
    let mut times: Vec<(&str, Duration)> = Vec::new();
    for (name, check) in STEPS {
        if !only.is_empty() && !only.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        step("Check", name);
        let start = Instant::now();
        check().with_context(|| format!("the check `{name}` failed"))?;
        times.push((name, start.elapsed()));
    }
    println!();
    for (name, time) in &times {
        println!("{name:>12} {:>7.1} s", time.as_secs_f64());
    }
    println!("All checks passed.");
    Ok(())
}
