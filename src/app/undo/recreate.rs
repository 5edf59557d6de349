//! Creates cases again that an undo had deleted, where the undo is taken back: they get new ids.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::error::UndoError;
use super::journal::Journal;
use super::run::{Interrupted, MOST_FAILURES, Run};
use crate::app::case_pages::PATIENCE;
use crate::batch::ledger::Target;
use crate::batch::ledger::reconcile::Row;
use crate::batch::undo::{Creating, Intent, ItemKind, ItemState, Left, Undo, UndoItem, UndoKind, find_again};
use crate::batch::verdict::answer::ApiError;
use crate::tenants::NoPermit;
use crate::testmo::{Past, ReadError};

/// The most cases in one request.
const MOST_CREATED: usize = 20;

/// How a create request ended.
enum End {
    /// It is known what became of it.
    Known,
    /// It may have created cases.
    Unclear(String),
    /// Nothing was created, and nothing more can be sent.
    Stop(String),
}

impl Run<'_> {
    /// Returns the cases that can be created again and that are not yet, by their places.
    pub(super) fn to_create(&self, undo: &Undo) -> Vec<(usize, Creating)> {
        let is_wanted = |item: &UndoItem| {
            let is_left = item.state == ItemState::Left(Left::Deleted) && item.again.is_none();
            // What is remembered again was created by a later batch.
            is_left && item.kind == ItemKind::Created && self.subject.memories(item).is_empty()
        };
        let creating = |(place, item): (usize, &UndoItem)| {
            let Intent::Delete { former } = self.base.get(&item.id)?.done()? else { return None };
            Some((place, Creating::of(former, self.subject.tag())?))
        };
        let items = undo.items.iter().enumerate().filter(|_| undo.kind == UndoKind::Restore);
        items.filter(|(_, item)| is_wanted(item)).filter_map(creating).collect()
    }

    /// Creates cases again until none is left, or something stops it.
    ///
    /// # Errors
    /// When the batch was changed meanwhile, or the store does not answer.
    pub(super) async fn recreate(&mut self, journal: &mut Journal<'_>) -> Result<Option<Interrupted>, UndoError> {
        let mut failures = 0;
        loop {
            let ended = match self.create_some(journal).await {
                Err(UndoError::Paused(why) | UndoError::Failed(why)) => Some(End::Stop(why)),
                ended => ended?,
            };
            let (why, wait) = match ended {
                None => return Ok(None),
                Some(End::Known) => {
                    failures = 0;
                    continue;
                }
                Some(End::Unclear(why)) => (why, self.pacing.settling),
                Some(End::Stop(why)) => return Ok(Some(Interrupted { why, wait: Duration::ZERO })),
            };
            failures += 1;
            if wait > PATIENCE || failures == MOST_FAILURES {
                return Ok(Some(Interrupted { why, wait }));
            }
            sleep(wait).await;
        }
    }

    /// Finds what requests of unknown outcome have created, or creates the next cases; `None` if there are none.
    async fn create_some(&mut self, journal: &mut Journal<'_>) -> Result<Option<End>, UndoError> {
        let unclear: Vec<(usize, Creating)> =
            places(&journal.undo).filter_map(|(place, item)| Some((place, item.creating()?.clone()))).collect();
        let creates = if unclear.is_empty() { self.to_create(&journal.undo) } else { Vec::new() };
        if unclear.is_empty() && creates.is_empty() {
            return Ok(None);
        }
        if let Some(why) = self.hold(journal).await? {
            return Ok(Some(End::Stop(why)));
        }
        let rows = self.rows(unclear.iter().chain(&creates).map(|(_, creating)| creating.folder()).collect()).await?;
        let held = self.held(&journal.undo);
        if !unclear.is_empty() {
            let wanted: Vec<(usize, &Creating)> = unclear.iter().map(|(place, creating)| (*place, creating)).collect();
            let found = find_again(&wanted, self.subject.tag(), &rows, &held);
            let is_found = |place: &usize| found.iter().any(|(at, _)| at == place);
            let missing: Vec<usize> =
                unclear.iter().map(|(place, _)| *place).filter(|place| !is_found(place)).collect();
            journal.undo.created(&found);
            journal.undo.not_created(&missing);
            if !missing.is_empty() {
                journal.rows_may_appear();
            }
            journal.step(self.pacing.lease).await?;
            return Ok(Some(End::Known));
        }
        let floor = rows.iter().map(|row| row.id).chain(held).max().unwrap_or(0);
        let most = if self.resend.is_apart() { 1 } else { MOST_CREATED };
        let creates = creates.into_iter().take(most).map(|(place, creating)| (place, Creating { floor, ..creating }));
        self.create(journal, creates.collect()).await.map(Some)
    }

    /// Creates cases with one request.
    async fn create(&mut self, journal: &mut Journal<'_>, creates: Vec<(usize, Creating)>) -> Result<End, UndoError> {
        let places: Vec<usize> = creates.iter().map(|(place, _)| *place).collect();
        journal.undo.claim_creates(&creates);
        journal.step(self.pacing.lease).await?;
        let permitted = match self.lost_source().await? {
            Some(why) => Err(why),
            None => match self.caller.permit().await {
                Err(UndoError::Store(error)) => return Err(error.into()),
                permitted => permitted.map_err(|error| error.to_string()),
            },
        };
        if let Err(why) = permitted {
            journal.undo.not_created(&places);
            journal.step(self.pacing.lease).await?;
            return Ok(End::Stop(why));
        }
        let entries: Vec<_> = creates.iter().map(|(_, creating)| &creating.entry).collect();
        let ended = self.caller.create(json!({"cases": entries}).to_string(), places.len()).await?;
        let end = match ended {
            Ok(ids) => {
                let created: Vec<(usize, u64)> =
                    places.iter().zip(ids).filter_map(|(place, id)| Some((*place, id?))).collect();
                journal.undo.created(&created);
                match created.len() == places.len() {
                    true => End::Known,
                    false => End::Unclear("Testmo's answer does not show all cases".into()),
                }
            }
            Err(error) if error.may_have_committed() => End::Unclear(error.to_string()),
            Err(error) => {
                journal.undo.not_created(&places);
                match is_refused(&error) {
                    true if places.len() > 1 => {
                        self.resend.go_apart();
                        End::Known
                    }
                    true => {
                        journal.undo.refused(&places, &error.to_string());
                        End::Known
                    }
                    false => End::Stop(error.to_string()),
                }
            }
        };
        let lease = if matches!(end, End::Unclear(_)) { self.pacing.settling } else { self.pacing.lease };
        journal.step(lease).await?;
        Ok(end)
    }

    /// Returns the rows of the batch in some folders, and in those that people may have moved them to.
    async fn rows(&mut self, folders: BTreeSet<u64>) -> Result<Vec<Row>, UndoError> {
        let (pages, tag) = (&mut self.caller.pages, self.subject.tag().to_owned());
        let record = self.subject.record();
        let past = Past { up_to: record.floor, before: record.first_seen_at, offset: None };
        let mut rows = Vec::new();
        for folder in folders {
            let target = Target { account: self.subject.connection.origin.clone(), project: pages.project, folder };
            let listed = pages.client.list_cases(pages.access, &target, past, &[], &mut pages.permits).await;
            match listed {
                Ok(list) => rows.extend(list.rows.into_iter().filter(|row| row.tags.contains(&tag))),
                Err(ReadError::NotPermitted(NoPermit::Store(error))) => return Err(error.into()),
                Err(ReadError::NotPermitted(NoPermit::Pause(_, why))) => return Err(UndoError::Paused(why)),
                Err(ReadError::Failed(error)) => {
                    pages.permits.note(Some(&error)).await?;
                    return Err(UndoError::Failed(error.to_string()));
                }
            }
        }
        Ok(rows)
    }

    /// Returns the ids of rows that are other cases of the batch.
    fn held(&self, undo: &Undo) -> HashSet<u64> {
        let record = self.subject.record();
        let of_items = undo.items.iter().flat_map(|item| [item.id, item.new_id.unwrap_or(item.id)]);
        let account = self.subject.connection.origin.as_str();
        record.known_ids_at(account).chain(record.known_duplicates_at(account)).chain(of_items).collect()
    }
}

/// Returns whether Testmo refused what was sent.
fn is_refused(error: &ApiError) -> bool {
    matches!(error, ApiError::Invalid(_) | ApiError::TooLarge | ApiError::Rejected { .. })
}

fn places(undo: &Undo) -> impl Iterator<Item = (usize, &UndoItem)> {
    undo.items.iter().enumerate()
}
