//! Builds the AsyncAPI 3.0 document of exchanges, routing keys, messages and events.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use super::events::{KINDS, Kind};
use super::message::{BatchMessage, batch_example};
use super::portable;
use crate::batch::event::CONTENT_TYPE;

/// The version of the AsyncAPI binding for AMQP 0-9-1.
const BINDING: &str = "0.3.0";

/// Returns the AsyncAPI document, with the exchanges' default names.
pub fn asyncapi() -> Value {
    let messages: Map<String, Value> = KINDS.iter().map(|kind| (kind.name.to_owned(), event_message(kind))).collect();
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    let mut all_messages = messages;
    all_messages.insert("Batch".into(), batch_message());
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "testmo-courier",
            "version": "1.0.0",
            "description": "Carries batches of generated test cases from RabbitMQ into Testmo, and reports the outcome of \
                each. Docs: docs/publishing.md.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "channels": channels(&names),
        "operations": operations(&names),
        "components": {
            "messages": all_messages,
            "messageTraits": message_traits(),
            "schemas": schemas(),
        },
    })
}

fn channels(events: &[&str]) -> Value {
    json!({
        "cases": {
            "address": "batch",
            "title": "Batches of test cases",
            "description": "Routing key `batch`, or `batch.` and any words. A message with another routing key \
                            is shelved.",
            "messages": references("#/components/messages/", &["Batch"]),
            "bindings": exchange("testmo.cases"),
        },
        "events": {
            "address": "{tenant}.{type}",
            "title": "Events about batches, cases, connections and API keys",
            "description": "Bind a queue with `acme.#` for the tenant `acme`, with `acme~eu.#` for `acme.eu`, \
                            or with `#` for all tenants.",
            "parameters": {
                "tenant": {"description": "The tenant id with `~` for each dot, or `unknown` if the tenant of a message \
                                           could not be read: bind `unknown.#` to receive those."},
                "type": {
                    "description": "The type of the event. Types may be added; ignore unknown ones.",
                    "enum": KINDS.iter().map(|kind| kind.kind).collect::<Vec<_>>(),
                },
            },
            "messages": references("#/components/messages/", events),
            "bindings": exchange("testmo.events"),
        },
    })
}

fn operations(events: &[&str]) -> Value {
    json!({
        "receiveBatch": {
            "action": "receive",
            "channel": {"$ref": "#/channels/cases"},
            "summary": "Receives a batch and creates its cases in Testmo.",
            "description": "Publish with publisher confirms, and publish again if no confirm arrives: the cases \
                            of a batch are created once.",
            "messages": [{"$ref": "#/channels/cases/messages/Batch"}],
            "bindings": {"amqp": {"deliveryMode": 2, "mandatory": true, "ack": true, "bindingVersion": BINDING}},
        },
        "sendEvent": {
            "action": "send",
            "channel": {"$ref": "#/channels/events"},
            "summary": "Reports the outcome of a batch, or a change of a connection or an API key.",
            "description": "Sent at least once. A repeated event has the same id and the same body.",
            "messages": events.iter().map(|name| reference("#/channels/events/messages/", name)).collect::<Vec<_>>(),
            "bindings": {"amqp": {"deliveryMode": 2, "bindingVersion": BINDING}},
        },
    })
}

fn message_traits() -> Value {
    json!({
        "batch": {
            "contentType": "application/json",
            "headers": {
                "type": "object",
                "description": "Optional headers. A shelved message keeps these headers and no others.",
                "properties": {
                    "traceparent": {"type": "string"},
                    "tracestate": {"type": "string"},
                    "baggage": {"type": "string"},
                },
            },
        },
        "event": {
            "contentType": CONTENT_TYPE,
            "headers": {
                "type": "object",
                "description": "The trace of the batch, as in the attributes of the same names; absent if the batch has none.",
                "properties": {
                    "traceparent": {"type": "string"},
                    "tracestate": {"type": "string"},
                },
            },
            "externalDocs": {
                "description": "CloudEvents 1.0, structured JSON",
                "url": "https://cloudevents.io",
            },
        },
    })
}

/// Returns the schemas of all messages, in draft 07: AsyncAPI's own schemas are a superset of it.
fn schemas() -> Map<String, Value> {
    let settings = || SchemaSettings::draft07().with(|s| s.definitions_path = "/components/schemas".into());
    let mut reading: SchemaGenerator = settings().into_generator();
    reading.subschema_for::<BatchMessage>();
    let mut schemas = reading.take_definitions(true);
    let mut writing = settings().for_serialize().into_generator();
    let kinds: Vec<_> = KINDS.iter().map(|kind| (kind.name.to_owned(), kind.schema(&mut writing))).collect();
    schemas.extend(writing.take_definitions(true));
    // Envelopes refer to data types, whose names differ from the envelopes' by this suffix.
    schemas.extend(kinds.into_iter().map(|(name, schema)| (format!("{name}Event"), schema)));
    schemas.values_mut().for_each(portable::keep_standard_formats);
    schemas.values_mut().for_each(portable::name_types);
    portable::name_definitions(&mut schemas);
    schemas
}

fn batch_message() -> Value {
    json!({
        "name": "Batch",
        "title": "A batch of test cases",
        "summary": "At most 8 MB by default. The properties message id and timestamp are recommended, not required.",
        "payload": {"$ref": "#/components/schemas/BatchMessage"},
        "traits": [{"$ref": "#/components/messageTraits/batch"}],
        "examples": [{"name": "cases", "payload": batch_example()}],
    })
}

fn event_message(kind: &Kind) -> Value {
    json!({
        "name": kind.kind,
        "title": kind.name,
        "summary": kind.when,
        "payload": {"$ref": format!("#/components/schemas/{}Event", kind.name)},
        "traits": [{"$ref": "#/components/messageTraits/event"}],
        "examples": [{"name": kind.name, "payload": kind.example()}],
    })
}

fn exchange(name: &str) -> Value {
    let exchange = json!({"name": name, "type": "topic", "durable": true, "autoDelete": false});
    json!({"amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": BINDING}})
}

fn references(path: &str, names: &[&str]) -> Map<String, Value> {
    names.iter().map(|name| ((*name).to_owned(), reference(path, name))).collect()
}

fn reference(path: &str, name: &str) -> Value {
    json!({"$ref": format!("{path}{name}")})
}
