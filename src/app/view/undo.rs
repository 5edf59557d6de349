//! Shows to programs what is or was taken back of a batch.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::undo::{Intent, ItemKind, Left, Outcome, Plan, Undo, UndoItem};

/// What is taken back of a batch, or was.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct UndoView {
    tenant_id: String,
    batch_id: String,
    /// Whether it is finished; false for a plan.
    finished: bool,
    /// Whether it was begun before and goes on.
    goes_on: bool,
    retired: usize,
    deleted: usize,
    restored: usize,
    left: usize,
    cases: Vec<UndoneCaseView>,
    /// Folders that seem empty now; nobody but a person deletes them.
    empty_folders: Vec<EmptyFolderView>,
    /// Why it did not come to its end; null if it did, and for a plan.
    interrupted: Option<String>,
    /// After how many seconds the same request can go on.
    retry_after_seconds: Option<u64>,
}

/// What becomes of a row in Testmo.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct UndoneCaseView {
    case: String,
    testmo_id: Option<u64>,
    /// The id of the case that was created in its place, as it had been deleted.
    new_testmo_id: Option<u64>,
    duplicate: bool,
    /// `retired`, `deleted`, `restored`, `left`, `waiting` or `unclear`.
    change: &'static str,
    fields_written: Vec<String>,
    fields_kept: Vec<String>,
    left_because: Option<&'static str>,
    left_detail: Option<String>,
    link: Option<String>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct EmptyFolderView {
    id: u64,
    link: String,
}

impl UndoView {
    /// Shows a plan.
    pub fn of(plan: &Plan) -> Self {
        let forecast = &plan.forecast;
        let case = |item: &UndoItem| {
            let change = forecast.word(item);
            UndoneCaseView::of(plan.label(item).to_owned(), plan.link(item), change, item)
        };
        Self {
            tenant_id: plan.key.tenant.to_string(),
            batch_id: plan.key.batch.to_string(),
            finished: false,
            goes_on: plan.is_begun,
            retired: forecast.count("retired"),
            deleted: forecast.count("deleted"),
            restored: forecast.count("restored"),
            left: forecast.count("left"),
            cases: forecast.items.iter().map(case).collect(),
            empty_folders: Vec::new(),
            interrupted: None,
            retry_after_seconds: None,
        }
    }

    /// Shows what became of the plan.
    #[must_use]
    pub fn with(mut self, outcome: &Outcome) -> Self {
        let undo: &Undo = &outcome.undo;
        for (case, item) in self.cases.iter_mut().zip(&undo.items) {
            *case = UndoneCaseView::of(case.case.clone(), case.link.clone(), undo.word(item), item);
        }
        let folder = |(id, link): &(u64, String)| EmptyFolderView { id: *id, link: link.clone() };
        Self {
            finished: outcome.interrupted.is_none(),
            retired: undo.count("retired"),
            deleted: undo.count("deleted"),
            restored: undo.count("restored"),
            left: undo.count("left"),
            empty_folders: outcome.empty_folders.iter().map(folder).collect(),
            interrupted: outcome.interrupted.as_ref().map(|interrupted| interrupted.why.clone()),
            retry_after_seconds: outcome.interrupted.as_ref().map(|interrupted| interrupted.wait.as_secs()),
            ..self
        }
    }
}

impl UndoneCaseView {
    fn of(case: String, link: Option<String>, change: &'static str, item: &UndoItem) -> Self {
        let (fields_written, fields_kept) = match item.done() {
            Some(Intent::Set(setting)) => (setting.fields.keys().cloned().collect(), setting.kept.clone()),
            Some(Intent::Delete { .. }) | None => (Vec::new(), Vec::new()),
        };
        let left = item.left();
        Self {
            case,
            testmo_id: (item.id > 0).then_some(item.id),
            new_testmo_id: item.new_id,
            duplicate: item.kind == ItemKind::Duplicate,
            change,
            fields_written,
            fields_kept,
            left_because: left.map(Left::word),
            left_detail: left.map(Left::sentence),
            link,
        }
    }
}
