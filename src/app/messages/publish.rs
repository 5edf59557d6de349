//! Publishes messages as a generator would.

use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::actor::{ActionError, Actor, Role, require};
use super::message::Message;
use super::other_user::{OtherUser, user_for};
use crate::amqp::{self, ConnectError, PublishError, Publisher};
use crate::clock::Clock;
use crate::config::{Amqp, TenantBinding};
use crate::store::audit::{AuditAction, AuditEntry, AuditSubject};
use crate::store::ledger::Commit;
use crate::store::{LedgerStore, Store};

/// The routing key that the documentation gives to generators.
const ROUTING_KEY: &str = "batch";

/// Checks that the broker can be reached. A publisher reports that only after it has tried for long.
///
/// # Errors
/// When it cannot.
pub async fn check_broker(config: &Amqp) -> Result<(), ConnectError> {
    amqp::connect_once(config, "publish").await?.close().await;
    Ok(())
}

/// Publishes messages one after the other, so that batches keep their order; `published` gets each that is stored.
///
/// The entry of the audit comes first: the broker and the store share no transaction, and an entry of a message that was not
/// published misleads less than a message that nobody is known to have published. Without a store there is no entry.
///
/// # Errors
/// When the person may not, or a batch has to come from another user of the broker: then nothing is published. When one cannot
/// be published, or `published` fails: those after it are not published.
pub async fn publish<'a, E: From<PublishError> + From<ActionError> + From<OtherUser>>(
    store: Option<&Store>,
    actor: &Actor,
    config: &Amqp,
    messages: impl IntoIterator<Item = &'a Message>,
    published: impl FnMut(&Message) -> Result<(), E>,
) -> Result<(), E> {
    require(actor, Role::Operator).map_err(ActionError::from)?;
    let with_user = |message| Ok((message, user_for(config, message)?));
    let messages: Vec<(&Message, Option<String>)> = messages.into_iter().map(with_user).collect::<Result<_, E>>()?;
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let publisher = Publisher::start(config, &tasks, stop.clone());
    tasks.close();
    let end = publish_each(&publisher, (store, actor), config, messages, published).await;
    stop.cancel();
    tasks.wait().await;
    end
}

async fn publish_each<E: From<PublishError> + From<ActionError>>(
    publisher: &Publisher,
    (store, actor): (Option<&Store>, &Actor),
    config: &Amqp,
    messages: Vec<(&Message, Option<String>)>,
    mut published: impl FnMut(&Message) -> Result<(), E>,
) -> Result<(), E> {
    for (message, user) in messages {
        let now = Clock::system().now();
        if let Some(store) = store {
            let audit = vec![entry(actor, message)];
            store.commit(Commit { audit, ..Commit::default() }.into()).await.map_err(ActionError::from)?;
        }
        let outgoing = message.outgoing(&config.cases_exchange, &routing_key(config, message), user, now);
        publisher.publish(outgoing).await?;
        published(message)?;
    }
    Ok(())
}

/// Returns the routing key of a message, with its tenant where that is required.
fn routing_key(config: &Amqp, message: &Message) -> String {
    let is_bound = config.tenant_binding == TenantBinding::RoutingKey;
    match message.key.as_ref().filter(|_| is_bound) {
        Some(key) => format!("{ROUTING_KEY}.{}", key.tenant),
        None => ROUTING_KEY.to_owned(),
    }
}

/// Describes the publishing of a message as the audit keeps it.
fn entry(actor: &Actor, message: &Message) -> AuditEntry {
    let key = message.key.as_ref();
    let subject = AuditSubject {
        tenant: key.map(|key| key.tenant.clone()),
        batch: key.map(|key| key.batch.clone()),
        name: key.map_or_else(|| format!("message {:.12}", message.hash), |key| format!("batch {key}")),
        trace: None,
    };
    let after = json!({"cases": message.cases, "bytes": message.size(), "hash": message.hash});
    AuditEntry::new(actor, AuditAction::PublishMessage, subject).change(None, Some(after))
}
