//! `testmo-simulate`: runs many plans, and shows the course of each plan that fails.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use testmo_simulation::{Mutation, Outcome, simulate, simulate_generations, simulate_quiet};

/// Runs the worker's own logic in paused time between in-memory neighbours, which fail by seeded plans.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// How many plans to run.
    #[arg(long, default_value_t = 1_000)]
    plans: u64,
    /// How many plans to run at once.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Stop after this many failed plans.
    #[arg(long, default_value_t = 1)]
    failures: u64,
    /// Add a known bug, to see when it is noticed.
    #[arg(long)]
    bug: Option<Mutation>,
    /// Run plans in which nothing fails and one person replays what is on the shelf.
    #[arg(long)]
    quiet: bool,
    /// Run plans in which batches update the cases of earlier ones while people edit them.
    #[arg(long, conflicts_with = "quiet")]
    generations: bool,
    /// Show what the workers log, for a single plan.
    #[arg(long)]
    log: bool,
}

impl Arguments {
    fn family(&self) -> fn(u64, Option<Mutation>, bool) -> Outcome {
        match (self.quiet, self.generations) {
            (true, _) => simulate_quiet,
            (_, true) => simulate_generations,
            (false, false) => simulate,
        }
    }

    /// Returns the name of the family in `make simulate`.
    fn family_name(&self) -> &'static str {
        match (self.quiet, self.generations) {
            (true, _) => "QUIET",
            (_, true) => "GENERATIONS",
            (false, false) => "PLANS",
        }
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if arguments.log {
        let filter = tracing_subscriber::EnvFilter::new("testmo_courier=debug,testmo_simulation=debug");
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .without_time()
            .with_ansi(false)
            .init();
    }
    let began = Instant::now();
    let (next, failures) = (AtomicU64::new(arguments.from), AtomicU64::new(0));
    let end = arguments.from + arguments.plans;
    let simulate = arguments.family();
    let totals = std::thread::scope(|scope| {
        let job = || {
            let mut total = Total::default();
            while failures.load(Ordering::Relaxed) < arguments.failures {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= end {
                    break;
                }
                let outcome = simulate(seed, arguments.bug, arguments.log);
                total.add(&outcome);
                if !outcome.broken.is_empty() {
                    failures.fetch_add(1, Ordering::Relaxed);
                    report(&arguments, seed, &outcome, simulate)?;
                }
            }
            anyhow::Ok(total)
        };
        let jobs: Vec<_> = (0..arguments.jobs.max(1)).map(|_| scope.spawn(job)).collect();
        jobs.into_iter()
            .map(|job| job.join().map_err(|_| anyhow::anyhow!("a job panicked"))?)
            .collect::<Result<Vec<_>, _>>()
    })?;
    let failed = failures.into_inner();
    summary(&totals, failed, began.elapsed())?;
    anyhow::ensure!(failed == 0, "{failed} plans failed");
    Ok(())
}

/// So many in a thousand planned entries of quiet stores have to be definite.
const DEFINITE: usize = 950;
/// So many plans are enough to say so.
const ENOUGH: u64 = 1_000;

/// The totals of all plans of a job.
#[derive(Default)]
struct Total {
    plans: u64,
    cases: usize,
    pushes: usize,
    packs: usize,
    replayed: usize,
    planned: (usize, usize),
    simulated: Duration,
}

impl Total {
    fn add(&mut self, outcome: &Outcome) {
        self.plans += 1;
        self.cases += outcome.cases;
        self.pushes += outcome.pushes;
        self.packs += outcome.packs;
        self.replayed += outcome.replayed;
        self.planned = (self.planned.0 + outcome.planned.0, self.planned.1 + outcome.planned.1);
        self.simulated += outcome.simulated;
    }
}

/// Runs the plan again, shows its course, and then the violations.
fn report(
    arguments: &Arguments,
    seed: u64,
    outcome: &Outcome,
    simulate: fn(u64, Option<Mutation>, bool) -> Outcome,
) -> anyhow::Result<()> {
    let again = simulate(seed, arguments.bug, true);
    let mut out = std::io::stdout().lock();
    again.timeline.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    writeln!(out, "\nseed {seed} failed:")?;
    outcome.broken.iter().try_for_each(|what| writeln!(out, "  {what}"))?;
    if again.broken != outcome.broken {
        writeln!(out, "when it was run again, it ended otherwise: {:?}", again.broken)?;
    }
    if arguments.bug.is_none() {
        let family = arguments.family_name();
        let others: String = ["PLANS", "QUIET", "GENERATIONS"]
            .iter()
            .filter(|name| **name != family)
            .map(|name| format!(" {name}=0"))
            .collect();
        writeln!(out, "again: make simulate FROM={seed} {family}=1{others}\n")?;
    }
    Ok(())
}

fn summary(totals: &[Total], failed: u64, took: Duration) -> anyhow::Result<()> {
    let plans: u64 = totals.iter().map(|total| total.plans).sum();
    let cases: usize = totals.iter().map(|total| total.cases).sum();
    let pushes: usize = totals.iter().map(|total| total.pushes).sum();
    let packs: usize = totals.iter().map(|total| total.packs).sum();
    let replayed: usize = totals.iter().map(|total| total.replayed).sum();
    let hours: u64 = totals.iter().map(|total| total.simulated.as_secs()).sum::<u64>() / 3_600;
    let summary = format!(
        "{plans} plans in {} s, {failed} failed: {cases} cases in Testmo, \
         {pushes} create requests, {packs} of them for several batches, {replayed} batches replayed, \
         {hours} h of simulated time",
        took.as_secs()
    );
    writeln!(std::io::stdout(), "{summary}")?;
    let planned: usize = totals.iter().map(|total| total.planned.0).sum();
    let definite: usize = totals.iter().map(|total| total.planned.1).sum();
    if let Some(part) = (definite * 1_000).checked_div(planned) {
        let (whole, tenth) = (part / 10, part % 10);
        writeln!(std::io::stdout(), "of {planned} planned entries, {whole}.{tenth} % were definite")?;
        anyhow::ensure!(plans < ENOUGH || part >= DEFINITE, "too few entries were definite");
    }
    Ok(())
}
