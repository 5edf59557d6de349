//! Breaks everything around real workers by seeded plans, and checks that nothing is lost and nothing is twice.

mod broker;
mod check;
mod plan;
mod proxy;
mod run;
mod stage;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use crate::broker::Broker;
use crate::plan::Plan;
use crate::stage::Stage;

/// Runs seeded plans of trouble against real workers.
#[derive(Debug, Parser)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// How many seeds.
    #[arg(long, default_value_t = 10)]
    seeds: u64,
    /// The worker to run.
    #[arg(long)]
    program: PathBuf,
    /// A file to which each result is appended.
    #[arg(long)]
    results: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    // It fails only where a provider was installed before, and nothing runs before this.
    drop(rustls::crypto::ring::default_provider().install_default());
    let arguments = Arguments::parse();
    let mut broker = Broker::start().await?;
    let mut failed = 0;
    for seed in arguments.from..arguments.from + arguments.seeds {
        let started = Instant::now();
        let verdict = match one(seed, &arguments, &mut broker).await {
            Ok(broken) if broken.is_empty() => "ok".to_owned(),
            Ok(broken) => broken.join("\n    "),
            Err(error) => format!("{error:#}"),
        };
        failed += u32::from(verdict != "ok");
        let line = format!("seed {seed}: {verdict} ({:.0} s)\n", started.elapsed().as_secs_f64());
        std::io::stdout().write_all(line.as_bytes())?;
        if let Some(results) = &arguments.results {
            std::fs::File::options().create(true).append(true).open(results)?.write_all(line.as_bytes())?;
        }
    }
    let summary = format!("{} passed, {failed} failed\n", arguments.seeds - u64::from(failed));
    std::io::stdout().write_all(summary.as_bytes())?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs one plan; a failure leaves the worker's log and prints how to run it again.
async fn one(seed: u64, arguments: &Arguments, broker: &mut Broker) -> anyhow::Result<Vec<String>> {
    let dir = tempfile::tempdir()?;
    let plan = Plan::of(seed, 1);
    let mut stage = Stage::set(dir.path(), broker, seed, &arguments.program).await?;
    // A quorum queue needs two seconds before its broker may be killed; plans begin with less trouble than that.
    let outcome = match run::run(&plan, &mut stage, broker).await {
        Ok(record) => check::check(&stage, &record).await.map(|broken| (broken, record.timeline)),
        Err(error) => Err(error),
    };
    stage.strike().await;
    let is_good = matches!(&outcome, Ok((broken, _)) if broken.is_empty());
    if !is_good {
        let kept = dir.keep();
        let mut told = format!("seed {} failed; run it again with --from {} --seeds 1\n", plan.seed, plan.seed);
        told.push_str(&format!("  the worker's log: {}\n", kept.join("worker.log").display()));
        for (at, what) in outcome.as_ref().map_or(&[][..], |(_, timeline)| timeline.as_slice()) {
            told.push_str(&format!("  {at:>6} ms  {what}\n"));
        }
        std::io::stderr().write_all(told.as_bytes())?;
    }
    outcome.map(|(broken, _)| broken)
}
