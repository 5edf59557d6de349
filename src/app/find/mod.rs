//! Finds batches and cases by whatever a customer can name: an id, a name, a key, a tag or a link.

mod hit;

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

pub use self::hit::{CaseHit, Hit};
pub use crate::batch::search::{Matched, Needle, NotANeedle, Reach, SHORTEST_PART, TextPart, ValueKind};
use crate::batch::{BatchId, BatchKey, TenantId};
use crate::store::search::{Candidate, SearchName, SearchQuery};
pub use crate::store::search::{ShelfHit, Unsearched};
use crate::store::{Store, StoreError};

/// The fewest and the most candidates that are read at once: a batch can have many names.
const FEWEST: u32 = 20;
const MOST: u32 = 500;

/// What is to be found.
#[derive(Clone, Debug)]
pub struct FindRequest {
    /// What a person pasted.
    pub text: String,
    /// Whose batches; those of all tenants without one.
    pub tenant: Option<TenantId>,
    /// Where an earlier answer ended.
    pub after: Option<FindPlace>,
    /// The maximum number of batches; 0 for all.
    pub limit: u32,
}

/// The place of a batch in the order in which batches are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FindPlace(i64);

/// What was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The batches, those that became known last first; one that is named by its key stands before the others.
    pub hits: Vec<Hit>,
    /// Where the search goes on; `None` if nothing else matches.
    pub next: Option<FindPlace>,
    /// How the text was understood.
    pub needle: Needle,
    /// Which parts of values this database finds.
    pub reach: Reach,
    /// What cannot be found by its values yet.
    pub unsearched: Unsearched,
}

/// Why nothing can be searched.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The text is nothing that can be found.
    #[error(transparent)]
    Text(#[from] NotANeedle),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl fmt::Display for FindPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl FromStr for FindPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        i64::from_str_radix(text, 16).map(Self).map_err(|_| format!("`{text}` is not a place as `find` prints it"))
    }
}

/// Finds the batches that have a text in one of their values.
///
/// # Errors
/// When the text is nothing that can be found, or the store does not answer.
pub async fn find(store: &Store, request: &FindRequest) -> Result<Found, FindError> {
    let needle: Needle = request.text.parse()?;
    let query = SearchQuery { needle, tenant: request.tenant.clone(), reach: store.search_reach().await? };
    let most = if request.limit == 0 { usize::MAX } else { usize::try_from(request.limit).unwrap_or(usize::MAX) };
    let named = named(request);
    let first = match &named {
        Some(key) => of_key(store, key).await?,
        None => None,
    };
    let is_named = |name: &SearchName| first.is_some() && name.shelf_id == 0 && hit::key_of(name) == named;
    let chunk = u32::try_from(most).unwrap_or(MOST).saturating_add(1).clamp(FEWEST, MOST);
    let (mut hits, mut next) = (Vec::new(), None);
    if request.after.is_none() {
        hits.extend(first.clone());
    }
    let mut before = Some(request.after.map_or(i64::MAX, |place| place.0));
    let mut last = None;
    'pages: while let Some(from) = before {
        let page = store.search(&query, from, chunk).await?;
        before = page.before;
        for (seq, hit) in verified(store, &query, page.rows.into_iter().filter(|row| !is_named(&row.name))).await? {
            if hits.len() >= most {
                next = last.or(Some(FindPlace(seq.saturating_add(1))));
                break 'pages;
            }
            hits.push(hit);
            last = Some(FindPlace(seq));
        }
    }
    let SearchQuery { needle, reach, .. } = query;
    Ok(Found { hits, next, needle, reach, unsearched: store.unsearched().await? })
}

/// Returns the batch that a text names, if it is the key of one.
fn named(request: &FindRequest) -> Option<BatchKey> {
    let text = request.text.trim();
    let of_tenant = |tenant: &TenantId| Some(BatchKey::new(tenant.clone(), BatchId::new(text).ok()?));
    match (text.parse::<BatchKey>().ok(), &request.tenant) {
        (Some(key), None) => Some(key),
        (Some(key), Some(tenant)) if key.tenant == *tenant => Some(key),
        (_, Some(tenant)) => of_tenant(tenant),
        (None, None) => None,
    }
}

/// Reads a batch by its key, also one that is not searchable yet or of which only the outcome is kept.
async fn of_key(store: &Store, key: &BatchKey) -> Result<Option<Hit>, StoreError> {
    let name = SearchName { tenant: Some(key.tenant.clone()), batch: Some(key.batch.clone()), shelf_id: 0 };
    let record = store.batches_named(HashSet::from([key])).await?.remove(key).map(|stored| stored.record);
    let shelf = store.shelf_hits(std::slice::from_ref(&name)).await?;
    Ok(hit::named(name, record, shelf))
}

/// Returns the hits among candidates, in order, each with its number.
async fn verified(
    store: &Store,
    query: &SearchQuery,
    candidates: impl Iterator<Item = Candidate>,
) -> Result<Vec<(i64, Hit)>, StoreError> {
    let matches = |row: Candidate| {
        let matched = row.document.matches(&query.needle, query.reach);
        let is_of_tenant = query.tenant.is_none() || row.name.tenant == query.tenant;
        (is_of_tenant && !matched.is_empty()).then_some((row, matched))
    };
    let matching: Vec<(Candidate, Vec<Matched>)> = candidates.filter_map(matches).collect();
    if matching.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<SearchName> = matching.iter().map(|(row, _)| row.name.clone()).collect();
    let keys: Vec<BatchKey> = names.iter().filter(|name| name.shelf_id == 0).filter_map(hit::key_of).collect();
    let mut records = store.batches_named(keys.iter().collect()).await?;
    let shelf = store.shelf_hits(&names).await?;
    let found = |(row, matched): (Candidate, Vec<Matched>)| {
        let record = hit::key_of(&row.name).and_then(|key| records.remove(&key)).map(|stored| stored.record);
        let entries = shelf.iter().filter(|entry| hit::is_of(entry, &row.name)).cloned().collect();
        Some((row.seq, hit::matching(row, &matched, record, entries, query.needle.account.as_deref())?))
    };
    Ok(matching.into_iter().filter_map(found).collect())
}
