//! Shows to programs what a batch would become.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::super::messages::Finding;
use super::super::messages::preview::{FaultyCase, FolderPreview, Preview};
use super::generation_plan::GenerationPlanView;
use crate::batch::message::TextFormat;
use crate::batch::render::preview::{CasePreview, RequestSize};
use crate::batch::render::written::WrittenText;

/// What a batch would become in a tenant's Testmo.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PreviewView {
    batch: String,
    account: String,
    project_id: u64,
    folder: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    folders: Vec<FolderView>,
    notes: Vec<String>,
    findings: Vec<Finding>,
    requests: Vec<RequestView>,
    plan: Option<GenerationPlanView>,
    cases: Vec<CaseView>,
    faulty: Vec<FaultyCase>,
}

/// A folder of a batch whose cases go to several.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct FolderView {
    folder: String,
    cases: Vec<usize>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct RequestView {
    cases: usize,
    bytes: usize,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct CaseView {
    position: usize,
    key: String,
    bytes: usize,
    entry: Map<String, Value>,
    changed_texts: Vec<TextView>,
    changed_tags: Vec<TagView>,
    left_out: Vec<LeftOutView>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct TextView {
    place: String,
    format: TextFormat,
    written: String,
    sent: String,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct TagView {
    written: String,
    sent: Option<String>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct LeftOutView {
    what: String,
    why: String,
}

impl PreviewView {
    /// Shows a preview.
    pub fn of(preview: &Preview) -> Self {
        let folder = |one: &FolderPreview| FolderView { folder: one.folder.clone(), cases: one.cases.clone() };
        let request = |size: &RequestSize| RequestView { cases: size.cases, bytes: size.bytes };
        Self {
            batch: preview.batch.key.to_string(),
            account: preview.row.origin.clone(),
            project_id: preview.row.project,
            folder: preview.folders.iter().map(|one| one.folder.as_str()).collect::<Vec<_>>().join("; "),
            folders: if preview.folders.len() > 1 { preview.folders.iter().map(folder).collect() } else { Vec::new() },
            notes: preview.notes.clone(),
            findings: preview.findings.clone(),
            requests: preview.requests.iter().map(request).collect(),
            plan: preview.plan.as_ref().map(GenerationPlanView::of),
            cases: preview.cases.iter().map(|(position, case)| CaseView::of(*position, case)).collect(),
            faulty: preview.faulty.clone(),
        }
    }
}

impl CaseView {
    fn of(position: usize, case: &CasePreview) -> Self {
        let text = |text: &WrittenText| TextView {
            place: text.place.clone(),
            format: text.format,
            written: text.written.clone(),
            sent: text.sent.clone(),
        };
        let tags = case.tags.iter().map(|tag| TagView { written: tag.written.clone(), sent: tag.sent.clone() });
        let left_out = case.left_out.iter();
        let left_out = left_out.map(|left| LeftOutView { what: left.what.to_string(), why: left.why.to_string() });
        Self {
            position,
            key: case.sent.key.clone(),
            bytes: case.sent.entry.len(),
            entry: case.entry.clone(),
            changed_texts: case.texts.iter().map(text).collect(),
            changed_tags: tags.collect(),
            left_out: left_out.collect(),
        }
    }
}
