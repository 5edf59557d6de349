//! Checks what is reported as overwritten: only what people wrote.

use serde_json::Value;
use testmo_courier::batch::event::OVERWRITTEN;

use super::edits::Edits;
use crate::stage::Stage;
use crate::testmo::host_of;

/// An edit that is reported as overwritten.
#[derive(Debug)]
pub(super) struct Reported {
    account: String,
    id: u64,
    fields: Vec<String>,
    /// What the person had written, if that is certain.
    lost: Option<String>,
}

impl Reported {
    /// Returns whether a content of a column of a case is certainly reported.
    pub(super) fn is_of(&self, (account, id): (&str, u64), column: &str, lost: &str) -> bool {
        self.account == account && self.id == id && self.fields == [column] && self.lost.as_deref() == Some(lost)
    }
}

/// Returns what the events report.
pub(super) fn reported(stage: &Stage) -> Vec<Reported> {
    let events = stage.broker.heard().into_iter().filter(|event| event.kind == OVERWRITTEN);
    let edits = events.flat_map(|event| {
        let body: Value = serde_json::from_slice(&event.body).unwrap_or_default();
        body["data"]["edits"].as_array().cloned().unwrap_or_default()
    });
    edits.map(|edit| of(&edit)).collect()
}

fn of(edit: &Value) -> Reported {
    let text = |field: &str| edit[field].as_str().unwrap_or_default().to_owned();
    let fields = edit["fields"].as_array().into_iter().flatten();
    Reported {
        account: host_of(&text("link")).to_owned(),
        id: edit["testmo_id"].as_u64().unwrap_or(0),
        fields: fields.filter_map(|field| Some(field.as_str()?.to_owned())).collect(),
        lost: (edit["certainty"] == "overwritten").then(|| text("lost")),
    }
}

/// Returns the reports of contents that nobody wrote. What may have been overwritten is not known. A request of a worker whose
/// answer was lost and that Testmo carries out late is somebody else's for a later one, which may report it.
pub(super) fn unfounded(reported: &[Reported], edits: &Edits) -> Vec<String> {
    let is_founded = |report: &Reported| {
        edits.all.iter().any(|(account, id, column, written)| report.is_of((account, *id), column, written))
    };
    let is_known = |report: &&Reported| report.lost.as_deref().is_some_and(|lost| !is_generated(lost));
    let unfounded = reported.iter().filter(is_known).filter(|report| !is_founded(report));
    unfounded.map(|report| format!("{report:?} is reported, and nobody wrote that")).collect()
}

/// Returns whether a content is that of a generation, such as `s1 c2 v3`.
fn is_generated(content: &str) -> bool {
    let version = content.rsplit(' ').next().and_then(|word| word.strip_prefix('v'));
    version.is_some_and(|version| version.parse::<u32>().is_ok())
}
