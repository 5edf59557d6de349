//! Defines the batches that are published, and the cases that must be in Testmo afterwards.

use serde_json::{Value, json};
use testmo_courier::batch::{BatchKey, batch_tag};

/// The folder that every tenant has.
const ROOT: &str = "Generated";
/// The length of a name that Testmo refuses as too long.
const TOO_LONG: usize = 600;

/// A batch of a plan.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) tenant: &'static str,
    pub(crate) number: usize,
    pub(crate) cases: usize,
    /// The position of a case that Testmo refuses.
    pub(crate) refused: Option<usize>,
    /// The folders of the cases, below the tenant's folder.
    pub(crate) folder: &'static [&'static str],
    /// The folders that every third case names for itself.
    pub(crate) own: Option<&'static [&'static str]>,
}

/// A case as it must be in Testmo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) folder: String,
    pub(crate) tags: Vec<String>,
    pub(crate) steps: Vec<Value>,
}

impl Batch {
    pub(crate) fn id(&self) -> String {
        format!("b-{}", self.number)
    }

    /// Returns the subject of the batch's events.
    pub(crate) fn subject(&self) -> String {
        format!("{}/{}", self.tenant, self.id())
    }

    pub(crate) fn key(&self) -> anyhow::Result<BatchKey> {
        Ok(self.subject().parse()?)
    }

    /// Returns the batch's final state, by its name in events and in the ledger.
    pub(crate) fn outcome(&self) -> &'static str {
        if self.refused.is_some() { "partial" } else { "delivered" }
    }

    /// Returns the message that is published.
    pub(crate) fn body(&self) -> Vec<u8> {
        let case = |n: usize| {
            let mut case = json!({"external_id": format!("TC-{n}"), "name": self.name(n), "tags": ["Smoke Test"],
                   "steps": [{"action": format!("Open page {n}"), "expected": format!("It is <b>{n}</b> & green")},
                             {"action": "Close it"}]});
            if let Some(own) = self.own_folder(n) {
                case["folder_path"] = json!(own);
            }
            case
        };
        let mut body = json!({"schema_version": 1, "batch_id": self.id(), "tenant_id": self.tenant,
            "generated_at": "2026-11-23T09:30:00Z", "cases": (0..self.cases).map(case).collect::<Vec<_>>()});
        if !self.folder.is_empty() {
            body["folder_path"] = json!(self.folder);
        }
        body.to_string().into_bytes()
    }

    /// Returns the folders that a case names for itself, below the tenant's folder.
    fn own_folder(&self, n: usize) -> Option<&'static [&'static str]> {
        self.own.filter(|_| n.is_multiple_of(3))
    }

    /// Returns the name of a case. Some names are equal within a batch, because generators write equal names.
    fn name(&self, n: usize) -> String {
        if self.refused == Some(n) {
            return format!("{} {}", self.id(), "x".repeat(TOO_LONG));
        }
        format!("{} case {}", self.id(), n - n % 7 / 6)
    }

    /// Returns the positions of the cases that must arrive, in order.
    pub(crate) fn arriving(&self) -> impl Iterator<Item = usize> {
        (0..self.cases).filter(|n| self.refused != Some(*n))
    }

    /// Returns the cases that must be in Testmo at the end, in order of ids.
    pub(crate) fn rows(&self) -> anyhow::Result<Vec<Row>> {
        let mut tags = vec!["smoke-test".to_owned(), batch_tag(&self.key()?)];
        tags.sort();
        let folder = |n| [&[ROOT], self.own_folder(n).unwrap_or(self.folder)].concat().join("/");
        let step = |action: String, expected: Option<String>| json!([action, expected]);
        let row = |n: usize| Row {
            name: self.name(n),
            folder: folder(n),
            tags: tags.clone(),
            steps: vec![
                step(format!("<p>Open page {n}</p>"), Some(format!("<p>It is &lt;b&gt;{n}&lt;/b&gt; &amp; green</p>"))),
                step("<p>Close it</p>".into(), None),
            ],
        };
        Ok(self.arriving().map(row).collect())
    }
}
