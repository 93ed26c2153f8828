//! What a process and those below it use, as the kernel counts it.

use std::{collections::BTreeSet, fs, path::Path};

/// By whom CPU time is counted.
pub const PARTS: [&str; 4] = ["flashsale", "redis", "kafka", "postgres"];
/// Linux counts in hundredths.
const TICKS_PER_SECOND: f64 = 100.0;

struct Process {
    id: u32,
    parent: u32,
    name: String,
    /// Its own, and those of children that have ended.
    seconds: f64,
}

impl Process {
    /// None for what is no process, or is none any more.
    fn read(folder: &Path) -> Option<Self> {
        let id = folder.file_name()?.to_str()?.parse().ok()?;
        let stat = fs::read_to_string(folder.join("stat")).ok()?;
        // The name stands in brackets, and may have some itself.
        let (before, after) = stat.rsplit_once(')')?;
        let (_, name) = before.split_once('(')?;
        let fields: Vec<&str> = after.split_whitespace().collect();
        let ticks: Vec<f64> = fields.get(11..15)?.iter().filter_map(|ticks| ticks.parse().ok()).collect();
        let seconds = ticks.iter().sum::<f64>() / TICKS_PER_SECOND;
        Some(Self { id, parent: fields.get(1)?.parse().ok()?, name: name.to_owned(), seconds })
    }

    /// Its index in `PARTS`.
    fn part(&self) -> usize {
        match self.name.as_str() {
            "redis-server" | "valkey-server" => 1,
            "java" => 2,
            "postgres" => 3,
            _ => 0,
        }
    }
}

/// CPU seconds that `root` and all below it have used, in the order of `PARTS`.
pub fn cpu_seconds(root: u32) -> [f64; PARTS.len()] {
    let folders = fs::read_dir("/proc").unwrap().flatten();
    let all: Vec<Process> = folders.filter_map(|folder| Process::read(&folder.path())).collect();
    let mut ours = BTreeSet::from([root]);
    loop {
        let below = all.iter().filter(|one| ours.contains(&one.parent) && !ours.contains(&one.id));
        let more: Vec<u32> = below.map(|one| one.id).collect();
        if more.is_empty() {
            break;
        }
        ours.extend(more);
    }
    let mut seconds = [0.0; PARTS.len()];
    for one in all.iter().filter(|one| ours.contains(&one.id)) {
        seconds[one.part()] += one.seconds;
    }
    seconds
}

/// CPU time of the first thread of a process, in nanoseconds: all of Redis' commands, and finer than hundredths of a
/// second.
pub fn thread_nanos(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

/// A line of what the kernel knows of a process' memory, such as `VmRSS` or `VmHWM`, in KiB.
pub fn memory_kib(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches("kB").trim().parse().unwrap()
}
