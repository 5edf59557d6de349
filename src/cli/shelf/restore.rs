//! `shelf restore`: puts discarded entries back onto the shelf.

use clap::Args;
use testmo_courier::app::Store;
use testmo_courier::app::actor::Actor;
use testmo_courier::app::restore_entry::{RestoreError, Restored, restore};
use testmo_courier::app::shelf::ShelfId;
use testmo_courier::app::view::RestoredView;

use super::super::failure::Failure;
use super::super::output::{Output, visible};

const EXAMPLES: &str = "\
An entry comes back under its id, as it was before it was discarded. If its batch was given up with it, the batch is open
again. An entry that was retried automatically is so again; a dead one waits for a person.

Examples:
  testmo-courier shelf restore 0000001a
  testmo-courier shelf restore 0000001a 0000001b --because 'still needed'";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The entries: ids as `shelf discarded` prints them
    #[arg(required = true, value_name = "ID")]
    ids: Vec<ShelfId>,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
    /// Print what was done as JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(crate) async fn execute(
    arguments: Arguments,
    store: &Store,
    actor: &Actor,
    out: &mut Output,
) -> Result<(), Failure> {
    let (mut restored, mut last) = (Vec::new(), None);
    for id in arguments.ids {
        match restore(store, id, actor, arguments.because.as_deref()).await {
            Ok(entry) => {
                if !arguments.json {
                    out.line(said(&entry))?;
                }
                restored.push(RestoredView::of(&entry));
            }
            Err(error @ (RestoreError::Store(_) | RestoreError::NotAllowed(_))) => return Err(error.into()),
            Err(error) => {
                if let Some(before) = last.replace(error) {
                    Failure::from(before).print();
                }
            }
        }
    }
    if arguments.json {
        out.json(&restored)?;
    }
    last.map_or(Ok(()), |error| Err(error.into()))
}

/// Says what was restored, and what follows.
fn said(restored: &Restored) -> String {
    let Restored { entry, is_reopened, is_parked } = restored;
    let batch = if *is_reopened { "; its batch is open again" } else { "" };
    let next = match is_parked {
        true => "It is retried automatically, as before.".to_owned(),
        false => format!("What to do with it: testmo-courier shelf show {}", entry.id),
    };
    format!("Restored {} ({}){batch}. {next}", entry.id, visible(&entry.batch))
}
