//! Measures the worker: against peers that consume the same messages, and by the delays that a tenant notices.

mod alone;
mod bus;
mod contestant;
mod listener;
mod machine;
mod measure;
mod message;
mod neighbours;
mod output;
mod report;
mod rows;
mod script;
mod stage;
mod stats;
mod storeless;
mod target;
mod unasked;
mod usage;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::contestant::Places;
use crate::machine::Machine;
use crate::neighbours::Neighbours;
use crate::output::progress;
use crate::report::Results;
use crate::rows::{Bench, Limits};
use crate::target::order::Manner;

/// Measures the worker.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Measure rows, and write the results.
    Run(RunArguments),
    /// Be the target: a process that the harness starts and controls.
    #[command(hide = true)]
    Target,
    /// Be the worker without a store.
    #[command(hide = true)]
    Storeless {
        /// The worker's configuration.
        config: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    /// Measure only this row; can be given several times.
    #[arg(long = "row", value_parser = clap::value_parser!(u8).range(1..=14))]
    rows: Vec<u8>,
    /// The worker that is measured.
    #[arg(long, default_value = "target/release/testmo-courier")]
    worker: PathBuf,
    /// The folder in which the peers were installed and built.
    #[arg(long, default_value = "target/bench")]
    installed: PathBuf,
    /// The folder to which results.json and results.md are written.
    #[arg(long, default_value = "docs/benchmarks")]
    out: PathBuf,
    /// Measure, besides the worker, only contestants whose name contains one of these texts.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Runs of each row, instead of five.
    #[arg(long)]
    runs: Option<usize>,
    /// How many messages a contestant may hold without having acknowledged them.
    #[arg(long, default_value_t = 500)]
    prefetch: usize,
    /// How many requests a contestant may have in flight.
    #[arg(long, default_value_t = 16)]
    in_flight: usize,
    /// Small and short, to try the harness; the figures mean nothing.
    #[arg(long)]
    quick: bool,
}

fn main() -> ExitCode {
    let ended = match Arguments::parse().what {
        What::Run(arguments) => in_runtime(run(arguments)),
        What::Target => target::main().map(|()| ExitCode::SUCCESS),
        What::Storeless { config } => {
            in_runtime(async move { storeless::run(&config).await.map(|()| ExitCode::SUCCESS) })
        }
    };
    // In one line, even if the environment requests backtraces.
    ended.unwrap_or_else(|error| {
        progress(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}

fn in_runtime(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    // This fails only if a provider was installed before, and nothing runs before this.
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::from_secs(1));
    code
}

async fn run(arguments: RunArguments) -> anyhow::Result<ExitCode> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let rows = if arguments.rows.is_empty() { rows::ALL.to_vec() } else { arguments.rows.clone() };
    let mut neighbours = Neighbours::start(rows.iter().any(|row| rows::ON_POSTGRES.contains(row))).await?;
    // A running contestant is killed when the measurement is dropped; the neighbours always end in order.
    let ended = tokio::select! {
        ended = measure(&arguments, &rows, &mut neighbours) => ended,
        _ = interrupt.recv() => Err(anyhow::anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("told to end")),
    };
    neighbours.end().await;
    ended
}

async fn measure(arguments: &RunArguments, rows: &[u8], neighbours: &mut Neighbours) -> anyhow::Result<ExitCode> {
    // Contestants run in other folders, so paths must be absolute.
    let places = Places {
        worker: std::path::absolute(&arguments.worker)?,
        installed: std::path::absolute(&arguments.installed)?,
    };
    let wanted =
        |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|part| name.contains(part.as_str()));
    let (mut contestants, mut missing) = (Vec::new(), Vec::new());
    for contestant in contestant::all(&places) {
        match contestant.missing() {
            _ if contestant.role != contestant::Role::Worker && !wanted(contestant.name) => {}
            Some(what) => missing.push((contestant.name, what)),
            None => contestants.push(contestant),
        }
    }
    for (name, what) in &missing {
        progress(&format!("{name} is missing: {what}"));
    }
    neighbours.behave(Manner::default()).await?;
    let span = Duration::from_secs(if arguments.quick { 1 } else { 3 });
    let machine = Machine::inspect(&places, alone::measure(&neighbours.origin("alone"), span).await?);
    for (name, fact) in machine.facts() {
        progress(&format!("{name:<24} {fact}"));
    }
    let RunArguments { quick, runs, prefetch, in_flight, .. } = *arguments;
    let limits = Limits { quick, runs, prefetch, in_flight };
    let mut bench = Bench { neighbours, contestants, missing, limits };
    let mut failed = 0;
    for row in rows {
        let began = Instant::now();
        progress(&format!("\n== row {row}"));
        match rows::measure(&mut bench, *row).await {
            Ok(mut result) => {
                result.quick = quick;
                result.taken_at = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string();
                result.revision = machine::revision();
                progress(&result.told());
                // Written after each row, so that a later row that fails loses nothing.
                let mut results = Results::read(&arguments.out)?;
                results.machine = machine.clone();
                results.rows.insert(*row, result);
                results.write(&arguments.out)?;
            }
            Err(error) => {
                failed += 1;
                progress(&format!("row {row} could not be measured: {error:#}"));
            }
        }
        progress(&format!("== row {row}: {:.0} s", began.elapsed().as_secs_f64()));
    }
    let logs = contestant::logs_of(&places);
    progress(&format!("written to {}; logs of the contestants: {}", arguments.out.display(), logs.display()));
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
