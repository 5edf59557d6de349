//! Publishes the contract with generators and readers of events: the message and the events as JSON Schema and
//! AsyncAPI, made from the Rust types.
//!
//! Invariant: nothing here is needed to carry a batch; `batch::message::decode` reads messages on its own, so that it
//! can name every fault, and `tests/it/contract.rs` checks that both agree.

mod asyncapi;
mod events;
mod message;
mod portable;
mod strict;

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

pub use self::asyncapi::asyncapi;
pub use self::events::{KINDS, Kind, events_schema};
pub use self::message::{BatchCase, BatchMessage, BatchSource, BatchStep, WrittenStep, batch_example};
pub use self::strict::strict_batch_schema;

/// Returns the JSON Schema of the message that generators publish.
pub fn batch_schema() -> Value {
    let mut schema: Value =
        SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<BatchMessage>().into();
    portable::remove_formats(&mut schema);
    portable::name_types(&mut schema);
    if let Some(definitions) = schema["$defs"].as_object_mut() {
        portable::name_definitions(definitions);
    }
    portable::inline_optional(&mut schema);
    // The parts that introduce the schema come first, for people.
    let mut first =
        json!({"$comment": portable::DIALECTS, "title": schema["title"], "description": schema["description"]});
    if let (Value::Object(first), Value::Object(mut rest)) = (&mut first, schema) {
        rest.shift_remove("$schema");
        first.extend(rest);
    }
    first
}
