//! `shelf note`: writes or removes the note on a group.

use clap::Args;
use testmo_courier::app::Store;
use testmo_courier::app::actor::Actor;
use testmo_courier::app::shelf::{CauseId, remove_note, write_note};

use super::super::failure::Failure;
use super::super::output::{Output, visible};

const EXAMPLES: &str = "\
A group has one note. It is shown by `shelf groups`, and by `shelf show` for each entry of the group, and stays when the group
is empty, so that it is there if the cause comes back.

Examples:
  testmo-courier shelf note c-5f3a09b2 'the customer fixes the template; replay on Tuesday'
  testmo-courier shelf note c-5f3a09b2 --remove";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The group, as `shelf groups` prints it
    group: CauseId,
    /// The note, which replaces the one before
    #[arg(required_unless_present = "remove", conflicts_with = "remove")]
    text: Option<String>,
    /// Remove the note
    #[arg(long)]
    remove: bool,
}

pub(crate) async fn execute(
    arguments: Arguments,
    store: &Store,
    actor: &Actor,
    out: &mut Output,
) -> Result<(), Failure> {
    let Arguments { group, text, .. } = arguments;
    let Some(text) = text else {
        let removed = remove_note(store, actor, group).await?;
        return out.line(format_args!("Removed the note of {}: {}", visible(&removed.actor), visible(&removed.text)));
    };
    out.line(match write_note(store, actor, group, &text).await? {
        Some(before) => format!("Replaced the note of {}: {}", visible(&before.actor), visible(&before.text)),
        None => format!("Noted. `testmo-courier shelf groups` shows it with group {group}."),
    })
}
