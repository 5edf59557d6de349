//! Lists the exchanges, queues and bindings of the project, in the order in which they are declared.
//!
//! ```text
//! testmo.cases (topic) ─ batch.# ─► testmo.cases (quorum) ─ dead letters ─► testmo.cases.dead (fanout) ─► testmo.cases.dead
//!        └─ no matching binding ─► testmo.unrouted (fanout) ─► testmo.unrouted
//! testmo.events (topic)
//! ```

use std::fmt;

use crate::config::Amqp;

/// How often a message of the dead and the unrouted queue may be delivered again. Without a limit, RabbitMQ 4 would
/// drop it after 20 deliveries.
const NO_DELIVERY_LIMIT: i64 = 1_000_000;

/// An object that the broker must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// A durable exchange.
    Exchange {
        /// Its name.
        name: String,
        /// How it routes.
        routing: Routing,
        /// Its arguments.
        arguments: Vec<Argument>,
    },
    /// A durable queue.
    Queue {
        /// Its name.
        name: String,
        /// Its arguments, the queue type among them.
        arguments: Vec<Argument>,
    },
    /// Messages of an exchange that go to a queue.
    Binding {
        /// The exchange that the messages come from.
        exchange: String,
        /// The queue that they go to.
        queue: String,
        /// The routing keys that they match.
        routing_key: String,
    },
}

/// How an exchange chooses queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// By patterns of the routing key.
    Topic,
    /// To all bound queues.
    Fanout,
}

/// A declaration argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Its name, for instance `x-queue-type`.
    pub name: &'static str,
    /// Its value.
    pub value: ArgumentValue,
}

/// The value of a declaration argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgumentValue {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
}

/// Returns all objects, in an order in which they can be declared.
pub fn topology(config: &Amqp) -> Vec<Object> {
    let Amqp {
        cases_exchange,
        cases_queue,
        dead_letter_exchange,
        dead_letter_queue,
        unrouted_exchange,
        unrouted_queue,
        events_exchange,
        ..
    } = config;
    let alternate = vec![text("alternate-exchange", unrouted_exchange)];
    vec![
        exchange(unrouted_exchange, Routing::Fanout, vec![]),
        endless_queue(unrouted_queue),
        binding(unrouted_exchange, unrouted_queue, ""),
        exchange(dead_letter_exchange, Routing::Fanout, vec![]),
        endless_queue(dead_letter_queue),
        binding(dead_letter_exchange, dead_letter_queue, ""),
        exchange(cases_exchange, Routing::Topic, alternate),
        queue(cases_queue, cases_arguments(config)),
        binding(cases_exchange, cases_queue, &config.cases_binding_key),
        exchange(events_exchange, Routing::Topic, vec![]),
    ]
}

fn cases_arguments(config: &Amqp) -> Vec<Argument> {
    vec![
        number("x-delivery-limit", i64::from(config.delivery_limit)),
        text("x-dead-letter-exchange", &config.dead_letter_exchange),
        // At-most-once, the default, loses dead letters when the broker crashes. RabbitMQ falls
        // back to it silently unless the queue also refuses instead of dropping.
        text("x-dead-letter-strategy", "at-least-once"),
        text("x-overflow", "reject-publish"),
    ]
}

fn endless_queue(name: &str) -> Object {
    queue(name, vec![number("x-delivery-limit", NO_DELIVERY_LIMIT)])
}

fn exchange(name: &str, routing: Routing, arguments: Vec<Argument>) -> Object {
    Object::Exchange { name: name.to_owned(), routing, arguments }
}

fn queue(name: &str, arguments: Vec<Argument>) -> Object {
    // Set explicitly, because a virtual host can have another default.
    let mut all = vec![text("x-queue-type", "quorum")];
    all.extend(arguments);
    Object::Queue { name: name.to_owned(), arguments: all }
}

fn binding(exchange: &str, queue: &str, routing_key: &str) -> Object {
    Object::Binding { exchange: exchange.to_owned(), queue: queue.to_owned(), routing_key: routing_key.to_owned() }
}

fn text(name: &'static str, value: &str) -> Argument {
    let value = ArgumentValue::Text(value.to_owned());
    Argument { name, value }
}

fn number(name: &'static str, value: i64) -> Argument {
    let value = ArgumentValue::Number(value);
    Argument { name, value }
}

impl Routing {
    /// Returns the exchange type as AMQP names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Fanout => "fanout",
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exchange { name, routing, .. } => {
                write!(f, "{} exchange `{name}`", routing.as_str())
            }
            Self::Queue { name, .. } => write!(f, "queue `{name}`"),
            Self::Binding { exchange, queue, routing_key } => {
                write!(f, "binding `{exchange}` to `{queue}` (`{routing_key}`)")
            }
        }
    }
}

impl fmt::Display for ArgumentValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    fn objects() -> Vec<Object> {
        topology(&load(&Sources::default()).expect("the defaults").amqp)
    }

    fn queues() -> Vec<(String, Vec<Argument>)> {
        objects().into_iter().filter_map(queue_of).collect()
    }

    fn queue_of(object: Object) -> Option<(String, Vec<Argument>)> {
        match object {
            Object::Queue { name, arguments } => Some((name, arguments)),
            Object::Exchange { .. } | Object::Binding { .. } => None,
        }
    }

    #[test]
    fn every_queue_is_a_quorum_queue_with_a_delivery_limit() {
        for (name, arguments) in queues() {
            assert!(arguments.contains(&text("x-queue-type", "quorum")), "{name}");
            assert!(arguments.iter().any(|argument| argument.name == "x-delivery-limit"), "{name}");
        }
    }

    #[test]
    fn dead_letters_of_the_cases_queue_survive_a_crash() {
        let queues = queues();
        let (_, arguments) = queues.iter().find(|(name, _)| name == "testmo.cases").expect("the queue");
        for argument in [
            text("x-dead-letter-exchange", "testmo.cases.dead"),
            text("x-dead-letter-strategy", "at-least-once"),
            text("x-overflow", "reject-publish"),
            number("x-delivery-limit", 50),
        ] {
            assert!(arguments.contains(&argument), "{argument:?}");
        }
    }

    #[test]
    fn whatever_is_bound_was_declared_before() {
        let mut declared = Vec::new();
        for object in objects() {
            match object {
                Object::Exchange { name, .. } | Object::Queue { name, .. } => declared.push(name),
                Object::Binding { exchange, queue, .. } => {
                    assert!(declared.contains(&exchange) && declared.contains(&queue));
                }
            }
        }
    }
}
