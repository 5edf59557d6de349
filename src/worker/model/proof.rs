//! Decides whether a message was published by somebody who may publish for its tenant.

use std::collections::BTreeMap;

use crate::amqp::Message;
use crate::batch::{Fault, TenantId};
use crate::config::{Amqp, TenantBinding};

/// The name under which a message keeps, on the shelf too, for which tenant it was published.
const PUBLISHED_FOR: &str = "published_for";

/// Returns what proves for which tenant a message was published, with the name under which the message keeps it; empty where
/// nothing does. No header of a publisher is kept under that name.
pub(in crate::worker) fn proof_of(amqp: &Amqp, message: &Message) -> Option<(String, String)> {
    let proof = match amqp.tenant_binding {
        TenantBinding::None => return None,
        // RabbitMQ refuses a message whose user id is not the user of the connection. Source: RabbitMQ, Validated User-ID.
        TenantBinding::UserId => message.user_id.as_deref(),
        // Topic permissions limit the routing keys of a user on one exchange. Who may write to it may, as the queue has the
        // same name, also bind the queue to an exchange of its own. Source: RabbitMQ, Access Control.
        TenantBinding::RoutingKey => {
            let named = message.routing_key.split_once('.').map(|(_, tenant)| tenant);
            named.filter(|_| published_to(amqp, message) == Some(&amqp.cases_exchange))
        }
    };
    Some((PUBLISHED_FOR.to_owned(), proof.unwrap_or_default().to_owned()))
}

/// Returns the exchange that a message was published to, before the broker took it out of a queue.
fn published_to<'a>(amqp: &Amqp, message: &'a Message) -> Option<&'a String> {
    match message.exchange == amqp.dead_letter_exchange {
        true => message.first_death_exchange.as_ref(),
        false => Some(&message.exchange),
    }
}

/// Returns the fault of a message that was published for another tenant than the one that it names. What was shelved before
/// tenants were bound has no proof, and is not refused.
pub(in crate::worker) fn unproven(amqp: &Amqp, headers: &BTreeMap<String, String>, tenant: &TenantId) -> Option<Fault> {
    let proof = headers.get(PUBLISHED_FOR)?;
    let exchange = &amqp.cases_exchange;
    let (what, remedy) = match (amqp.tenant_binding, proof.as_str()) {
        (TenantBinding::None, _) => return None,
        (TenantBinding::UserId, proof) => (
            match proof {
                "" => "the message has no property user_id".to_owned(),
                proof => format!("the property user_id is `{proof}`"),
            },
            format!("publish as the broker's user `{tenant}`, with this name in the property user_id"),
        ),
        (TenantBinding::RoutingKey, proof) => (
            match proof {
                "" => format!("the message was not published to `{exchange}` with a routing key that names a tenant"),
                proof => format!("what follows the first dot of the routing key is `{proof}`"),
            },
            format!("publish to the exchange `{exchange}` with the routing key `batch.{tenant}`"),
        ),
    };
    let what = format!("is `{tenant}`, and {what}");
    (proof != tenant.as_str()).then(|| Fault::at("/tenant_id".into(), what, remedy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    const CASES: &str = "testmo.cases";

    fn bound(binding: TenantBinding) -> Amqp {
        Amqp { tenant_binding: binding, ..load(&Sources::default()).unwrap().amqp }
    }

    fn published(user: Option<&str>, exchange: &str, routing_key: &str) -> Message {
        Message {
            user_id: user.map(str::to_owned),
            exchange: exchange.to_owned(),
            routing_key: routing_key.to_owned(),
            headers: [(PUBLISHED_FOR.to_owned(), "acme".to_owned())].into(),
            ..Message::default()
        }
    }

    fn fault(binding: TenantBinding, message: &Message) -> Option<String> {
        let amqp = bound(binding);
        let headers = proof_of(&amqp, message).into_iter().collect();
        unproven(&amqp, &headers, &"acme".parse().unwrap()).map(|fault| fault.to_string())
    }

    #[test]
    fn a_tenant_is_bound_to_the_user_or_to_the_routing_key() {
        let published = |user, routing_key| published(user, CASES, routing_key);
        assert_eq!(fault(TenantBinding::None, &published(Some("evil"), "batch.evil")), None);
        assert_eq!(fault(TenantBinding::UserId, &published(Some("acme"), "batch")), None);
        assert_eq!(fault(TenantBinding::RoutingKey, &published(None, "batch.acme")), None);
        for (binding, user, routing_key, said) in [
            (TenantBinding::UserId, Some("evil"), "batch.acme", "the property user_id is `evil`"),
            (TenantBinding::UserId, None, "batch.acme", "the message has no property user_id"),
            (TenantBinding::RoutingKey, Some("acme"), "batch.evil", "the routing key is `evil`"),
            (TenantBinding::RoutingKey, Some("acme"), "batch", "with a routing key that names a tenant"),
            (TenantBinding::RoutingKey, Some("acme"), "batch.acme.x", "the routing key is `acme.x`"),
        ] {
            let fault = fault(binding, &published(user, routing_key)).unwrap();
            assert!(fault.starts_with("/tenant_id is `acme`") && fault.contains(said), "{fault}");
        }
        let shelved_before = unproven(&bound(TenantBinding::UserId), &BTreeMap::new(), &"acme".parse().unwrap());
        assert!(shelved_before.is_none());
    }

    #[test]
    fn a_routing_key_proves_nothing_on_an_exchange_that_the_broker_does_not_limit() {
        for exchange in ["evil.exchange", "", "testmo.events"] {
            let fault = fault(TenantBinding::RoutingKey, &published(None, exchange, "batch.acme")).unwrap();
            assert!(fault.contains("was not published to `testmo.cases`"), "{exchange}: {fault}");
        }
        let died = |first: Option<&str>| Message {
            first_death_exchange: first.map(str::to_owned),
            ..published(None, &bound(TenantBinding::None).dead_letter_exchange, "batch.acme")
        };
        assert_eq!(fault(TenantBinding::RoutingKey, &died(Some(CASES))), None);
        assert!(fault(TenantBinding::RoutingKey, &died(Some("evil.exchange"))).is_some());
        assert!(fault(TenantBinding::RoutingKey, &died(None)).is_some());
    }
}
