//! `replays watch`: shows how a replay goes until it ends or stops.

use std::time::Duration;

use clap::Args;
use testmo_courier::app::Store;
use testmo_courier::app::replays::{self, ReplayDetails, ReplayId, ReplayState};

use super::super::failure::Failure;
use super::super::output::Output;
use super::super::progress::bar;
use super::show::{before_editing, what_failed};

/// How often the replay is read.
const PERIOD: Duration = Duration::from_secs(1);

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The number of the replay
    #[arg(value_name = "REPLAY")]
    pub(super) id: ReplayId,
}

/// Prints how a replay goes until it is over, paused, or interrupted by a person.
pub(crate) async fn until_end(store: &Store, id: ReplayId, out: &mut Output) -> Result<(), Failure> {
    let (mut last, bar) = (String::new(), bar(0, "batches"));
    loop {
        let details = replays::show(store, id).await?;
        let tried = details.summary.as_ref().map_or(0, |summary| summary.tried);
        bar.set_length(tried);
        bar.set_position(tried.saturating_sub(details.left() + details.under_way()));
        let line = line_of(&details);
        if line != last {
            bar.suspend(|| out.line(&line))?;
            last = line;
        }
        match details.row.state {
            Some(ReplayState::Running) => tokio::time::sleep(PERIOD).await,
            state => {
                bar.finish_and_clear();
                return end(id, state);
            }
        }
    }
}

fn end(id: ReplayId, state: Option<ReplayState>) -> Result<(), Failure> {
    match state {
        Some(ReplayState::Done) => Ok(()),
        Some(ReplayState::Paused) => Err(Failure::finding(
            format!("replay {id} is paused"),
            format!(
                "{} Correct the cause, then `testmo-courier replays resume {id}`. {}",
                what_failed(id),
                before_editing(id)
            ),
        )),
        Some(ReplayState::Planning | ReplayState::Planned) => Err(Failure::finding(
            format!("replay {id} is not started"),
            format!("`testmo-courier replays start {id}` starts it"),
        )),
        Some(ReplayState::Running | ReplayState::Cancelled) | None => Err(Failure::Printed),
    }
}

/// Describes how far a replay has come, on one line.
fn line_of(details: &ReplayDetails) -> String {
    let state = details.row.state.map_or("unknown", ReplayState::name);
    let outcomes = details.outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}"));
    let mut parts: Vec<String> = outcomes.collect();
    parts.extend((details.under_way() > 0).then(|| format!("{} under way", details.under_way())));
    parts.extend((details.left() > 0).then(|| format!("{} left", details.left())));
    let why = details.row.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    format!("replay {} is {state}{why}: {}", details.row.id, parts.join(", "))
}
