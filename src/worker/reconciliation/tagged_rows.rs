//! Finds rows of Testmo by batch tags, anywhere in a project: with the tag filter where it shows a case that is known to
//! exist, and otherwise in an index of each folder, which is read once.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use tokio::sync::Mutex as Turn;

use super::canary::is_filter_refused;
use super::list_order::note_list_order;
use crate::batch::is_batch_tag;
use crate::batch::ledger::Target;
use crate::batch::ledger::reconcile::Row;
use crate::guard::lock;
use crate::testmo::{Access, CaseList, Past, ReadError, ReadPermits};
use crate::worker::context::WorkerContext;

/// The most rows that are kept of all folders. Beyond it all are forgotten, which costs further reads only.
const MOST_ROWS: usize = 200_000;

/// What is read of one account.
pub(in crate::worker) struct Sought<'a> {
    pub(in crate::worker) account: &'a str,
    pub(in crate::worker) project: u64,
    /// The folders in which the rows are, unless a person has moved them.
    pub(in crate::worker) folders: &'a [Target],
    /// The tags of the rows.
    pub(in crate::worker) tags: Vec<String>,
    /// Rows that were created before are of no interest, in milliseconds on the store's clock.
    pub(in crate::worker) since: i64,
}

/// What one worker knows of rows with batch tags.
#[derive(Debug, Default)]
pub(in crate::worker) struct TaggedRows {
    filters: Mutex<HashMap<(String, u64), Filter>>,
    folders: Mutex<HashMap<Target, Arc<Turn<Option<Index>>>>>,
}

/// Whether the tag filter of a project finds what exists.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Filter {
    /// It is asked for this case, too: its tag and id.
    With(String, u64),
    /// It has not shown a case that exists, or there is none to try it with.
    Unreliable,
}

/// The rows with batch tags that were created in a folder since a time.
#[derive(Clone, Debug)]
struct Index {
    since: i64,
    rows: Arc<Vec<Row>>,
}

impl TaggedRows {
    /// Returns the rows with one of these tags.
    ///
    /// # Errors
    /// When a list cannot be read, or there is no permit for a request.
    pub(in crate::worker) async fn read<P: ReadPermits>(
        &self,
        context: &WorkerContext,
        access: &Access,
        sought: &Sought<'_>,
        permits: &mut P,
    ) -> Result<Vec<Row>, ReadError<P::Refused>> {
        let wanted: HashSet<&str> = sought.tags.iter().map(String::as_str).collect();
        let is_wanted = |row: &&Row| row.tags.iter().any(|tag| wanted.contains(tag.as_str()));
        if let Some(list) = self.filtered(context, access, sought, permits).await? {
            return Ok(list.rows.iter().filter(is_wanted).cloned().collect());
        }
        let (mut rows, mut seen) = (Vec::new(), HashSet::new());
        for folder in sought.folders {
            let index = self.index(context, access, folder, sought.since, permits).await?;
            rows.extend(index.rows.iter().filter(is_wanted).filter(|row| seen.insert(row.id)).cloned());
        }
        Ok(rows)
    }

    /// Lists by the tag filter; `None` where it cannot be relied on.
    async fn filtered<P: ReadPermits>(
        &self,
        context: &WorkerContext,
        access: &Access,
        sought: &Sought<'_>,
        permits: &mut P,
    ) -> Result<Option<CaseList>, ReadError<P::Refused>> {
        let project = (sought.account.to_owned(), sought.project);
        let known = lock(&self.filters).get(&project).cloned();
        let filter = match known {
            Some(filter) => filter,
            None => {
                let newest = context.client.newest_cases(access, sought.project, permits).await?;
                let filter = filter_by(&newest);
                lock(&self.filters).insert(project.clone(), filter.clone());
                filter
            }
        };
        let Filter::With(tag, id) = filter else { return Ok(None) };
        let tags: Vec<String> = sought.tags.iter().cloned().chain([tag]).collect();
        let past = past(sought.since);
        match context.client.list_tagged_cases(access, sought.project, past, &tags, permits).await {
            Ok(list) if list.rows.iter().any(|row| row.id == id) => return Ok(Some(list)),
            Ok(_) => {}
            Err(error) if is_filter_refused(&error) => {}
            Err(error) => return Err(error),
        }
        tracing::warn!(account = sought.account, project = sought.project, "the tag filter does not find what exists");
        lock(&self.filters).insert(project, Filter::Unreliable);
        Ok(None)
    }

    /// Returns the index of a folder; only one reads it at a time.
    async fn index<P: ReadPermits>(
        &self,
        context: &WorkerContext,
        access: &Access,
        folder: &Target,
        since: i64,
        permits: &mut P,
    ) -> Result<Index, ReadError<P::Refused>> {
        let turn = lock(&self.folders).entry(folder.clone()).or_default().clone();
        let mut kept = turn.lock().await;
        if let Some(index) = kept.as_ref().filter(|index| index.since <= since) {
            return Ok(index.clone());
        }
        let list = context.client.list_cases(access, folder, past(since), &[], permits).await?;
        note_list_order(context, &folder.account, &list);
        let has_batch_tag = |row: &Row| row.tags.iter().any(|tag| is_batch_tag(tag));
        let index = Index { since, rows: Arc::new(list.rows.into_iter().filter(has_batch_tag).collect()) };
        *kept = Some(index.clone());
        drop(kept);
        self.bound();
        Ok(index)
    }

    /// Forgets everything if it has become too much.
    fn bound(&self) {
        let mut folders = lock(&self.folders);
        let rows = |turn: &Arc<Turn<Option<Index>>>| {
            turn.try_lock().ok().and_then(|index| index.as_ref().map(|index| index.rows.len())).unwrap_or_default()
        };
        if folders.values().map(rows).sum::<usize>() > MOST_ROWS {
            folders.clear();
        }
    }
}

/// Returns by which case the tag filter of a project is tried, from the newest cases: one that carries a batch tag, as that
/// finds few others.
fn filter_by(newest: &[Row]) -> Filter {
    let batch_tag_of = |row: &Row| Some((row.id, row.tags.iter().find(|tag| is_batch_tag(tag))?.clone()));
    let tried = newest.iter().filter_map(batch_tag_of).max_by_key(|(id, _)| *id);
    tried.map_or(Filter::Unreliable, |(id, tag)| Filter::With(tag, id))
}

/// Ids are no bound: which one the copy knew last is not known any more.
fn past(since: i64) -> Past {
    Past { up_to: None, before: since, offset: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u64, tags: &[&str]) -> Row {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        Row { id, name: "a".into(), folder: 1, tags, created_at: 0 }
    }

    #[test]
    fn the_filter_is_tried_with_the_newest_case_of_a_batch() {
        let tag = "sqai-0123456789ab";
        assert_eq!(filter_by(&[row(3, &[]), row(5, &["smoke", tag]), row(4, &[tag])]), Filter::With(tag.into(), 5));
        assert_eq!(filter_by(&[row(3, &["smoke"])]), Filter::Unreliable);
        assert_eq!(filter_by(&[]), Filter::Unreliable);
    }
}
