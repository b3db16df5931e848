//! A process under watch: its CPU time and memory by the kernel's own account.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Clock ticks a second of `/proc/*/stat` (`sysconf(_SC_CLK_TCK)`), 100 on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a process has used since its start, with its children that were waited for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// User and system time in seconds.
    pub cpu_s: f64,
    /// Of that, what it used itself, without its children: those of a node make covers.
    pub own_s: f64,
    /// Resident memory now, in MB.
    pub resident_mb: f64,
    /// Peak of it, in MB.
    pub peak_mb: f64,
}

/// A child process that ends with us.
pub struct Watched(Child);

impl Watched {
    /// Starts it without input; its output goes to a file in the temporary folder.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let shown = format!("{command:?}");
        let child =
            command.stdin(Stdio::null()).spawn().with_context(|| format!("could not start {shown}"))?;
        Ok(Self(child))
    }

    /// What it has used so far, its running children included.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn usage(&self) -> Result<Usage> {
        let mut sum = Usage::default();
        for pid in std::iter::once(self.0.id()).chain(children(self.0.id())) {
            let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
            let all_s = cpu_s(&stat);
            sum.cpu_s += all_s;
            sum.own_s += if pid == self.0.id() { times_s(&stat, 2) } else { 0.0 };
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let megabytes = |name: &str| {
                let line = status.lines().find(|line| line.starts_with(name));
                let kilobytes =
                    line.and_then(|line| line.split_whitespace().nth(1)).and_then(|word| word.parse().ok());
                kilobytes.unwrap_or(0.0) / 1024.0
            };
            sum.resident_mb += megabytes("VmRSS:");
            sum.peak_mb += megabytes("VmHWM:");
        }
        if sum.peak_mb == 0.0 {
            bail!("the process {} has ended", self.0.id());
        }
        Ok(sum)
    }

    /// Sends a signal and waits for the end.
    ///
    /// # Errors
    ///
    /// When `kill` cannot be started.
    pub fn end(mut self, signal: &str) -> Result<()> {
        Command::new("kill").args([signal, &self.0.id().to_string()]).status()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // It may have ended by itself: both calls then have nothing to do.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// User and system time of a process and of its children that were waited for, from its `/proc/*/stat`.
fn cpu_s(stat: &str) -> f64 {
    times_s(stat, 4)
}

/// The first `count` of a process's user and system time, and the same of its children that were waited for.
fn times_s(stat: &str, count: usize) -> f64 {
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    // proc(5): utime, stime, cutime and cstime are fields 14 to 17, two of which stand before the ')'.
    fields.skip(11).take(count).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}

/// What this process has used so far.
///
/// # Errors
///
/// When the kernel does not say.
pub fn own_cpu_s() -> Result<f64> {
    Ok(cpu_s(&std::fs::read_to_string("/proc/self/stat")?))
}

/// What the kernel's own threads have used so far: they write pages back and commit journals for everybody.
#[must_use]
pub fn kernel_cpu_s() -> f64 {
    let mut sum = 0.0;
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The parent of all of them is kthreadd, process 2.
        let parent = stat.rsplit(')').next().unwrap_or_default().split_whitespace().nth(1);
        if parent == Some("2") {
            sum += cpu_s(&stat);
        }
    }
    sum
}

fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// The middle of some figures.
#[must_use]
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The figure below which the share `part` of all figures lies.
#[must_use]
pub fn percentile(figures: &[f64], part: f64) -> f64 {
    let mut figures = figures.to_vec();
    figures.sort_by(f64::total_cmp);
    let index = ((figures.len() as f64 - 1.0) * part).round() as usize;
    figures.get(index).copied().unwrap_or(f64::NAN)
}

/// Waits until somebody listens.
///
/// # Errors
///
/// When nobody does within ten seconds.
pub fn wait_for_port(port: u16) -> Result<()> {
    let start = Instant::now();
    while TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).is_err() {
        if start.elapsed() > Duration::from_secs(10) {
            bail!("nobody listens on port {port}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
