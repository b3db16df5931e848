//! `turepe doctor`: whether machine, settings and bucket are as a node needs them, each finding with the command that mends
//! it.
//!
//! A check is one line in [`CHECKS`] and a function that looks at one thing and says what it found. Belongs here: the list,
//! and how findings are told. Not here: what is looked at (`machine`, `private`, `node`, `tls`, `bucket`, `directory`, `relay`,
//! `srs`).

mod bucket;
mod directory;
mod machine;
mod node;
mod private;
mod relay;
mod srs;
mod tls;

use std::future::Future;
use std::pin::Pin;

use archive::bucket::Verdict;
use serde_json::{Value, json};

use crate::cli;
use crate::config::Config;
use crate::data_folder;
use crate::failure::{Failure, Kind};
use crate::output;

/// What every check is given.
struct Patient<'a> {
    config: &'a Config,
    arguments: &'a cli::Doctor,
    /// Whether a node runs on the data folder.
    is_running: bool,
}

/// One thing that was found.
struct Finding {
    verdict: Verdict,
    /// For people: what it is, and what that means.
    says: String,
    /// The command, or the setting, that mends it.
    fix: Option<String>,
}

impl Finding {
    fn good(says: impl Into<String>) -> Self {
        Self { verdict: Verdict::Good, says: says.into(), fix: None }
    }

    fn warning(says: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, says: says.into(), fix: Some(fix.into()) }
    }

    fn bad(says: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { verdict: Verdict::Bad, says: says.into(), fix: Some(fix.into()) }
    }
}

type Findings<'a> = Pin<Box<dyn Future<Output = Vec<Finding>> + Send + 'a>>;

type Check = for<'a> fn(&'a Patient<'a>) -> Findings<'a>;

/// All checks, in the order in which they are told.
const CHECKS: &[(&str, Check)] = &[
    ("data", |patient| Box::pin(machine::data(patient))),
    ("private", |patient| Box::pin(private::modes(patient))),
    ("space", |patient| Box::pin(machine::space(patient))),
    ("disk", |patient| Box::pin(machine::speed(patient))),
    ("clock", |patient| Box::pin(machine::clock(patient))),
    ("files", |patient| Box::pin(machine::open_files(patient))),
    ("backlog", |patient| Box::pin(machine::backlog(patient))),
    ("portrange", |patient| Box::pin(machine::port_range(patient))),
    ("database", |patient| Box::pin(node::database(patient))),
    ("key", |patient| Box::pin(private::key(patient))),
    ("operators", |patient| Box::pin(private::operators(patient))),
    ("access", |patient| Box::pin(node::access(patient))),
    ("identity", |patient| Box::pin(node::identity(patient))),
    ("ports", |patient| Box::pin(node::ports(patient))),
    ("tls", |patient| Box::pin(tls::check(patient))),
    ("ffmpeg", |patient| Box::pin(node::ffmpeg(patient))),
    ("bucket", |patient| Box::pin(bucket::check(patient))),
    ("directory", |patient| Box::pin(directory::check(patient))),
    ("srs", |patient| Box::pin(srs::check(patient))),
    ("relay", |patient| Box::pin(relay::check(patient))),
];

/// Looks at everything. Call it inside a runtime.
pub(crate) async fn run(arguments: &cli::Doctor, config: &Config) -> Result<(), Failure> {
    let patient = Patient { config, arguments, is_running: data_folder::is_taken(config) };
    let mut all = Vec::new();
    for (name, check) in CHECKS {
        for finding in check(&patient).await {
            if !arguments.json {
                print(name, &finding)?;
            }
            all.push((*name, finding));
        }
    }
    if arguments.json {
        output::json(&json!({ "findings": all.iter().map(finding_json).collect::<Vec<_>>() }))?;
    }
    match all.iter().filter(|(_, finding)| finding.verdict == Verdict::Bad).count() {
        0 => Ok(()),
        1 => Err(Failure::new(Kind::Faults, "1 thing keeps a node from working as it should")),
        bad => Err(Failure::new(Kind::Faults, format!("{bad} things keep a node from working as it should"))),
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "ok",
        Verdict::Warning => "warning",
        Verdict::Bad => "bad",
    }
}

fn print(name: &str, finding: &Finding) -> Result<(), Failure> {
    output::line(format_args!("{:<8} {name:<9} {}", word(finding.verdict), finding.says))?;
    finding.fix.iter().try_for_each(|fix| output::line(format_args!("{:<19}{fix}", "")))
}

fn finding_json((name, finding): &(&str, Finding)) -> Value {
    json!({
        "check": name,
        "verdict": word(finding.verdict),
        "says": finding.says,
        "fix": finding.fix,
    })
}
