//! Reads from /proc how much the processes of a group have used.

use std::fs;

/// The resources that a group of processes has used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Processor time, in seconds.
    pub(crate) cpu: f64,
    /// The sum of the processes' peak resident memory, in bytes.
    pub(crate) peak_memory: u64,
}

/// Returns what the processes of a group have used so far; zeros if there are none.
pub(crate) fn of_group(group: u32) -> Usage {
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let mut usage = Usage::default();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        if let Some(spent) = ticks_of(&stat, group) {
            usage.cpu += spent as f64 / ticks;
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            usage.peak_memory += peak_of(&status);
        }
    }
    usage
}

/// Returns the ticks of a process and its ended children, if the process belongs to the group.
fn ticks_of(stat: &str, group: u32) -> Option<u64> {
    // The name in parentheses may contain blanks; the text after it starts with the third field.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    (number(5)? == u64::from(group)).then(|| (14..=17).filter_map(number).sum())
}

fn peak_of(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_a_process_are_those_of_its_group() {
        let stat = "77 (a b) c) S 1 55 55 0 -1 4194560 1 2 3 4 10 20 300 4000 20 0 1 0 5 6 7";
        assert_eq!(ticks_of(stat, 55), Some(4330));
        assert_eq!(ticks_of(stat, 77), None);
    }

    #[test]
    fn a_process_uses_memory() {
        assert_eq!(peak_of("Name:\tx\nVmPeak:\t  9 kB\nVmHWM:\t    12 kB\n"), 12 * 1024);
        let own = rustix::process::getpgrp().as_raw_nonzero().get();
        assert!(of_group(u32::try_from(own).unwrap()).peak_memory > 0);
    }
}
