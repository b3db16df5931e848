//! Installing what a machine lacks, saying what and why, and stopping with the exact command where it may not.
//!
//! Debian's packages come through apt. What Debian does not have comes from PyPI into `.tools/`, for tests only: an ffmpeg that
//! speaks Enhanced RTMP (`imageio-ffmpeg`), and `schemathesis`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::run::{root, step};

/// A program the project calls, and the Debian package that brings it.
struct Need {
    /// A file whose presence means that the package is installed.
    probe: Probe,
    package: &'static str,
    why: &'static str,
}

enum Probe {
    Program(&'static str),
    File(&'static str),
    /// A folder with something in it: the name of a version, for instance.
    Folder(&'static str),
    /// `python3 -c <code>` succeeds.
    Python(&'static str),
}

const FFMPEG: Need =
    Need { probe: Probe::Program("ffmpeg"), package: "ffmpeg", why: "decodes one keyframe for each picture" };
const FONT: Need = Need {
    probe: Probe::File("/usr/share/fonts/truetype/dejavu/DejaVuSansMono-Bold.ttf"),
    package: "fonts-dejavu-core",
    why: "the clock burnt into test clips",
};
const CHROMIUM: Need = Need {
    probe: Probe::Program("chromium"),
    package: "chromium",
    why: "the browser tests play a match in it",
};
const VENV: Need = Need {
    probe: Probe::Python("import ensurepip, venv"),
    package: "python3-venv",
    why: "brings an ffmpeg that publishes HEVC by Enhanced RTMP, and schemathesis",
};
const NGINX: Need = Need {
    probe: Probe::File("/usr/lib/nginx/modules/ngx_rtmp_module.so"),
    package: "libnginx-mod-rtmp",
    why: "the peer that recording and relaying are tested with and measured against",
};
const NGINX_PROGRAM: Need =
    Need { probe: Probe::Program("nginx"), package: "nginx-light", why: "runs the nginx-rtmp module" };

const MARIADB: Need = Need {
    probe: Probe::Program("mariadbd"),
    package: "mariadb-server",
    why: "the catalog is tested on a private MariaDB",
};
const POSTGRES: Need = Need {
    probe: Probe::Folder("/usr/lib/postgresql"),
    package: "postgresql",
    why: "the catalog is tested on a private PostgreSQL",
};
const OPENSSL: Need =
    Need { probe: Probe::Program("openssl"), package: "openssl", why: "certificates for databases in tests" };

const FAKETIME: Need = Need {
    probe: Probe::Program("faketime"),
    package: "faketime",
    why: "sets the clock of a node under test, and of nothing else",
};

const CURL: Need =
    Need { probe: Probe::Program("curl"), package: "curl", why: "asks by HTTP/2 as other programs do" };

const OBS: Need = Need {
    probe: Probe::Program("obs"),
    package: "obs-studio",
    why: "publishes as people do from their desks",
};
const XVFB: Need =
    Need { probe: Probe::Program("xvfb-run"), package: "xvfb", why: "the screen that OBS asks for" };
const XAUTH: Need =
    Need { probe: Probe::Program("xauth"), package: "xauth", why: "lets OBS onto that screen" };

/// Pinned: FFmpeg 7 and later publish `hvc1` by Enhanced RTMP.
const MODERN_FFMPEG: &str = "imageio-ffmpeg==0.8.1";
/// Makes requests up from the OpenAPI document, and compares the answers with it.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";
/// Vite 8 needs it.
const NODE_AT_LEAST: (u32, u32) = (20, 19);

/// What `demo` needs.
pub(crate) fn for_demo() -> Result<()> {
    debian(&[FFMPEG])?;
    node()
}

/// What `test` needs.
pub(crate) fn for_tests() -> Result<()> {
    debian(&[
        FFMPEG,
        FONT,
        CHROMIUM,
        VENV,
        NGINX,
        NGINX_PROGRAM,
        MARIADB,
        POSTGRES,
        OPENSSL,
        FAKETIME,
        CURL,
    ])?;
    node()?;
    python_tools()
}

/// What `bench` needs.
pub(crate) fn for_benches() -> Result<()> {
    debian(&[FFMPEG, FONT, NGINX, NGINX_PROGRAM, MARIADB, POSTGRES])
}

/// What `obs` needs beside the tests' own.
pub(crate) fn for_obs() -> Result<()> {
    for_tests()?;
    debian(&[OBS, XVFB, XAUTH])
}

/// Node and npm, which we do not install: the README asks for them.
pub(crate) fn node() -> Result<()> {
    let printed = output("node", &["--version"]).context(
        "Node is missing. Install Node 20.19 or newer (Debian: apt-get install nodejs npm, or nodejs.org)",
    )?;
    let mut numbers =
        printed.trim().trim_start_matches('v').split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < NODE_AT_LEAST {
        bail!("Node {} is too old: the web interface is built with Node 20.19 or newer", printed.trim());
    }
    output("npm", &["--version"]).context("npm is missing. Debian: apt-get install npm")?;
    Ok(())
}

fn debian(needs: &[Need]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !need.probe.holds()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("Missing from this machine:");
    for need in &missing {
        println!("  {:<20} {}", need.package, need.why);
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    let by_hand = format!(
        "sudo apt-get update && sudo apt-get install -y --no-install-recommends {}",
        packages.join(" ")
    );
    let Some(mut prefix) = root_prefix() else {
        bail!("this needs root. Run this, then try again:\n\n    {by_hand}\n");
    };
    if !on_path("apt-get") {
        bail!("this machine has no apt-get. Install by its own means: {}", packages.join(", "));
    }
    prefix.push("apt-get".into());
    let apt = |arguments: &[&str]| -> Result<()> {
        let mut words = prefix.iter();
        let mut command = Command::new(words.next().map_or("apt-get", String::as_str));
        command.args(words).args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
        let status = command.status().context("apt-get could not be started")?;
        if status.success() {
            Ok(())
        } else {
            bail!("apt-get {} failed. By hand:\n\n    {by_hand}\n", arguments.join(" "))
        }
    };
    step("Install from Debian", &packages.join(" "));
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(&packages);
    // The package lists of a fresh machine are empty, those of an old one are stale.
    apt(&["update"])?;
    apt(&arguments)?;
    match needs.iter().find(|need| !need.probe.holds()) {
        Some(need) => bail!("{} was installed, but what it should bring is still not found", need.package),
        None => Ok(()),
    }
}

/// Where the modern ffmpeg is linked for the tests.
fn modern_ffmpeg_link() -> PathBuf {
    root().join(".tools/ffmpeg-modern")
}

/// What PyPI has and Debian does not, in an environment of its own, each linked where the tests look for it.
fn python_tools() -> Result<()> {
    let tools = root().join(".tools");
    let stamp = tools.join("python-tools.version");
    let wanted = [MODERN_FFMPEG, SCHEMATHESIS].join("\n");
    let links = [modern_ffmpeg_link(), tools.join("schemathesis")];
    let answers = |link: &PathBuf, argument: &str| {
        let mut command = Command::new(link);
        command.arg(argument).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let is_current = std::fs::read_to_string(&stamp).is_ok_and(|text| text == wanted);
    if is_current && answers(&links[0], "-version") && answers(&links[1], "--version") {
        return Ok(());
    }
    step("Install from PyPI", &[MODERN_FFMPEG, SCHEMATHESIS].join(" "));
    let venv = tools.join("venv");
    run_quietly(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    run_quietly(Command::new(venv.join("bin/pip")).args([
        "install",
        "--quiet",
        MODERN_FFMPEG,
        SCHEMATHESIS,
    ]))?;
    let ffmpeg = output(
        &venv.join("bin/python").to_string_lossy(),
        &["-c", "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())"],
    )?;
    for (link, program) in links.iter().zip([PathBuf::from(ffmpeg.trim()), venv.join("bin/schemathesis")]) {
        if link.is_symlink() {
            std::fs::remove_file(link)?;
        }
        std::os::unix::fs::symlink(program, link)?;
    }
    #[expect(clippy::disallowed_methods, reason = "the task runner works on the real machine")]
    std::fs::write(&stamp, wanted)?;
    Ok(())
}

impl Probe {
    fn holds(&self) -> bool {
        match self {
            Self::Program(name) => on_path(name),
            Self::File(path) => Path::new(path).exists(),
            Self::Folder(path) => std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()),
            Self::Python(code) => {
                let mut command = Command::new("python3");
                command.args(["-c", code]).stdout(Stdio::null()).stderr(Stdio::null());
                command.status().is_ok_and(|status| status.success())
            }
        }
    }
}

/// The words in front of a command that runs as root, or `None` where we may not.
fn root_prefix() -> Option<Vec<String>> {
    if output("id", &["-u"]).is_ok_and(|id| id.trim() == "0") {
        return Some(Vec::new());
    }
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
    sudo.status().is_ok_and(|status| status.success()).then(|| vec!["sudo".into(), "-n".into()])
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .any(|folder| folder.join(program).is_file())
}

fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{program} could not be started"))?;
    if !output.status.success() {
        bail!("{program} {} failed", arguments.join(" "));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn run_quietly(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?} could not be started"))?;
    if !output.status.success() {
        bail!("{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
