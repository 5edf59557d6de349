//! Breaks everything around real workers by seeded plans, and checks that nothing is lost and nothing is created twice.

mod batches;
mod budget;
mod check;
mod closing;
mod diary;
mod drain;
mod draw;
mod generations;
mod neighbour;
mod orders;
mod people;
mod person;
mod plan;
mod poison;
mod proxy;
mod replays;
mod run;
mod stage;
mod timeline;
mod upgrade;
mod worker;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use crate::neighbour::Neighbour;
use crate::plan::{Form, Plan};
use crate::stage::{Ground, Programs, Stage};
use crate::upgrade::{Rehearsal, rehearse};

/// Runs seeded plans of faults against real workers.
#[derive(Debug, Parser)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// How many seeds to run.
    #[arg(long, default_value_t = 10)]
    seeds: u64,
    /// 1 for one worker on SQLite, 3 for three on PostgreSQL; by default each seed is run in both forms.
    #[arg(long, value_parser = ["1", "3"])]
    replicas: Option<String>,
    /// Run shorter plans.
    #[arg(long)]
    short: bool,
    /// Run plans in which Testmo commits after the settle time: duplicates must be reported.
    #[arg(long)]
    late: bool,
    /// Show the time line of plans that pass, too, and keep the workers' logs.
    #[arg(long)]
    verbose: bool,
    /// The worker to run, built for tests.
    #[arg(long)]
    program: PathBuf,
    /// A file to which each result is appended.
    #[arg(long)]
    results: Option<PathBuf>,
    /// A worker of the version before: instead of plans, rolling upgrades from it to the program and back are rehearsed.
    #[arg(long)]
    previous: Option<PathBuf>,
    /// How many rolling upgrades, each beside as many plain restarts.
    #[arg(long, default_value_t = 2, requires = "previous")]
    times: u64,
    /// The worker's version, as shown in the results.
    #[arg(long, default_value = "unknown")]
    revision: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    // This fails only if a provider was installed before, and nothing runs before this.
    drop(rustls::crypto::ring::default_provider().install_default());
    let arguments = Arguments::parse();
    let forms: &[usize] = match arguments.replicas.as_deref() {
        Some(_) | None if arguments.previous.is_some() => &[3],
        Some("1") => &[1],
        Some(_) => &[3],
        None => &[1, 3],
    };
    let postgres = if forms.contains(&3) { Some(Neighbour::postgres().await?) } else { None };
    let ground = Ground { broker: Neighbour::broker().await?, postgres };
    if let Some(previous) = &arguments.previous {
        let programs = Programs { previous: previous.clone(), present: arguments.program.clone() };
        let Arguments { from, times, short, results, .. } = arguments;
        let is_good = rehearse(&Rehearsal { programs, from, times, short, results }, &ground).await?;
        return Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let (mut passed, mut failed) = (0, 0);
    for seed in arguments.from..arguments.from + arguments.seeds {
        for replicas in forms {
            let form = Form { replicas: *replicas, short: arguments.short, late: arguments.late };
            let is_good = one(&Plan::of(seed, form), &arguments, &ground).await?;
            *if is_good { &mut passed } else { &mut failed } += 1;
        }
    }
    std::io::stdout().write_all(format!("{passed} plans passed, {failed} failed\n").as_bytes())?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs one plan, and reports and records the result; after a failure, the workers' logs are kept and the report shows
/// the command that runs the plan again.
async fn one(plan: &Plan, arguments: &Arguments, ground: &Ground) -> anyhow::Result<bool> {
    let dir = tempfile::tempdir()?;
    let began = Instant::now();
    let (broken, told) = match attempt(plan, dir.path(), arguments, ground).await {
        Ok(end) => end,
        Err(error) => (vec![format!("{error:#}")], String::new()),
    };
    let (seed, replicas) = (plan.seed, plan.form.replicas);
    let cases: usize = plan.batches.iter().map(|batch| batch.cases).sum();
    let seconds = began.elapsed().as_secs();
    let kind = match (plan.form.late, plan.form.short) {
        (true, _) => "late",
        (false, true) => "short",
        (false, false) => "whole",
    };
    let verdict = if broken.is_empty() { "ok".to_owned() } else { broken.join("\n    ") };
    let line = format!(
        "{} {kind} seed {seed} with {replicas}: {verdict} ({} batches, {cases} cases, {} actions, {seconds} s)\n",
        arguments.revision,
        plan.batches.len(),
        plan.actions.len()
    );
    record(&line, arguments.results.as_deref())?;
    if !broken.is_empty() || arguments.verbose {
        let short = if plan.form.short { " --short" } else { "" };
        let late = if plan.form.late { " --late" } else { "" };
        let (kept, program) = (dir.keep(), arguments.program.display());
        let told = format!(
            "{told}the workers' logs are in {}\nrun it again with: testmo-chaos --program {program} --from {seed} --seeds 1 \
             --replicas {replicas}{short}{late}\n",
            kept.display()
        );
        std::io::stderr().write_all(told.as_bytes())?;
    }
    Ok(broken.is_empty())
}

/// Prints lines, and appends them to the file of the results.
fn record(lines: &str, results: Option<&Path>) -> anyhow::Result<()> {
    std::io::stdout().write_all(lines.as_bytes())?;
    if let Some(results) = results {
        std::fs::File::options().create(true).append(true).open(results)?.write_all(lines.as_bytes())?;
    }
    Ok(())
}

/// Runs one plan; returns the violations and the time line.
async fn attempt(
    plan: &Plan,
    dir: &Path,
    arguments: &Arguments,
    ground: &Ground,
) -> anyhow::Result<(Vec<String>, String)> {
    let mut stage = Stage::set(dir, ground, plan, &Programs::one(&arguments.program)).await?;
    let mut broken = match through(plan, &mut stage).await {
        Ok(broken) => broken,
        Err(error) => vec![format!("{error:#}")],
    };
    let told = stage.told();
    if let Err(error) = stage.strike().await {
        broken.push(format!("{error:#}"));
    }
    Ok((broken, told))
}

async fn through(plan: &Plan, stage: &mut Stage) -> anyhow::Result<Vec<String>> {
    run::run(plan, stage).await?;
    let drained = drain::drain(plan, stage).await?;
    check::check(plan, stage, &drained).await
}
