//! `schema`: prints the contract of messages and events, for programs that check them or generate code.

use clap::Subcommand;
use testmo_courier::app::view::doctor_schema;
use testmo_courier::contract::{asyncapi, batch_schema, events_schema, strict_batch_schema};
use testmo_courier::http::api::openapi;

use super::failure::Failure;
use super::output::Output;

#[derive(Clone, Copy, Debug, Subcommand)]
pub(super) enum Command {
    /// Print the JSON Schema of the message that generators publish
    Batch {
        /// Print a schema that structured output of language models accepts; it has no `fields` and no `folder_id`
        #[arg(long)]
        strict: bool,
    },
    /// Print the JSON Schema of all events
    Events,
    /// Print exchanges, routing keys, messages and events as an AsyncAPI document
    Asyncapi,
    /// Print the JSON API as an OpenAPI document
    Openapi,
    /// Print the JSON Schema of what `doctor --json` prints
    Doctor,
}

pub(super) fn execute(command: Command, out: &mut Output) -> Result<(), Failure> {
    out.json(&match command {
        Command::Batch { strict: false } => batch_schema(),
        Command::Batch { strict: true } => strict_batch_schema(),
        Command::Events => events_schema(),
        Command::Asyncapi => asyncapi(),
        Command::Openapi => openapi(),
        Command::Doctor => doctor_schema(),
    })
}
