//! What is in a file with a message: which batch, which faults, and what else should its author know?

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use testmo_courier::amqp::Outgoing;
use testmo_courier::batch::message::lint::{Findings, lint};
use testmo_courier::batch::{BatchKey, Fault, TenantId, raw_hash};

use super::failure::Failure;
use super::table::counted;

/// A message before it is published.
#[derive(Debug)]
pub(super) struct MessageFile {
    /// Where it was read from.
    pub(super) name: String,
    /// Whose batch it is, as far as that can be read.
    pub(super) key: Option<BatchKey>,
    /// The hash by which events speak of a message that is not a batch.
    pub(super) hash: String,
    /// What keeps it from being a batch.
    pub(super) faults: Vec<Fault>,
    /// What will look otherwise in Testmo than it was written.
    pub(super) warnings: Vec<Fault>,
    cases: usize,
    body: Vec<u8>,
}

impl MessageFile {
    pub(super) fn new(name: String, body: Vec<u8>) -> Self {
        let hash = raw_hash(&body);
        let Findings { key, cases, faults, warnings, tenant: _ } = lint(&body);
        Self { name, key, hash, faults, warnings, cases, body }
    }

    /// The message, as a generator would publish it; `now` is in milliseconds since 1970.
    pub(super) fn outgoing(&self, exchange: &str, routing_key: &str, now: i64) -> Outgoing {
        let batch = self.key.as_ref().map(|key| key.batch.as_str().to_owned());
        Outgoing {
            exchange: exchange.to_owned(),
            routing_key: routing_key.to_owned(),
            body: self.body.clone(),
            content_type: Some("application/json".to_owned()),
            message_id: Some(batch.unwrap_or_else(|| self.hash.clone())),
            app_id: Some("testmo-courier".to_owned()),
            timestamp_secs: u64::try_from(now / 1_000).ok(),
            ..Outgoing::default()
        }
    }
}

impl fmt::Display for MessageFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) if self.faults.is_empty() => write!(f, "{key}  {}", counted(self.cases, "case", "cases")),
            Some(key) => write!(f, "{key}  {}", counted(self.body.len(), "byte", "bytes")),
            None => write!(f, "message {:.12}  {}", self.hash, counted(self.body.len(), "byte", "bytes")),
        }
    }
}

/// Reads every file before anything is published.
pub(super) fn read_all(files: &[PathBuf]) -> Result<Vec<MessageFile>, Failure> {
    let message = |file: &PathBuf| {
        let body = read(file)?;
        let name = if is_stdin(file) { "standard input".into() } else { file.display().to_string() };
        Ok(MessageFile::new(name, body))
    };
    files.iter().map(message).collect()
}

/// Reads a file with one batch, or the standard input.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    bytes(file).map_err(|error| {
        Failure::usage(format!("{} cannot be read ({error})", file.display()), "name files with one batch each")
    })
}

fn bytes(file: &Path) -> io::Result<Vec<u8>> {
    if !is_stdin(file) {
        return fs::read(file);
    }
    let mut body = Vec::new();
    io::stdin().read_to_end(&mut body)?;
    Ok(body)
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// The tenant of all messages, if they have only one and events are sure to name it.
pub(super) fn only_tenant(messages: &[MessageFile], raw: bool) -> Option<&TenantId> {
    let mut tenants = messages.iter().map(|message| message.key.as_ref().map(|key| &key.tenant));
    let first = tenants.next()??;
    (!raw && tenants.all(|tenant| tenant == Some(first))).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tenant: &str) -> MessageFile {
        let body = format!(
            r#"{{"schema_version":1,"batch_id":"b-1","tenant_id":"{tenant}","generated_at":"2026-11-23T09:30:00Z",
                "cases":[{{"name":"Log in"}}]}}"#
        );
        MessageFile::new("f".into(), body.into_bytes())
    }

    #[test]
    fn a_batch_goes_out_under_its_own_id() {
        let message = message("acme");
        assert_eq!(message.faults, []);
        assert_eq!(message.to_string(), "acme/b-1  1 case");
        let outgoing = message.outgoing("testmo.cases", "batch", 1_999);
        assert_eq!((outgoing.message_id.as_deref(), outgoing.timestamp_secs), (Some("b-1"), Some(1)));
    }

    #[test]
    fn broken_bytes_go_out_under_their_hash() {
        let message = MessageFile::new("f".into(), b"{".to_vec());
        assert_eq!(message.faults.len(), 1);
        assert_eq!(message.outgoing("e", "k", 0).message_id, Some(raw_hash(b"{")));
    }

    #[test]
    fn events_are_asked_for_by_tenant_only_when_there_is_one() {
        assert_eq!(only_tenant(&[message("a"), message("a")], false).map(TenantId::as_str), Some("a"));
        assert_eq!(only_tenant(&[message("a"), message("b")], false), None);
        assert_eq!(only_tenant(&[message("a")], true), None);
    }
}
