//! `replay`: plans a replay of batches on the shelf, and starts it.

use std::path::PathBuf;

use clap::Args;
use testmo_courier::app::actor::Actor;
use testmo_courier::app::replays::{self, Planned, ReplayAction, ReplayError, ReplayId, ReplayRequest};
use testmo_courier::app::view::PlannedReplayView;
use testmo_courier::app::{Store, store_now};

use super::confirm::confirm;
use super::failure::Failure;
use super::open::{configuration, store};
use super::output::Output;
use super::replays::{plan_text, watch};
use super::shelf::Selected;
use super::tenant_hint::note_if_unknown;

const EXAMPLES: &str = "\
Fix the cause first. The plan says what is to be expected of each batch; nothing is changed until it is confirmed. Then a
running worker sends a few batches of each cause and account one at a time, then twice as many again and again, and stops
automatically once they fail again. Cases that are in Testmo are never created again: only the missing cases of a batch
are sent, and a case whose outcome is unknown is reconciled first.

Examples:
  testmo-courier replay 0000001a
  testmo-courier replay acme/shop-142-1
  testmo-courier replay --group c-5f3a09b2 --plan
  testmo-courier replay --state dead --reason retries_exhausted --since 2h --rate 60 --watch
  testmo-courier replay --tenant acme --yes --json";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    selection: Selected,
    /// Only plan; `replays start` starts the plan
    #[arg(long, conflicts_with_all = ["yes", "watch"])]
    plan: bool,
    /// Replay at most so many batches, the oldest first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Start at most so many batches in a minute
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,
    /// Also replay what would be refused again as far as can be seen, such as after a change in Testmo
    #[arg(long)]
    unchanged: bool,
    /// A name for the replay
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// Show how it goes until it ends
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    /// Print the replay as JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(super) async fn execute(
    arguments: Arguments,
    files: &[PathBuf],
    actor: &Actor,
    out: &mut Output,
) -> Result<(), Failure> {
    if arguments.json && !arguments.yes && !arguments.plan {
        return Err(Failure::usage("--json prints no question", "add --yes to start the replay, or --plan to plan it"));
    }
    let config = configuration(files)?;
    let store = store(&config).await?;
    let Arguments { selection, plan, limit, rate, unchanged, name, because, yes, watch: is_watched, json } = arguments;
    let tenant = selection.tenant().cloned();
    let selection = selection.selection(store_now(&store))?;
    let request = ReplayRequest {
        selection,
        name,
        reason: because.clone(),
        per_minute: rate,
        most: limit,
        unchanged_too: unchanged,
    };
    let planned = match replays::plan(&store, &config, actor, request).await {
        Err(ReplayError::Nothing(_)) if !json => {
            note_if_unknown(&store, tenant.as_ref()).await?;
            return out.line("No matching entry is on the shelf.");
        }
        planned => planned?,
    };
    let Planned { id, summary, .. } = &planned;
    if !json {
        out.text(&plan_text(&store, &planned).await?)?;
    }
    if summary.tried == 0 {
        replays::act(&store, actor, *id, ReplayAction::Cancel, None).await?;
        return Err(nothing_to_replay(&planned));
    }
    if plan {
        if json {
            return out.json(&shown(&store, *id).await?);
        }
        return out.line(format_args!("Nothing is changed. `testmo-courier replays start {id}` starts replay {id}."));
    }
    let agreed = if yes { Ok(true) } else { confirm(out) };
    if !matches!(agreed, Ok(true)) {
        replays::act(&store, actor, *id, ReplayAction::Cancel, None).await?;
        agreed?;
        return Err(Failure::finding("Cancelled; nothing was replayed.", "Type yes, or add --yes, to go on."));
    }
    replays::act(&store, actor, *id, ReplayAction::Start, because.as_deref()).await?;
    if json {
        return out.json(&shown(&store, *id).await?);
    }
    out.line(format_args!("Replay {id} is started; a running worker carries it out."))?;
    if is_watched {
        return watch::until_end(&store, *id, out).await;
    }
    out.line(format_args!("`testmo-courier replays watch {id}` shows how it goes."))
}

/// Shows a replay with the entries of its plan.
async fn shown(store: &Store, id: ReplayId) -> Result<PlannedReplayView, Failure> {
    let (details, items) = (replays::show(store, id).await?, replays::all_items(store, id).await?);
    Ok(PlannedReplayView::of(&details, &items))
}

fn nothing_to_replay(planned: &Planned) -> Failure {
    use testmo_courier::app::replays::Forecast;
    let refused = planned.summary.of(Forecast::RefusedAgain);
    if refused > 0 {
        return Failure::finding(
            "Nothing was replayed: the batches would be refused again.",
            "Correct the cause first; after a change that this program cannot see, such as one in Testmo, add --unchanged: \
             one batch goes first.",
        );
    }
    if planned.summary.of(Forecast::AlreadyInTestmo) == planned.summary.batches {
        return Failure::finding(
            "Nothing was replayed: every case is in Testmo.",
            "`testmo-courier shelf discard` with the same selection takes the entries off the shelf.",
        );
    }
    Failure::finding(
        "Nothing was replayed.",
        "The plan says why; `testmo-courier shelf show ID` says what to do with an entry.",
    )
}
