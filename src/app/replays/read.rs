//! Lists replays and shows how one of them goes.

use super::error::ReplayError;
use super::summary::PlanSummary;
use crate::store::replays::{ItemFilter, PartProgress, ReplayId, ReplayItem, ReplayRow, ReplayState};
use crate::store::{Store, StoreError};

/// How many parts, or entries, are read at once.
const PARTS: u32 = 500;

/// A replay with everything that is known of it but its entries.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayDetails {
    /// The replay.
    pub row: ReplayRow,
    /// What its plan came to, if the plan is complete.
    pub summary: Option<PlanSummary>,
    /// Its parts.
    pub parts: Vec<PartProgress>,
    /// How many entries have each outcome, by its word.
    pub outcomes: Vec<(String, u64)>,
}

impl ReplayDetails {
    /// Returns how many batches are under way.
    pub fn under_way(&self) -> u64 {
        let started: u64 = self.parts.iter().map(|part| part.started).sum();
        started.saturating_sub(self.ended())
    }

    /// Returns how many batches of those that are tried have an outcome.
    pub fn ended(&self) -> u64 {
        let skipped_by_plan = self.summary.as_ref().map_or(0, |summary| summary.batches - summary.tried);
        let all: u64 = self.outcomes.iter().map(|(_, count)| count).sum();
        let passed: u64 = self.parts.iter().map(|part| part.passed).sum();
        all.saturating_sub(skipped_by_plan + passed)
    }

    /// Returns how many batches are still to be started.
    pub fn left(&self) -> u64 {
        self.parts.iter().map(PartProgress::left).sum()
    }
}

/// Returns up to `most` replays with lower numbers than `before`, the newest first.
///
/// # Errors
/// When the store does not answer.
pub async fn list(
    store: &Store,
    state: Option<ReplayState>,
    before: Option<ReplayId>,
    most: u32,
) -> Result<Vec<ReplayRow>, StoreError> {
    store.replays(state, before, most).await
}

/// Returns a replay with its parts and outcomes.
///
/// # Errors
/// When there is no such replay, or the store does not answer.
pub async fn show(store: &Store, id: ReplayId) -> Result<ReplayDetails, ReplayError> {
    let row = store.replay(id).await?.ok_or(ReplayError::Unknown(id))?;
    let mut parts: Vec<PartProgress> = Vec::new();
    loop {
        let page = store.replay_parts(id, parts.last().map(|part| part.part), PARTS).await?;
        let is_last = page.len() < usize::try_from(PARTS).unwrap_or(usize::MAX);
        parts.extend(page);
        if is_last {
            break;
        }
    }
    let summary = row.summary.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let outcomes = store.replay_outcomes(id).await?;
    Ok(ReplayDetails { row, summary, parts, outcomes })
}

/// Returns up to `most` entries of a replay, in their order.
///
/// # Errors
/// When there is no such replay, or the store does not answer.
pub async fn items(
    store: &Store,
    id: ReplayId,
    filter: &ItemFilter,
    most: u32,
) -> Result<Vec<ReplayItem>, ReplayError> {
    store.replay(id).await?.ok_or(ReplayError::Unknown(id))?;
    Ok(store.replay_items(id, filter, most).await?)
}

/// Returns every entry of a replay, in their order.
///
/// # Errors
/// When there is no such replay, or the store does not answer.
pub async fn all_items(store: &Store, id: ReplayId) -> Result<Vec<ReplayItem>, ReplayError> {
    let mut all: Vec<ReplayItem> = Vec::new();
    loop {
        let filter = ItemFilter { outcome: None, after: all.last().map(|item| item.place) };
        let page = items(store, id, &filter, PARTS).await?;
        let is_last = page.len() < usize::try_from(PARTS).unwrap_or(usize::MAX);
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}
