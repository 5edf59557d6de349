//! `replays`: lists replays, shows how they go, and starts, pauses, resumes and cancels them.

mod list;
mod plan;
mod show;
pub(super) mod watch;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use testmo_courier::app::actor::Actor;
use testmo_courier::app::replays::{self, ReplayAction, ReplayId};

use super::failure::Failure;
use super::open::{configuration, store};
use super::output::Output;

pub(super) use self::plan::plan_text;

const EXAMPLES: &str = "\
`testmo-courier replay` plans a replay and starts it. A replay goes on after a restart, and on another worker. It covers
what was selected when it was planned: what a person changes later is left alone.

Examples:
  testmo-courier replays list
  testmo-courier replays show 7
  testmo-courier replays show 7 --outcome failed
  testmo-courier replays pause 7 --because 'their Testmo is being upgraded'
  testmo-courier replays watch 7";

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum Command {
    /// List replays, the newest first
    List(list::Arguments),
    /// Show a replay: its plan, its parts, and what became of each batch
    Show(show::Arguments),
    /// Start a replay that was planned
    Start(Change),
    /// Start no more batches for now; what is under way comes to its end
    Pause(Change),
    /// Go on, beginning with a few batches one at a time
    Resume(Change),
    /// Start no more batches; what was not started stays as it is
    Cancel(Change),
    /// Show how a replay goes until it ends
    Watch(watch::Arguments),
}

#[derive(Args, Debug)]
pub(super) struct Change {
    /// The number of the replay
    #[arg(value_name = "REPLAY")]
    id: ReplayId,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
}

pub(super) async fn execute(
    command: Command,
    files: &[PathBuf],
    actor: &Actor,
    out: &mut Output,
) -> Result<(), Failure> {
    let store = store(&configuration(files)?).await?;
    let (change, action) = match command {
        Command::List(arguments) => return list::execute(&arguments, &store, out).await,
        Command::Show(arguments) => return show::execute(&arguments, &store, out).await,
        Command::Watch(arguments) => return watch::until_end(&store, arguments.id, out).await,
        Command::Start(change) => (change, ReplayAction::Start),
        Command::Pause(change) => (change, ReplayAction::Pause),
        Command::Resume(change) => (change, ReplayAction::Resume),
        Command::Cancel(change) => (change, ReplayAction::Cancel),
    };
    let Change { id, because } = change;
    replays::act(&store, actor, id, action, because.as_deref()).await?;
    out.line(match action {
        ReplayAction::Start => {
            format!("Replay {id} is started; a running worker carries it out. {}", show::watched(id))
        }
        ReplayAction::Pause => format!(
            "Replay {id} is paused. What is under way comes to its end. `testmo-courier replays resume {id}` goes on."
        ),
        ReplayAction::Resume => {
            format!("Replay {id} goes on, beginning with a few batches one at a time. {}", show::watched(id))
        }
        ReplayAction::Cancel => {
            format!(
                "Replay {id} is cancelled. What is under way comes to its end; what was not started stays as it is."
            )
        }
    })
}
