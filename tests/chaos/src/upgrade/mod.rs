//! Rehearses rolling upgrades: three replicas are switched from the previous version to the present one and back, under a
//! fixed load and faults, and compared with as many plain restarts under the same load and faults.

mod beginning;
mod draw;
mod report;
mod times;

use std::io::Write;
use std::path::{Path, PathBuf};

pub(crate) use self::beginning::Previous;
use self::draw::{Load, flood, round};
use self::report::{Kind, Report, Row};
use self::times::{Times, tried_alone};
use crate::plan::Plan;
use crate::stage::{Ground, Programs, Stage};
use crate::{check, drain, record, run};

/// How many batches measure the rate.
const FLOOD: usize = 600;
/// The load, as a part of the measured rate.
const LOAD: f64 = 0.2;
/// How long a pass publishes, in milliseconds.
const LENGTH_MS: u64 = 40_000;
/// The same, for a short rehearsal.
const SHORT: (usize, u64) = (60, 8_000);

/// What is rehearsed.
#[derive(Debug)]
pub(crate) struct Rehearsal {
    pub(crate) programs: Programs,
    /// The first seed.
    pub(crate) from: u64,
    /// How many rolling upgrades.
    pub(crate) times: u64,
    /// Whether to take less time, which measures too little to judge the delay.
    pub(crate) short: bool,
    /// A file to which each result is appended.
    pub(crate) results: Option<PathBuf>,
}

/// What one pass has shown.
struct Pass {
    broken: Vec<String>,
    times: Times,
    tried_alone: usize,
}

/// Rehearses upgrades; returns whether nothing was lost, created twice, quarantined or delayed too much.
pub(crate) async fn rehearse(rehearsal: &Rehearsal, ground: &Ground) -> anyhow::Result<bool> {
    let (batches, length) = if rehearsal.short { SHORT } else { (FLOOD, LENGTH_MS) };
    let present = Programs::one(&rehearsal.programs.present);
    let mut report = Report::new(!rehearsal.short);
    let measured = pass(&flood(batches), &present, ground).await?;
    let rate = measured.times.rate();
    let load = Load { per_second: rate * LOAD, length };
    say(rehearsal, &report.begin(rate, load.per_second, length))?;
    say(rehearsal, &report.add(Kind::Flood, 0, row(measured)))?;
    for seed in rehearsal.from..rehearsal.from + rehearsal.times {
        let plan = round(seed, load);
        for (kind, programs) in [(Kind::Upgrade, &rehearsal.programs), (Kind::Restarts, &present)] {
            let shown = pass(&plan, programs, ground).await?;
            say(rehearsal, &report.add(kind, seed, row(shown)))?;
        }
    }
    let (lines, is_good) = report.end();
    say(rehearsal, &lines)?;
    Ok(is_good)
}

fn row(pass: Pass) -> Row {
    Row { batches: pass.times.batches, quiet: pass.times.quiet, quarantined: pass.tried_alone, broken: pass.broken }
}

fn say(rehearsal: &Rehearsal, lines: &str) -> anyhow::Result<()> {
    record(lines, rehearsal.results.as_deref())
}

/// Carries a plan out with its own servers' parts; the workers' logs are kept if something is wrong.
async fn pass(plan: &Plan, programs: &Programs, ground: &Ground) -> anyhow::Result<Pass> {
    let dir = tempfile::tempdir()?;
    let mut stage = Stage::set(dir.path(), ground, plan, programs).await?;
    let end = carry_out(plan, &mut stage, dir.path()).await;
    let timeline = stage.told();
    let struck = stage.strike().await;
    let mut pass = end.unwrap_or_else(|error| Pass::failed(&error));
    pass.broken.extend(struck.err().map(|error| format!("{error:#}")));
    if !pass.broken.is_empty() || pass.tried_alone > 0 {
        let kept = dir.keep();
        let said = format!("{timeline}the workers' logs are in {}\n", kept.display());
        std::io::stderr().write_all(said.as_bytes())?;
    }
    Ok(pass)
}

async fn carry_out(plan: &Plan, stage: &mut Stage, dir: &Path) -> anyhow::Result<Pass> {
    run::run(plan, stage).await?;
    let drained = drain::drain(plan, stage).await?;
    let broken = check::check(plan, stage, &drained).await?;
    let times = Times::of(plan, stage, &drained);
    Ok(Pass { broken, times, tried_alone: tried_alone(dir, stage.workers.len())? })
}

impl Pass {
    fn failed(error: &anyhow::Error) -> Self {
        Self { broken: vec![format!("{error:#}")], times: Times::default(), tried_alone: 0 }
    }
}
