//! Decides whether a message was published by somebody who may publish for its tenant.

use std::collections::BTreeMap;

use crate::amqp::Message;
use crate::batch::{Fault, TenantId};
use crate::config::TenantBinding;

/// The name under which a message keeps, on the shelf too, for which tenant it was published.
const PUBLISHED_FOR: &str = "published_for";

/// Returns what proves for which tenant a message was published, with the name under which the message keeps it; empty where
/// nothing does. No header of a publisher is kept under that name.
pub(in crate::worker) fn proof_of(binding: TenantBinding, message: &Message) -> Option<(String, String)> {
    let proof = match binding {
        TenantBinding::None => return None,
        // RabbitMQ refuses a message whose user id is not the user of the connection. Source: RabbitMQ, Validated User-ID.
        TenantBinding::UserId => message.user_id.as_deref(),
        // Topic permissions limit the routing keys of a user. Source: RabbitMQ, Access Control.
        TenantBinding::RoutingKey => message.routing_key.split_once('.').map(|(_, tenant)| tenant),
    };
    Some((PUBLISHED_FOR.to_owned(), proof.unwrap_or_default().to_owned()))
}

/// Returns the fault of a message that was published for another tenant than the one that it names. What was shelved before
/// tenants were bound has no proof, and is not refused.
pub(in crate::worker) fn unproven(
    binding: TenantBinding,
    headers: &BTreeMap<String, String>,
    tenant: &TenantId,
) -> Option<Fault> {
    let proof = headers.get(PUBLISHED_FOR)?;
    let (what, remedy) = match binding {
        TenantBinding::None => return None,
        TenantBinding::UserId => (
            format!("is `{tenant}`, and the property user_id is `{proof}`"),
            format!("publish as the broker's user `{tenant}`, with this name in the property user_id"),
        ),
        TenantBinding::RoutingKey => (
            format!("is `{tenant}`, and what follows the first dot of the routing key is `{proof}`"),
            format!("publish with the routing key `batch.{tenant}`"),
        ),
    };
    (proof != tenant.as_str()).then(|| Fault::at("/tenant_id".into(), what, remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(binding: TenantBinding, user: Option<&str>, routing_key: &str) -> Option<String> {
        let message = Message {
            user_id: user.map(str::to_owned),
            routing_key: routing_key.to_owned(),
            headers: [(PUBLISHED_FOR.to_owned(), "acme".to_owned())].into(),
            ..Message::default()
        };
        let headers = proof_of(binding, &message).into_iter().collect();
        unproven(binding, &headers, &"acme".parse().unwrap()).map(|fault| fault.to_string())
    }

    #[test]
    fn a_tenant_is_bound_to_the_user_or_to_the_routing_key() {
        assert_eq!(fault(TenantBinding::None, Some("evil"), "batch.evil"), None);
        assert_eq!(fault(TenantBinding::UserId, Some("acme"), "batch"), None);
        assert_eq!(fault(TenantBinding::RoutingKey, None, "batch.acme"), None);
        for (binding, user, routing_key, said) in [
            (TenantBinding::UserId, Some("evil"), "batch.acme", "the property user_id is `evil`"),
            (TenantBinding::UserId, None, "batch.acme", "the property user_id is ``"),
            (TenantBinding::RoutingKey, Some("acme"), "batch.evil", "the routing key is `evil`"),
            (TenantBinding::RoutingKey, Some("acme"), "batch", "the routing key is ``"),
            (TenantBinding::RoutingKey, Some("acme"), "batch.acme.x", "the routing key is `acme.x`"),
        ] {
            let fault = fault(binding, user, routing_key).unwrap();
            assert!(fault.starts_with("/tenant_id is `acme`") && fault.contains(said), "{fault}");
        }
        let shelved_before = unproven(TenantBinding::UserId, &BTreeMap::new(), &"acme".parse().unwrap());
        assert!(shelved_before.is_none());
    }
}
