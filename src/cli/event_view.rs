//! What does an event tell a person? Its outcome on one line, and below it what to do about what did not arrive.

use serde::Deserialize;
use testmo_courier::batch::BatchKey;
use testmo_courier::batch::event::{
    CONNECTION_FAILED, CONNECTION_RESTORED, DEFERRED, DUPLICATED, KEY_EXPIRED, KEY_EXPIRING,
};

use super::output::{Colour, Output, visible};
use super::table::counted;

/// So many refused cases and faults are told; the rest are counted.
const MOST_DETAILS: usize = 20;

/// What an event says, as far as it is told to people; a part that it lacks is empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EventView {
    tenant_id: Option<String>,
    batch_id: Option<String>,
    pub(crate) message_hash: Option<String>,
    outcome: String,
    reason: Option<String>,
    cause: Option<String>,
    remedy: Option<String>,
    detail: Option<String>,
    faults: Vec<Fault>,
    cases: Vec<Case>,
    batches: Option<usize>,
    expires_on: Option<String>,
    days_left: Option<usize>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Case {
    position: u64,
    external_id: Option<String>,
    outcome: String,
    link: Option<String>,
    reason: Option<String>,
    remedy: Option<String>,
    said: Vec<Said>,
    duplicate_link: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    field: String,
    message: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Fault {
    pointer: String,
    what: String,
    remedy: String,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "type")]
    kind: String,
    data: EventView,
}

/// The word for events that tell of no outcome yet.
fn word_of(kind: &str) -> &'static str {
    match kind {
        DEFERRED => "deferred",
        DUPLICATED => "duplicated",
        CONNECTION_FAILED => "stopped",
        CONNECTION_RESTORED => "restored",
        KEY_EXPIRING => "expiring",
        KEY_EXPIRED => "expired",
        _ => "",
    }
}

impl Case {
    fn arrived(&self) -> bool {
        matches!(self.outcome.as_str(), "created" | "adopted")
    }

    fn name(&self) -> String {
        self.external_id.clone().unwrap_or_else(|| format!("#{}", self.position))
    }

    fn told(&self) -> String {
        if let (Some(link), Some(duplicate)) = (&self.link, &self.duplicate_link) {
            return format!("{}  {link}  and  {duplicate}", self.name());
        }
        let said = self.said.iter().map(|said| format!("{}: {}", said.field, said.message));
        let mut why: Vec<String> = said.collect();
        if why.is_empty() {
            why.extend(self.reason.clone());
        }
        why.extend(self.remedy.as_ref().map(|remedy| format!("→ {remedy}")));
        format!("{} {}  {}", self.name(), self.outcome, why.join("  "))
    }
}

impl EventView {
    /// Reads an event's body; `None` when it is not one of ours.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let Envelope { kind, mut data } = serde_json::from_slice(body).ok()?;
        if data.outcome.is_empty() {
            data.outcome = word_of(&kind).to_owned();
        }
        Some(data)
    }

    /// Whether nothing more is to be expected of its batch.
    pub(crate) fn is_final(&self) -> bool {
        self.outcome != word_of(DEFERRED) && self.outcome != word_of(DUPLICATED)
    }

    /// The batch it is about, as far as known.
    pub(crate) fn key(&self) -> Option<BatchKey> {
        format!("{}/{}", self.tenant_id.as_ref()?, self.batch_id.as_ref()?).parse().ok()
    }

    /// Whether every case is in Testmo.
    pub(crate) fn is_delivered(&self) -> bool {
        self.outcome == "delivered"
    }

    /// The line and, for what did not arrive, the explanations below it.
    pub(crate) fn lines(&self, out: &Output) -> Vec<String> {
        let mut lines = vec![self.headline(out)];
        let explanation = self.explanation();
        lines.extend(explanation.iter().map(|line| format!("            {}", visible(line))));
        lines
    }

    fn headline(&self, out: &Output) -> String {
        let colour = match self.outcome.as_str() {
            "delivered" | "restored" => Colour::Green,
            "partial" | "deferred" | "duplicated" | "expiring" => Colour::Amber,
            _ => Colour::Red,
        };
        let arrived = self.cases.iter().filter(|case| case.arrived()).count();
        let cases = match self.cases.len() {
            0 => String::new(),
            all if all == arrived || self.outcome == word_of(DUPLICATED) => counted(all, "case", "cases"),
            all => format!("{arrived} of {}", counted(all, "case", "cases")),
        };
        let link = self.cases.iter().find_map(|case| case.link.clone());
        let word = out.paint(colour, &format!("{:<10}", visible(&self.outcome)));
        let back = self.batches.map(|batches| format!("{} out", counted(batches, "batch goes", "batches go")));
        let key = self.expires_on.as_ref().map(|date| match self.days_left {
            Some(days) => format!("the API key expires on {date}, in at most {}", counted(days, "day", "days")),
            None => format!("the API key expired on {date}"),
        });
        let rest = [Some(self.name()), Some(cases), back, key, self.reason.clone(), link].into_iter().flatten();
        let rest: Vec<String> = rest.filter(|part| !part.is_empty()).collect();
        format!("{word}  {}", visible(&rest.join("  ")))
    }

    /// The batch, or the message whose batch could not be read.
    fn name(&self) -> String {
        match (&self.tenant_id, &self.batch_id, &self.message_hash) {
            (Some(tenant), Some(batch), _) => format!("{tenant}/{batch}"),
            (Some(tenant), None, None) => tenant.clone(),
            (_, _, Some(hash)) => format!("message {}", hash.chars().take(12).collect::<String>()),
            (None, _, None) => "an unknown batch".into(),
        }
    }

    fn explanation(&self) -> Vec<String> {
        if self.is_delivered() {
            return Vec::new();
        }
        let remedy = self.remedy.as_ref().map(|remedy| format!("→ {remedy}"));
        let mut lines: Vec<String> = [self.cause.clone(), self.detail.clone(), remedy].into_iter().flatten().collect();
        let fault = |fault: &Fault| {
            let place = if fault.pointer.is_empty() { "the message" } else { &fault.pointer };
            format!("{place}  {}  → {}", fault.what, fault.remedy)
        };
        let refused = self.cases.iter().filter(|case| !case.arrived()).map(Case::told);
        let details: Vec<String> = self.faults.iter().map(fault).chain(refused).collect();
        lines.extend(details.iter().take(MOST_DETAILS).cloned());
        if details.len() > MOST_DETAILS {
            lines.push(format!("and {} more", details.len() - MOST_DETAILS));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(data: serde_json::Value) -> String {
        let body = json!({"specversion": "1.0", "type": "x", "data": data}).to_string();
        EventView::read(body.as_bytes()).unwrap().lines(&Output::stdout(true)).join("\n")
    }

    #[test]
    fn outcomes_read_like_this() {
        let link = "https://acme.testmo.net/repositories/3?group_id=428&case_id=3721";
        let delivered = told(json!({
            "tenant_id": "acme", "batch_id": "b-1", "outcome": "delivered",
            "cases": [{"position": 1, "outcome": "created", "testmo_id": 3721, "link": link}],
        }));
        let partial = told(json!({
            "tenant_id": "acme", "batch_id": "b-2", "outcome": "partial", "reason": "case_refused",
            "cause": "Testmo refused the case.", "remedy": "Mend the case.",
            "cases": [
                {"position": 1, "external_id": "TC-1", "outcome": "adopted", "link": link},
                {"position": 2, "outcome": "refused", "reason": "case_refused", "remedy": "Mend it.",
                 "said": [{"field": "tags", "message": "invalid\u{1b}[2J"}]},
            ],
        }));
        let failed = told(json!({
            "tenant_id": null, "batch_id": null, "outcome": "failed", "message_hash": "0123456789abcdef",
            "reason": "invalid_message", "cause": "The message breaks the contract.", "remedy": "Mend it.",
            "faults": [{"pointer": "/cases/0/name", "what": "is missing", "remedy": "every message needs it"}],
        }));
        insta::assert_snapshot!([delivered, partial, failed].join("\n"));
    }

    #[test]
    fn news_of_waits_connections_and_keys_read_like_this() {
        let told = |kind: &str, data: serde_json::Value| {
            let body = json!({"specversion": "1.0", "type": kind, "data": data}).to_string();
            EventView::read(body.as_bytes()).unwrap().lines(&Output::stdout(true)).join("\n")
        };
        let why =
            json!({"tenant_id": "acme", "batch_id": "b-1", "reason": "key_refused", "cause": "C.", "remedy": "R."});
        let twice = json!({"tenant_id": "acme", "batch_id": "b-1", "cause": "C.", "remedy": "R.", "cases": [
            {"position": 1, "external_id": "TC-1", "testmo_id": 1, "link": "http://one", "duplicate_id": 9,
             "duplicate_link": "http://other"}]});
        let of_tenant = json!({"tenant_id": "acme", "reason": "key_refused", "cause": "C.", "remedy": "R."});
        let expiring = json!({"tenant_id": "acme", "expires_on": "2026-12-31", "days_left": 7, "remedy": "R."});
        insta::assert_snapshot!(
            [
                told(DEFERRED, why),
                told(DUPLICATED, twice),
                told(CONNECTION_FAILED, of_tenant),
                told(CONNECTION_RESTORED, json!({"tenant_id": "acme", "batches": 2})),
                told(KEY_EXPIRING, expiring),
                told(KEY_EXPIRED, json!({"tenant_id": "acme", "expires_on": "2026-12-31", "remedy": "R."})),
            ]
            .join("\n")
        );
    }

    #[test]
    fn a_message_of_others_is_not_an_outcome() {
        assert!(EventView::read(b"hello").is_none());
        assert!(EventView::read(b"{}").is_none());
    }
}
