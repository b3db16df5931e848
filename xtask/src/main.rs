//! The one task runner: what people type and what CI runs are the same verbs.
//!
//! - **In**: a verb and a machine that has Rust, Node and apt.
//! - **Out**: a running demo, a verdict, a measurement.
//! - **Never**: a step that CI runs and a person cannot, or the other way round.

mod check;
mod install;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build, run, test and measure Tu Repe")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what is missing, build the UI and the program, run it with simulated cameras and print the URL
    Demo {
        /// Where the demo keeps its footage
        #[arg(long)]
        data: Option<std::path::PathBuf>,
    },
    /// Install what is missing and run every check
    Test {
        /// Run only the steps whose name contains one of these words
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
    },
    /// Install what the tests and the demo need, and nothing else
    Setup,
    /// Build the web interface into web/dist
    Web,
    /// Run the buckets' suite on the S3 service that TUREPE_TEST_S3_* name (docs/buckets.md)
    BucketTest,
    /// Install OBS and an X server without a screen, have OBS publish to a node, and play back what was recorded
    Obs,
    /// Make the demo clip again (crates/turepe/assets/demo.mp4)
    Clip,
    /// Measure: `media`, `catalog` (on all three databases), `live`, `record`, `relay` and `idle` (against nginx-rtmp), `sync` (the cost of durability), `covers`, `replay` (against ffmpeg) or `hooks` (answers to SRS)
    Bench {
        /// Which measurement
        #[arg(value_parser = ["media", "catalog", "live", "record", "relay", "idle", "sync", "covers", "replay", "hooks"])]
        what: String,
        /// Passed on to the measurement
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// Run a test of the suite for long, on a release build, and print its figures
    Soak {
        #[command(subcommand)]
        what: Soak,
    },
}

#[derive(Subcommand)]
enum Soak {
    /// Kill a node at random instants (`kill -9`) while publishers run, and look for every fragment it had written
    Kill {
        /// How often it is killed
        #[arg(long, default_value_t = 100)]
        kills: u32,
        /// How many publish
        #[arg(long, default_value_t = 20)]
        publishers: u32,
        /// Repeats the lives of an earlier run
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Run the archive through random schedules of faults, crashes and restarts on simulated disk, clock and bucket
    Simulate {
        /// How many
        #[arg(long, default_value_t = 5000)]
        schedules: u64,
        /// The first of them
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Let a simulated bucket be away while twenty channels record, and count what is lost and how long the rest takes
    Away {
        /// For how long
        #[arg(long, default_value_t = 6)]
        hours: u64,
        /// How many times faster than the recording the simulated uplink is
        #[arg(long, default_value_t = 4)]
        uplink: u64,
    },
    /// Let strangers do all they can to a node while cameras publish, and count what it cost
    Hostile {
        /// For how long
        #[arg(long, default_value_t = 600)]
        seconds: u64,
        /// How many publish
        #[arg(long, default_value_t = 20)]
        publishers: u32,
        /// How many connections of each kind
        #[arg(long, default_value_t = 1000)]
        crowd: u32,
    },
    /// Repair torn segments while a recording runs
    Repair {
        /// How many
        #[arg(long, default_value_t = 1000)]
        files: u32,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.verb {
        Verb::Demo { data } => run::demo(data.as_deref()),
        Verb::Test { only } => check::all(&only),
        Verb::Setup => install::for_tests(),
        Verb::Web => install::node().and_then(|()| run::build_web()),
        Verb::BucketTest => run::bucket_test(),
        Verb::Obs => install::for_obs().and_then(|()| run::obs()),
        Verb::Clip => install::for_tests().and_then(|()| run::clip()),
        Verb::Soak { what } => install::for_tests().and_then(|()| match what {
            Soak::Kill { kills, publishers, seed } => run::soak_kill(kills, publishers, seed),
            Soak::Simulate { schedules, seed } => run::soak_simulate(schedules, seed),
            Soak::Away { hours, uplink } => run::soak_away(hours, uplink),
            Soak::Hostile { seconds, publishers, crowd } => run::soak_hostile(seconds, publishers, crowd),
            Soak::Repair { files } => run::soak_repair(files),
        }),
        Verb::Bench { what, rest } => install::for_benches().and_then(|()| run::bench(&what, &rest)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nxtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
