//! What is told of a batch? CloudEvents 1.0 in structured JSON, the same bytes however often they are sent.

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::BatchKey;
use super::ledger::{BatchRecord, BatchState, CaseState};
use super::message::Source;
use super::reader::Fault;
use super::reason::Reason;

/// The media type of a structured CloudEvent.
pub const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// Namespace of event ids: any constant will do, as long as it never changes.
const NAMESPACE: Uuid = Uuid::from_u128(0x7ad9_6a1c_0c5e_4b7e_9d55_3f1b_8d2f_6e10);

/// A finished event, ready to be stored and sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its id: equal for equal settlements.
    pub id: String,
    /// Its type.
    pub kind: &'static str,
    /// Its routing key: the tenant as one word, then the type.
    pub routing_key: String,
    /// The tenant and batch it is about, as far as known.
    pub subject: String,
    /// The JSON text.
    pub body: String,
}

/// Every case is in Testmo.
pub const DELIVERED: &str = "com.sqai-suite.testmo.batch.delivered.v1";
/// Some cases are in Testmo, the others will not be.
pub const PARTIALLY_DELIVERED: &str = "com.sqai-suite.testmo.batch.partially_delivered.v1";
/// No case is in Testmo.
pub const FAILED: &str = "com.sqai-suite.testmo.batch.failed.v1";

/// What the event of a settlement says beside the record.
#[derive(Clone, Copy, Debug)]
pub struct Telling<'a> {
    /// What the batch was generated from.
    pub source: &'a Source,
    /// When it is told, in milliseconds since 1970.
    pub now: i64,
    /// Why not everything arrived.
    pub reason: Option<Reason>,
    /// More about the reason.
    pub detail: Option<&'a str>,
}

/// The event of a batch that reached a terminal state; `None` while it is open.
pub fn of_settlement(record: &BatchRecord, telling: &Telling<'_>) -> Option<Event> {
    let kind = match record.state {
        BatchState::Open => return None,
        BatchState::Delivered => DELIVERED,
        BatchState::Partial => PARTIALLY_DELIVERED,
        BatchState::Failed | BatchState::Discarded | BatchState::Undone => FAILED,
    };
    let mut data = json!({
        "tenant_id": record.key.tenant.as_str(),
        "batch_id": record.key.batch.as_str(),
        "revision": record.revision,
        "outcome": record.state.name(),
        "source": telling.source,
        "cases": record.cases.iter().enumerate().map(|(i, _)| case(record, i)).collect::<Vec<_>>(),
    });
    if let Some(reason) = telling.reason {
        explain(&mut data, reason, telling.detail);
    }
    let id = event_id(&[record.key.tenant.as_str(), record.key.batch.as_str(), &record.revision.to_string(), kind]);
    Some(event(id, kind, Some(&record.key), data, telling.now))
}

/// The event of a message that never became work: broken, too large, in conflict.
pub fn of_message(key: Option<&BatchKey>, raw_hash: &str, reason: Reason, faults: &[Fault], now: i64) -> Event {
    let mut data = json!({
        "tenant_id": key.map(|key| key.tenant.as_str()),
        "batch_id": key.map(|key| key.batch.as_str()),
        "outcome": "failed",
        "message_hash": raw_hash,
        "faults": faults,
    });
    explain(&mut data, reason, None);
    event(event_id(&["message", raw_hash, reason.code(), FAILED]), FAILED, key, data, now)
}

fn explain(data: &mut Value, reason: Reason, detail: Option<&str>) {
    data["reason"] = json!(reason.code());
    data["cause"] = json!(reason.cause());
    data["remedy"] = json!(reason.remedy());
    if let Some(detail) = detail {
        data["detail"] = json!(detail);
    }
}

fn event(id: String, kind: &'static str, key: Option<&BatchKey>, data: Value, now: i64) -> Event {
    let tenant = key.map_or_else(|| "unknown".into(), |key| key.tenant.routing_word());
    let subject = key.map(ToString::to_string).unwrap_or_default();
    let time = Timestamp::from_millisecond(now).unwrap_or_default();
    let mut envelope = json!({
        "specversion": "1.0",
        "id": id,
        "source": "/testmo-courier",
        "type": kind,
        "time": time.to_string(),
        "datacontenttype": "application/json",
    });
    if !subject.is_empty() {
        envelope["subject"] = json!(subject);
    }
    envelope["data"] = data;
    Event { id, kind, routing_key: format!("{tenant}.{kind}"), subject, body: envelope.to_string() }
}

/// The parts are joined by a character that none of them holds, so that different parts never meet in one id.
fn event_id(parts: &[&str]) -> String {
    Uuid::new_v5(&NAMESPACE, parts.join("\n").as_bytes()).to_string()
}

fn case(record: &BatchRecord, index: usize) -> Value {
    let case = &record.cases[index];
    let mut value = json!({"position": index + 1});
    if case.key != format!("#{}", index + 1) {
        value["external_id"] = json!(case.key);
    }
    let (outcome, id) = match &case.state {
        CaseState::Created(id) => ("created", Some(*id)),
        CaseState::Adopted(id) => ("adopted", Some(*id)),
        CaseState::Refused(_) => ("refused", None),
        CaseState::Lost => ("unclear", None),
        CaseState::Waiting | CaseState::Claimed => ("not_sent", None),
    };
    value["outcome"] = json!(outcome);
    if let Some(id) = id {
        value["testmo_id"] = json!(id);
        value["link"] = json!(link(record, index, id));
    }
    if let CaseState::Refused(refusal) = &case.state {
        value["reason"] = json!(refusal.reason.code());
        value["remedy"] = json!(refusal.reason.remedy());
        value["said"] = json!(refusal.said);
    }
    value
}

/// Where people see a case in Testmo's web pages; the form is known from third-party clients.
pub fn link(record: &BatchRecord, index: usize, id: u64) -> Option<String> {
    let target = record.targets.get(record.cases[index].target)?;
    Some(format!("{}/repositories/{}?group_id={}&case_id={id}", target.account, target.project, target.folder))
}

#[cfg(test)]
mod tests {
    use super::super::ledger::{OpenPush, Refusal, Target};
    use super::*;

    fn partial() -> BatchRecord {
        let keys = ["TC-1".to_owned(), "#2".to_owned()];
        let mut record = BatchRecord::fresh("acme.eu/b-1".parse().unwrap(), "1:x".into(), keys);
        let push = OpenPush { id: "p".into(), connection: "v".into(), mark: None, committed: false };
        let target = Target { account: "https://acme.testmo.net".into(), project: 3, folder: 428 };
        record.claim(&[0, 1], push, &target);
        let said = vec![super::super::answer::FieldRefusal { field: "tags".into(), message: "invalid".into() }];
        record.not_created(vec![(1, Refusal { reason: Reason::CaseRefused, said })]);
        record.created(&[(0, 3721)]);
        record.state = record.outcome().unwrap();
        record
    }

    #[test]
    fn an_event_reads_like_this() {
        let source = Source { key: Some("SHOP-1".into()), ..Source::default() };
        let telling = Telling { source: &source, now: 0, reason: Some(Reason::CaseRefused), detail: None };
        let event = of_settlement(&partial(), &telling).unwrap();
        let body: Value = serde_json::from_str(&event.body).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap());
        assert_eq!(event.routing_key, "acme~eu.com.sqai-suite.testmo.batch.partially_delivered.v1");
    }

    #[test]
    fn the_id_depends_on_batch_revision_and_type_alone() {
        let source = Source::default();
        let at = |now| Telling { source: &source, now, reason: None, detail: None };
        let first = of_settlement(&partial(), &at(0)).unwrap();
        assert_eq!(of_settlement(&partial(), &at(99)).unwrap().id, first.id);
        let again = BatchRecord { revision: 2, ..partial() };
        assert_ne!(of_settlement(&again, &at(0)).unwrap().id, first.id);
    }

    #[test]
    fn an_open_batch_has_no_event() {
        let telling = Telling { source: &Source::default(), now: 0, reason: None, detail: None };
        assert!(of_settlement(&BatchRecord { state: BatchState::Open, ..partial() }, &telling).is_none());
    }
}
