//! Page: compares what was delivered of a batch with what Testmo shows now.

use askama::Template;

use super::super::admin::problem::Problem;
use super::answer::Answer;
use super::filters;
use super::frame::Frame;
use super::moment::Moment;
use super::route::{Route, Scope};
use super::steps::batch_address;
use super::visit::Visit;
use crate::app::batches::compare::{ComparedCase, Finding, OtherRow, Selected, compare};

pub(super) const ROUTES: &[Route] = &[Route {
    id: "compareBatch",
    path: "/batches/{tenant}/{batch}/compare",
    scope: Scope::Path,
    reads_testmo: true,
    handler: |visit| Box::pin(show(visit)),
    ..Route::SHOW
}];

/// What became of the cases of a batch.
#[derive(Template)]
#[template(path = "compare.html")]
struct Compare {
    frame: Frame,
    batch: String,
    address: String,
    counts: Vec<(String, usize)>,
    notes: Vec<String>,
    cases: Vec<CaseLine>,
    further: Vec<OtherRow>,
}

/// What became of a case.
struct CaseLine {
    key: String,
    name: String,
    id: Option<u64>,
    link: Option<String>,
    findings: Vec<(String, &'static str)>,
    fields: String,
    edited_by: Option<String>,
    edited: Option<Moment>,
    folder: Option<u64>,
    others: Vec<OtherRow>,
}

/// Returns how a finding is shown.
fn tone(finding: Finding) -> &'static str {
    match finding {
        Finding::Once => "good",
        Finding::Missing | Finding::NotDelivered | Finding::Twice => "bad",
        Finding::NotSeen | Finding::Moved | Finding::Changed | Finding::MaybeChanged => "mixed",
        Finding::Undone => "",
    }
}

fn line(case: &ComparedCase, now: i64) -> CaseLine {
    let differences = case.differences.as_deref().cloned().unwrap_or_default();
    let fields: Vec<String> = differences
        .changed
        .into_iter()
        .chain(differences.unsure.into_iter().map(|field| format!("{field} (maybe)")))
        .collect();
    CaseLine {
        key: case.key.clone(),
        name: case.name.clone().unwrap_or_default(),
        id: case.id,
        link: case.link.clone(),
        findings: case.findings.iter().map(|finding| (finding.name().replace('_', " "), tone(*finding))).collect(),
        fields: fields.join(", "),
        edited_by: differences.edited_by,
        edited: differences.edited_at.map(|at| Moment { at, now }),
        folder: differences.folder,
        others: differences.others,
    }
}

async fn show(visit: Visit) -> Result<Answer, Problem> {
    let key = visit.batch()?;
    let comparison = compare(visit.context(), &Selected::Batch(key.clone())).await?;
    let count = |finding: &Finding| {
        let cases = comparison.count(*finding);
        (cases > 0).then(|| (finding.name().replace('_', " "), cases))
    };
    let name = key.to_string();
    let page = Compare {
        frame: visit.frame("/batches", "In Testmo now", format!("testmo-courier batches compare {name}")),
        address: batch_address(&name),
        batch: name,
        counts: Finding::ALL.iter().filter_map(count).collect(),
        notes: comparison.notes.clone(),
        cases: comparison.cases().map(|(_, case)| line(case, visit.now)).collect(),
        further: comparison.batches.iter().flat_map(|batch| batch.further.clone()).collect(),
    };
    Answer::page(200, &page)
}
