//! Exports the resource use of this process as the `prometheus` crate does, but with fractions of a second of CPU time.

use procfs::process::Process as Entry;
use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{Counter, MetricFamily};

const CPU: &str = "process_cpu_seconds_total";

/// The series of this process.
pub(super) struct Process(ProcessCollector);

impl Process {
    /// Returns the series of the process that calls this.
    pub(super) fn this() -> Self {
        Self(ProcessCollector::for_self())
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.0.collect();
        // The crate counts whole seconds; a worker without load uses one in minutes.
        let (Some(seconds), Some(cpu)) = (cpu_seconds(), families.iter_mut().find(|family| family.name() == CPU))
        else {
            return families;
        };
        for metric in cpu.mut_metric() {
            let mut counter = Counter::default();
            counter.set_value(seconds);
            metric.set_counter(counter);
        }
        families
    }
}

/// Returns the CPU time of the process so far, in seconds, in user code and in the kernel.
fn cpu_seconds() -> Option<f64> {
    let used = Entry::myself().and_then(|entry| entry.stat()).ok()?;
    let ticks = u32::try_from(used.utime + used.stime).ok()?;
    let per_second = u32::try_from(procfs::ticks_per_second()).ok()?;
    Some(f64::from(ticks) / f64::from(per_second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_than_a_second_of_work_is_seen() {
        let process = Process::this();
        let seconds = || {
            let families = process.collect();
            let cpu = families.iter().find(|family| family.name() == CPU).expect("a series");
            cpu.get_metric()[0].get_counter().get_value()
        };
        let begin = seconds();
        let mut readings = std::iter::repeat_with(seconds).take_while(|now| *now < begin + 2.0);
        assert!(readings.any(|now| now.fract() > 0.0), "only whole seconds since {begin}");
    }
}
