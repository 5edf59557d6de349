//! Checks a message before it is published.

use std::fmt;

use super::super::plural::counted;
use crate::amqp::Outgoing;
pub use crate::batch::message::lint::Finding;
use crate::batch::message::lint::{Findings, lint};
use crate::batch::{BatchKey, TenantId, raw_hash};

/// A message before it is published, with what was found in it.
#[derive(Debug)]
pub struct Message {
    /// Its batch, as far as that can be read.
    pub key: Option<BatchKey>,
    /// The hash by which events name a message that is not a batch.
    pub hash: String,
    /// What keeps it from being a batch.
    pub faults: Vec<Finding>,
    /// What will look different in Testmo from how it was written.
    pub warnings: Vec<Finding>,
    /// The number of cases that would be delivered.
    pub cases: usize,
    body: Vec<u8>,
}

impl Message {
    /// Checks a message.
    pub fn of(body: Vec<u8>) -> Self {
        let hash = raw_hash(&body);
        let Findings { key, cases, faults, warnings, tenant: _ } = lint(&body);
        Self { key, hash, faults, warnings, cases, body }
    }

    /// Returns the size of the message in bytes.
    pub fn size(&self) -> usize {
        self.body.len()
    }

    /// Returns the bytes of the message.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns the message as a generator would publish it; `now` is in milliseconds since 1970.
    pub(super) fn outgoing(&self, exchange: &str, routing_key: &str, user: Option<String>, now: i64) -> Outgoing {
        let batch = self.key.as_ref().map(|key| key.batch.as_str().to_owned());
        Outgoing {
            exchange: exchange.to_owned(),
            routing_key: routing_key.to_owned(),
            body: self.body.clone(),
            content_type: Some("application/json".to_owned()),
            message_id: Some(batch.unwrap_or_else(|| self.hash.clone())),
            app_id: Some("testmo-courier".to_owned()),
            user_id: user,
            timestamp_secs: u64::try_from(now / 1_000).ok(),
            ..Outgoing::default()
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) if self.faults.is_empty() => write!(f, "{key}  {}", counted(self.cases, "case", "cases")),
            Some(key) if self.cases > 0 => {
                let cases = counted(self.cases, "case", "cases");
                write!(f, "{key}  {cases} would be delivered, the faulty ones refused")
            }
            Some(key) => write!(f, "{key}  {}", counted(self.body.len(), "byte", "bytes")),
            None => write!(f, "message {:.12}  {}", self.hash, counted(self.body.len(), "byte", "bytes")),
        }
    }
}

/// Returns the tenant of all messages, if they have only one and events are sure to name it.
pub fn only_tenant<'a>(messages: impl IntoIterator<Item = &'a Message>, raw: bool) -> Option<&'a TenantId> {
    let mut tenants = messages.into_iter().map(|message| message.key.as_ref().map(|key| &key.tenant));
    let first = tenants.next()??;
    (!raw && tenants.all(|tenant| tenant == Some(first))).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tenant: &str) -> Message {
        let body = format!(
            r#"{{"schema_version":1,"batch_id":"b-1","tenant_id":"{tenant}","generated_at":"2026-11-23T09:30:00Z",
                "cases":[{{"name":"Log in"}}]}}"#
        );
        Message::of(body.into_bytes())
    }

    #[test]
    fn a_batch_is_published_under_its_own_id() {
        let message = message("acme");
        assert_eq!(message.faults, []);
        assert_eq!(message.to_string(), "acme/b-1  1 case");
        let outgoing = message.outgoing("testmo.cases", "batch", Some("acme".to_owned()), 1_999);
        assert_eq!((outgoing.message_id.as_deref(), outgoing.timestamp_secs), (Some("b-1"), Some(1)));
        assert_eq!(outgoing.user_id.as_deref(), Some("acme"));
    }

    #[test]
    fn a_message_that_is_not_a_batch_is_published_under_its_hash() {
        let message = Message::of(b"{".to_vec());
        assert_eq!(message.faults.len(), 1);
        assert_eq!(message.outgoing("e", "k", None, 0).message_id, Some(raw_hash(b"{")));
    }

    #[test]
    fn events_are_selected_by_tenant_only_if_all_messages_have_the_same() {
        assert_eq!(only_tenant(&[message("a"), message("a")], false).map(TenantId::as_str), Some("a"));
        assert_eq!(only_tenant(&[message("a"), message("b")], false), None);
        assert_eq!(only_tenant(&[message("a")], true), None);
    }
}
