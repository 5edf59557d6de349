//! Declares the topology on the broker, or checks that the broker has it.

use std::fmt;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, ExchangeKind};

use super::call::{CallError, NOT_FOUND, PRECONDITION_FAILED, limited};
use super::link::Link;
use super::topology::{Argument, ArgumentValue, Object, Routing};

/// An object of the topology that needs a person's attention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The object, for instance "queue `testmo.cases`".
    pub object: String,
    /// What is wrong with it.
    pub problem: Problem,
    /// The broker's reply text.
    pub detail: String,
}

/// What can be wrong with an object of the topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It does not exist.
    Missing,
    /// It exists with another type or other arguments.
    Different,
    /// The broker does not let this user check the object, which says nothing about the object.
    Unknown,
}

/// What a check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// What is not as it has to be.
    pub mismatches: Vec<Mismatch>,
    /// Objects that exist, and whose type and arguments this user may not compare.
    pub uncompared: Vec<String>,
}

impl Mismatch {
    /// Returns what a person can do about the mismatch.
    pub fn remedy(&self) -> &'static str {
        match self.problem {
            Problem::Missing => {
                "run `testmo-courier topology declare` with a user that has the configure permission, or import the \
                 object as definitions"
            }
            Problem::Different => {
                "set the configuration to the values that the broker has, or configure another name; the arguments of \
                 an existing object are fixed"
            }
            Problem::Unknown => {
                "if messages are delivered, nothing is to be done; otherwise give the user permissions on this object"
            }
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object, detail, .. } = self;
        match self.problem {
            Problem::Missing => write!(f, "{object} does not exist"),
            Problem::Different => write!(f, "{object} differs from the configuration: {detail}"),
            Problem::Unknown => write!(f, "{object} could not be checked: {detail}"),
        }
    }
}

/// Creates each object that is missing; an object that exists with other arguments is left as it is and reported.
///
/// # Errors
/// When the connection fails. A refusal by the broker is a finding, not an error.
pub async fn declare(link: &Link, objects: &[Object]) -> Result<Vec<Mismatch>, CallError> {
    visit(link, objects, false).await
}

/// Checks that each exchange and queue exists with its type and arguments, without creating any. Only declaring an
/// object again compares its type and arguments, so an object that exists is declared; for that the user needs the
/// configure permission. AMQP cannot show bindings.
///
/// # Errors
/// When the connection fails. A refusal by the broker is a finding, not an error.
pub async fn check(link: &Link, objects: &[Object]) -> Result<Checked, CallError> {
    let exists: Vec<&Object> = objects.iter().filter(|object| !matches!(object, Object::Binding { .. })).collect();
    let mut checked = Checked { mismatches: visit(link, exists.iter().copied(), true).await?, uncompared: Vec::new() };
    let is_found = |object: &Object| checked.mismatches.iter().all(|found| found.object != object.to_string());
    let found: Vec<&Object> = exists.into_iter().filter(|object| is_found(object)).collect();
    for finding in visit(link, found, false).await? {
        match finding.problem {
            Problem::Unknown => checked.uncompared.push(finding.object),
            Problem::Missing | Problem::Different => checked.mismatches.push(finding),
        }
    }
    Ok(checked)
}

async fn visit(
    link: &Link,
    objects: impl IntoIterator<Item = &Object>,
    passive: bool,
) -> Result<Vec<Mismatch>, CallError> {
    let mut findings = Vec::new();
    for object in objects {
        // A refusal closes the channel, so each object has its own.
        let channel = link.channel().await?;
        match ask(link, &channel, object, passive).await {
            // The close is awaited, because lapin cannot close a connection in order while a channel is closing.
            Ok(()) => limited("channel.close", link.rpc_timeout(), channel.close(200, short("OK"))).await?,
            Err(error) => {
                let (code, detail) = error.channel_error().ok_or(error)?;
                findings.push(Mismatch { object: object.to_string(), problem: problem(code), detail });
            }
        }
    }
    Ok(findings)
}

fn problem(code: u16) -> Problem {
    match code {
        NOT_FOUND => Problem::Missing,
        PRECONDITION_FAILED => Problem::Different,
        // Above all 403: RabbitMQ 4.3 requires a permission even for a check.
        _ => Problem::Unknown,
    }
}

async fn ask(link: &Link, channel: &Channel, object: &Object, passive: bool) -> Result<(), CallError> {
    let limit = link.rpc_timeout();
    match object {
        Object::Exchange { name, routing, arguments } => {
            let options = ExchangeDeclareOptions { passive, durable: true, ..Default::default() };
            let request = channel.exchange_declare(short(name), kind(*routing), options, table(arguments));
            limited("exchange.declare", limit, request).await
        }
        Object::Queue { name, arguments } => {
            let options = QueueDeclareOptions { passive, durable: true, ..Default::default() };
            let request = channel.queue_declare(short(name), options, table(arguments));
            limited("queue.declare", limit, request).await.map(drop)
        }
        Object::Binding { exchange, queue, routing_key } => {
            let request = channel.queue_bind(
                short(queue),
                short(exchange),
                short(routing_key),
                QueueBindOptions::default(),
                FieldTable::default(),
            );
            limited("queue.bind", limit, request).await
        }
    }
}

fn kind(routing: Routing) -> ExchangeKind {
    match routing {
        Routing::Topic => ExchangeKind::Topic,
        Routing::Fanout => ExchangeKind::Fanout,
    }
}

fn table(arguments: &[Argument]) -> FieldTable {
    let mut table = FieldTable::default();
    for Argument { name, value } in arguments {
        let value = match value {
            ArgumentValue::Text(text) => AMQPValue::LongString(text.as_str().into()),
            ArgumentValue::Number(number) => AMQPValue::LongLongInt(*number),
        };
        table.insert(short(name), value);
    }
    table
}

/// Returns a name as AMQP carries it. Names come from the configuration; bytes beyond AMQP's 255 are cut off, because
/// lapin's own conversion would panic.
pub(super) fn short(name: &str) -> ShortString {
    let end = name.floor_char_boundary(255);
    ShortString::from(&name[..end])
}
