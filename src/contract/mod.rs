//! Publishes the contract with generators and readers of events: the message and the events as JSON Schema and
//! AsyncAPI, made from the Rust types.
//!
//! Invariant: nothing here is needed to carry a batch; `batch::message::decode` reads messages on its own, so that it
//! can name every fault, and `tests/it/contract.rs` checks that both agree.

mod asyncapi;
mod events;
mod formats;
mod message;

use schemars::generate::SchemaSettings;
use serde_json::Value;

pub use self::asyncapi::asyncapi;
pub use self::events::{KINDS, Kind, events_schema};
pub use self::message::{BatchCase, BatchMessage, BatchSource, BatchStep, batch_example};

/// Returns the JSON Schema (2020-12) of the message that generators publish.
pub fn batch_schema() -> Value {
    let mut schema: Value =
        SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<BatchMessage>().into();
    formats::remove_all(&mut schema);
    // The parts that introduce the schema come first, for people.
    let mut first: Value =
        ["$schema", "title", "description"].map(|key| (key, schema[key].clone())).into_iter().collect();
    if let (Value::Object(first), Value::Object(rest)) = (&mut first, schema) {
        first.extend(rest);
    }
    first
}
