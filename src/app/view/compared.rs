//! Shows a comparison with Testmo to programs.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::batches::compare::{ComparedBatch, ComparedCase, Comparison, Finding, OtherRow};
use super::super::time::rfc3339;

/// A comparison without its cases, which follow one by one.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ComparisonView {
    tenant_id: String,
    read_at: Option<String>,
    findings: Vec<FindingCountView>,
    notes: Vec<String>,
    cases: Vec<ComparedCaseView>,
    further: Vec<FurtherView>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct FindingCountView {
    finding: &'static str,
    cases: usize,
}

/// A case of a comparison.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct ComparedCaseView {
    batch_id: String,
    case: String,
    testmo_id: Option<u64>,
    name: Option<String>,
    findings: Vec<&'static str>,
    changed_fields: Vec<String>,
    unsure_fields: Vec<String>,
    edited_by: Option<String>,
    edited_at: Option<String>,
    folder_now: Option<u64>,
    others: Vec<OtherRowView>,
    link: Option<String>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct OtherRowView {
    testmo_id: u64,
    name: String,
    created_by: Option<String>,
    link: String,
}

/// A row with the tag of a batch that stands for none of its cases.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct FurtherView {
    batch_id: String,
    #[serde(flatten)]
    row: OtherRowView,
}

impl ComparisonView {
    /// Shows a comparison.
    pub fn of(comparison: &Comparison) -> Self {
        let count = |finding: &Finding| {
            let cases = comparison.count(*finding);
            (cases > 0).then(|| FindingCountView { finding: finding.name(), cases })
        };
        let further = |batch: &ComparedBatch| -> Vec<FurtherView> {
            let batch_id = batch.key.batch.as_str();
            let row = |row: &OtherRow| FurtherView { batch_id: batch_id.to_owned(), row: OtherRowView::of(row) };
            batch.further.iter().map(row).collect()
        };
        Self {
            tenant_id: comparison.tenant.to_string(),
            read_at: rfc3339(comparison.read_at),
            findings: Finding::ALL.iter().filter_map(count).collect(),
            notes: comparison.notes.clone(),
            cases: comparison.cases().map(|(batch, case)| ComparedCaseView::of(batch, case)).collect(),
            further: comparison.batches.iter().flat_map(further).collect(),
        }
    }
}

impl ComparedCaseView {
    fn of(batch: &ComparedBatch, case: &ComparedCase) -> Self {
        let differences = case.differences.as_deref().cloned().unwrap_or_default();
        Self {
            batch_id: batch.key.batch.as_str().to_owned(),
            case: case.key.clone(),
            testmo_id: case.id,
            name: case.name.clone(),
            findings: case.findings.iter().map(|finding| finding.name()).collect(),
            changed_fields: differences.changed,
            unsure_fields: differences.unsure,
            edited_by: differences.edited_by,
            edited_at: differences.edited_at.and_then(rfc3339),
            folder_now: differences.folder,
            others: differences.others.iter().map(OtherRowView::of).collect(),
            link: case.link.clone(),
        }
    }
}

impl OtherRowView {
    fn of(row: &OtherRow) -> Self {
        let OtherRow { id, name, created_by, link } = row.clone();
        Self { testmo_id: id, name, created_by, link }
    }
}
