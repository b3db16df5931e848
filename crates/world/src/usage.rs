//! What the machine and this process use of it, as Linux tells (`proc(5)`).

/// Counters and gauges at one instant; what cannot be read is 0.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Usage {
    /// Id of the parent process.
    pub parent: u32,
    /// Memory of this process that is in RAM, in kB.
    pub resident_kbyte: u64,
    /// Processor time of this process since its start, in ticks of the kernel.
    pub process_ticks: u64,
    /// Processor time of everybody that was not idle, since the machine's start.
    pub busy_ticks: u64,
    /// Processor time of all processors since the machine's start.
    pub total_ticks: u64,
    /// Processors.
    pub processors: u32,
    /// RAM, in kB.
    pub memory_kbyte: u64,
    /// RAM that programs may still have, in kB.
    pub memory_free_kbyte: u64,
    /// Swap space, in kB.
    pub swap_kbyte: u64,
    /// Swap space that is free, in kB.
    pub swap_free_kbyte: u64,
    /// Seconds since the machine's start.
    pub uptime_s: f64,
    /// Seconds that all processors together were idle.
    pub idle_s: f64,
    /// Load averages over 1, 5 and 15 minutes.
    pub load: [f64; 3],
}

/// Files, sockets and other descriptors that this process has open.
///
/// # Errors
/// What the kernel says, such as that no more may be opened, which counting them needs.
pub fn open_files() -> std::io::Result<u64> {
    let mut count = 0_u64;
    for entry in std::fs::read_dir("/proc/self/fd")? {
        entry?;
        count += 1;
    }
    // One of them is that of the listing itself.
    Ok(count.saturating_sub(1))
}

impl Usage {
    /// Reads it now.
    #[must_use]
    pub fn read() -> Self {
        let text = |name: &str| std::fs::read_to_string(format!("/proc/{name}")).unwrap_or_default();
        Self::parse(
            &text("self/stat"),
            &text("self/status"),
            &text("stat"),
            &text("meminfo"),
            &text("uptime"),
            &text("loadavg"),
        )
    }

    fn parse(own: &str, status: &str, stat: &str, memory: &str, uptime: &str, load: &str) -> Self {
        let kbyte = |text: &str, name: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        // The program's name may hold anything: fields count from behind its parenthesis.
        let own: Vec<&str> = own.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let own = |at: usize| own.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        let ticks: Vec<u64> = stat
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("cpu "))
            .map(|rest| rest.split_whitespace().filter_map(|field| field.parse().ok()).take(8).collect())
            .unwrap_or_default();
        let total_ticks: u64 = ticks.iter().sum();
        // idle and iowait
        let idle_ticks: u64 = ticks.iter().skip(3).take(2).sum();
        let is_processor = |line: &&str| {
            line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let processors = stat.lines().filter(is_processor).count();
        let number = |text: &str, at: usize| {
            text.split_whitespace().nth(at).and_then(|field| field.parse().ok()).unwrap_or(0.0)
        };
        Self {
            parent: u32::try_from(own(1)).unwrap_or(0),
            resident_kbyte: kbyte(status, "VmRSS"),
            process_ticks: own(11) + own(12),
            busy_ticks: total_ticks - idle_ticks,
            total_ticks,
            processors: u32::try_from(processors).unwrap_or(0),
            memory_kbyte: kbyte(memory, "MemTotal"),
            memory_free_kbyte: kbyte(memory, "MemAvailable"),
            swap_kbyte: kbyte(memory, "SwapTotal"),
            swap_free_kbyte: kbyte(memory, "SwapFree"),
            uptime_s: number(uptime, 0),
            idle_s: number(uptime, 1),
            load: [number(load, 0), number(load, 1), number(load, 2)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Usage;

    #[test]
    fn what_linux_writes_is_read() {
        let usage = Usage::parse(
            "12 (a) b) S 7 1 1 0 -1 4194304 100 0 0 0 30 12 0 0 20 0 4 0 100 1 2",
            "Name:\tx\nVmRSS:\t   2048 kB\n",
            "cpu  10 0 20 60 10 0 0 0 0 0\ncpu0 5 0 10 30 5 0 0 0 0 0\ncpu1 5 0 10 30 5 0 0 0 0 0\nintr 1\n",
            "MemTotal: 4096 kB\nMemAvailable: 1024 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n",
            "12.5 20.25\n",
            "0.5 0.25 0.1 1/100 5\n",
        );
        assert_eq!((usage.parent, usage.resident_kbyte, usage.process_ticks), (7, 2048, 42));
        assert_eq!((usage.busy_ticks, usage.total_ticks, usage.processors), (30, 100, 2));
        assert_eq!((usage.memory_kbyte, usage.memory_free_kbyte, usage.uptime_s), (4096, 1024, 12.5));
        assert_eq!(usage.load, [0.5, 0.25, 0.1]);
        assert_eq!(Usage::parse("", "", "", "", "", ""), Usage::default());
    }

    #[test]
    fn this_machine_can_be_read() {
        let usage = Usage::read();
        assert!(usage.resident_kbyte > 0 && usage.memory_kbyte > 0 && usage.processors > 0, "{usage:?}");
    }
}
