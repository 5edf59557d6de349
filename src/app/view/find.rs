//! Shows what was found to programs.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::find::{CaseHit, Found, Hit, Reach, ShelfHit, TextPart, ValueKind};
use super::super::time::rfc3339;

/// What was found, with what was searched.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FoundView {
    /// What was searched.
    pub searched: SearchedView,
    /// What was found.
    pub batches: Vec<FoundBatchView>,
    /// The place at which the search goes on.
    pub next: Option<String>,
}

/// What was searched.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SearchedView {
    text: String,
    tenant_id: Option<String>,
    /// What of values was compared: `any_part`, `word_beginnings` where the database has no index of trigrams, or
    /// `whole_values`.
    parts: &'static str,
    /// Batches that were finished since are not all searchable yet; null if they are.
    finished_until: Option<String>,
    /// Batches that were finished before are not all searchable yet; null if they are.
    finished_from: Option<String>,
    /// Whether every entry of the shelf is searchable.
    whole_shelf: bool,
}

/// A batch that was found, or an entry of the shelf whose batch is not known.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FoundBatchView {
    tenant_id: Option<String>,
    batch_id: Option<String>,
    state: Option<&'static str>,
    source_key: Option<String>,
    finished_at: Option<String>,
    found_by: Vec<&'static str>,
    cases: Vec<FoundCaseView>,
    shelf: Vec<FoundEntryView>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct FoundCaseView {
    position: usize,
    name: Option<String>,
    external_id: Option<String>,
    testmo_id: Option<u64>,
    link: Option<String>,
    found_by: Vec<&'static str>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct FoundEntryView {
    id: String,
    state: Option<&'static str>,
    reason: Option<&'static str>,
    shelved_at: Option<String>,
}

impl FoundView {
    /// Shows what was found by a text at a tenant, or at all tenants.
    pub fn of(found: &Found, text: &str, tenant: Option<&str>) -> Self {
        let is_whole = matches!(found.needle.text, None | Some(TextPart::Whole(_)));
        let parts = match found.reach {
            _ if is_whole => "whole_values",
            Reach::AnyPart => "any_part",
            Reach::WordBeginnings => "word_beginnings",
        };
        Self {
            searched: SearchedView {
                text: text.to_owned(),
                tenant_id: tenant.map(Into::into),
                parts,
                finished_until: found.unsearched.since.and_then(rfc3339),
                finished_from: found.unsearched.before.and_then(rfc3339),
                whole_shelf: !found.unsearched.shelf,
            },
            batches: found.hits.iter().map(FoundBatchView::of).collect(),
            next: found.next.map(|place| place.to_string()),
        }
    }
}

impl FoundBatchView {
    fn of(hit: &Hit) -> Self {
        Self {
            tenant_id: hit.tenant.as_ref().map(ToString::to_string),
            batch_id: hit.key.as_ref().map(|key| key.batch.to_string()),
            state: hit.record.as_ref().map(|record| record.state.name()),
            source_key: hit.source_key.clone(),
            finished_at: hit.record.as_ref().and_then(|record| record.settled_at).and_then(rfc3339),
            found_by: names(&hit.found_by),
            cases: hit.cases.iter().map(FoundCaseView::of).collect(),
            shelf: hit.shelf.iter().map(FoundEntryView::of).collect(),
        }
    }
}

impl FoundCaseView {
    fn of(case: &CaseHit) -> Self {
        let CaseHit { position, name, external_id, testmo_id, link, found_by } = case.clone();
        Self { position, name, external_id, testmo_id, link, found_by: names(&found_by) }
    }
}

impl FoundEntryView {
    fn of(entry: &ShelfHit) -> Self {
        Self {
            id: entry.id.to_string(),
            state: entry.state.map(|state| state.name()),
            reason: entry.reason.map(|reason| reason.code()),
            shelved_at: rfc3339(entry.shelved_at),
        }
    }
}

fn names(kinds: &[ValueKind]) -> Vec<&'static str> {
    kinds.iter().map(|kind| kind.name()).collect()
}
