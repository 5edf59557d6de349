//! Finds the cause of create requests that are answered with a status that does not tell their outcome: the connection,
//! or one case of a batch.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::courier::Courier;
use super::deliver::{Flow, Job, Learnt, Part};
use super::entry::Entry;
use crate::account::Signal;
use crate::batch::ledger::{Halved, Target};
use crate::batch::verdict::answer::ApiError;
use crate::batch::verdict::{DEFAULT_GATE, signal_of};
use crate::batch::{BatchKey, Reason, TenantId};
use crate::store::StoreError;
use crate::store::ledger::Commit;
use crate::tenants::Connection;

/// For how long what was answered to a connection is remembered, and one of its batches is being halved, without news.
const KEPT: Duration = Duration::from_secs(3_600);

/// A create request that was answered with a status that does not tell its outcome.
pub(super) struct Asked<'a> {
    pub(super) connection: &'a Connection,
    pub(super) status: u16,
}

/// What this worker knows of connections whose create requests are answered so.
#[derive(Debug, Default)]
pub(super) struct Suspects(Mutex<HashMap<Name, Standing>>);

/// A tenant and the version of its connection.
type Name = (TenantId, String);

#[derive(Debug)]
struct Standing {
    /// Statuses and batches of the requests that were answered so since a case was last created.
    unproven: Vec<(u16, BTreeSet<BatchKey>)>,
    created_at: Option<Instant>,
    /// The batch that is being halved.
    halved: Option<(BatchKey, Instant)>,
    touched: Instant,
}

/// How the connection answers requests that create nothing.
#[derive(Debug, PartialEq, Eq)]
enum Reads {
    Succeed,
    /// With the same status.
    Alike,
    /// They could not be made, or failed otherwise.
    Unknown,
}

impl Suspects {
    /// Notes that a request with these batches, which have been answered so since `since`, was; tells whether another
    /// batch of the connection got the same status, without a case having been created in between.
    fn note(&self, name: Name, status: u16, batches: BTreeSet<BatchKey>, since: Instant) -> bool {
        let Ok(mut known) = self.0.lock() else { return false };
        let now = Instant::now();
        known.retain(|_, standing| now - standing.touched < KEPT);
        let standing = known.entry(name).or_insert_with(|| Standing {
            unproven: Vec::new(),
            created_at: None,
            halved: None,
            touched: now,
        });
        standing.touched = now;
        if standing.created_at.is_some_and(|created_at| since < created_at) {
            return false;
        }
        standing.unproven.retain(|(_, others)| others.is_disjoint(&batches));
        let second = standing.unproven.iter().any(|(other, _)| *other == status);
        standing.unproven.push((status, batches));
        second
    }

    /// Notes that a case was created over a connection: what was answered to some batches is not its fault.
    fn created(&self, name: &Name) {
        let Ok(mut known) = self.0.lock() else { return };
        if let Some(standing) = known.get_mut(name) {
            (standing.created_at, standing.unproven) = (Some(Instant::now()), Vec::new());
        }
    }

    /// Whether a batch may be halved: one batch of a connection at a time is.
    fn may_halve(&self, name: &Name, batch: &BatchKey) -> bool {
        let Ok(mut known) = self.0.lock() else { return false };
        let Some(standing) = known.get_mut(name) else { return false };
        let now = Instant::now();
        let is_free = match &standing.halved {
            Some((halved, since)) => halved == batch || now - *since > KEPT,
            None => true,
        };
        if is_free {
            standing.halved = Some((batch.clone(), now));
        }
        is_free
    }

    /// A batch needs no halving any more.
    fn free(&self, name: &Name, batch: &BatchKey) {
        let Ok(mut known) = self.0.lock() else { return };
        if let Some(standing) = known.get_mut(name) {
            standing.halved = standing.halved.take().filter(|(halved, _)| halved != batch);
        }
    }

    /// The connection is the cause: nothing is held against its batches.
    fn forget(&self, name: &Name) {
        if let Ok(mut known) = self.0.lock() {
            known.remove(name);
        }
    }
}

impl Courier {
    /// Decides what follows a create request that was answered with a status that does not tell its outcome, once its
    /// end is stored: where the connection is the cause its batches are parked, where reads succeed a batch is halved,
    /// and otherwise they are tried again as they are.
    pub(super) async fn find_cause(
        &self,
        mut parts: Vec<&mut Part>,
        asked: Asked<'_>,
        learnt: &mut Learnt,
    ) -> Result<(), StoreError> {
        let Asked { connection, status } = asked;
        let batches: BTreeSet<BatchKey> = parts.iter().map(|part| part.entry.identity.key.clone()).collect();
        let is_alone = batches.len() == 1;
        // What somebody else has changed meanwhile is theirs.
        parts.retain(|part| matches!(part.flow, Some(Flow::Again(..))));
        let now = Instant::now();
        let since = parts.iter_mut().map(|part| *part.entry.suspected_since.get_or_insert(now)).min();
        let Some(since) = since else { return Ok(()) };
        if self.suspects.note(name_of(connection), status, batches, since) {
            return self.blame_for_all(parts, connection, learnt).await;
        }
        let Some(part) = parts.first_mut().filter(|part| is_alone && part.entry.record.is_cause_due()) else {
            return Ok(());
        };
        match self.reads(&part.entry, status, learnt).await? {
            Reads::Unknown => Ok(()),
            Reads::Alike => self.blame_for_all(parts, connection, learnt).await,
            Reads::Succeed if !self.suspects.may_halve(&name_of(connection), &part.entry.identity.key) => Ok(()),
            Reads::Succeed => match part.entry.record.halve() {
                Halved::Never => self.blame_for_all(parts, connection, learnt).await,
                Halved::Done => {
                    tracing::info!(batch = %part.entry.identity.key, status, "reads succeed, so the batch is halved");
                    if !self.store_revised(&mut part.entry, Commit::default()).await?.is_done() {
                        part.flow = Some(Flow::Reload);
                    }
                    Ok(())
                }
            },
        }
    }

    async fn blame_for_all(
        &self,
        mut parts: Vec<&mut Part>,
        connection: &Connection,
        learnt: &mut Learnt,
    ) -> Result<(), StoreError> {
        self.suspects.forget(&name_of(connection));
        for part in &mut parts {
            part.entry.record.absolve();
            part.entry.suspected_since = None;
            if !self.store_revised(&mut part.entry, Commit::default()).await?.is_done() {
                part.flow = Some(Flow::Reload);
            } else if let Some(Flow::Again(reason, detail, _)) = part.flow.take() {
                part.flow = Some(Flow::Park(reason, detail));
            }
        }
        self.blame_connection(parts, learnt).await
    }

    /// Asks who the key belongs to, and for a list, with the same key.
    async fn reads(&self, entry: &Entry, status: u16, learnt: &mut Learnt) -> Result<Reads, StoreError> {
        let user = self.user_is_answered(entry, status, learnt).await?;
        if user != Reads::Succeed {
            return Ok(user);
        }
        let connection = &entry.connection;
        if self.may_ask(connection, learnt).await?.is_some() {
            return Ok(Reads::Unknown);
        }
        let own = || Target {
            account: entry.account().to_owned(),
            project: connection.project,
            folder: entry.folder.unwrap_or(connection.folder),
        };
        let target = entry.record.target().cloned().unwrap_or_else(own);
        learnt.requests += 1;
        let end = self.client.has_lists(&connection.access, &target).await;
        self.read_so(entry, end, status, learnt).await
    }

    async fn user_is_answered(&self, entry: &Entry, status: u16, learnt: &mut Learnt) -> Result<Reads, StoreError> {
        if self.may_ask(&entry.connection, learnt).await?.is_some() {
            return Ok(Reads::Unknown);
        }
        learnt.requests += 1;
        let end = self.client.user(&entry.connection.access).await.map(drop);
        self.read_so(entry, end, status, learnt).await
    }

    /// What the end of a read tells of the cause, and of the account.
    async fn read_so(
        &self,
        entry: &Entry,
        end: Result<(), ApiError>,
        status: u16,
        learnt: &mut Learnt,
    ) -> Result<Reads, StoreError> {
        let Err(trouble) = end else { return Ok(Reads::Succeed) };
        if let Some(signal @ (Signal::Throttled(_) | Signal::Failed)) = signal_of(Some(&trouble)) {
            let observation = Some(self.observation(&entry.connection, signal));
            self.store.commit(Commit { observation, ..Commit::default() }.into()).await?;
        }
        if let ApiError::Throttled { retry_after } = trouble {
            self.metrics.throttled.inc();
            learnt.close(retry_after.unwrap_or(DEFAULT_GATE), Reason::Throttled);
        }
        let is_alike = trouble == ApiError::Inconclusive { status };
        Ok(if is_alike { Reads::Alike } else { Reads::Unknown })
    }

    /// Whether a status that does not tell the outcome of a request is answered to more than that: to a create request
    /// of the batch, too, or to the question who the key belongs to.
    pub(super) async fn is_answered_everywhere(
        &self,
        entry: &Entry,
        status: u16,
        learnt: &mut Learnt,
    ) -> Result<bool, StoreError> {
        let of_create = entry.record.cases.iter().filter_map(|case| case.suspicion.as_ref());
        if of_create.into_iter().any(|suspicion| suspicion.status == status) {
            return Ok(true);
        }
        Ok(self.user_is_answered(entry, status, learnt).await? == Reads::Alike)
    }

    /// Goes on with cases that are held back once Testmo was looked at, and settles batches for which that leaves
    /// nothing to do; `arrived` is how many cases of the job were in Testmo before.
    pub(super) async fn release_held(&self, job: &mut Job, arrived: usize) -> Result<(), StoreError> {
        if arrived_of(job) > arrived {
            for part in &job.parts {
                self.note_created(&part.entry.connection);
                self.free_if_done(&part.entry);
            }
        }
        for part in job.open() {
            if !part.entry.record.release_held() {
                continue;
            }
            tracing::warn!(batch = %part.entry.identity.key, "cases that are answered with no known outcome are left to a person");
            self.free_if_done(&part.entry);
            part.flow = Some(self.settle_known(&mut part.entry).await?);
        }
        Ok(())
    }

    /// Notes that cases were created over a connection.
    pub(super) fn note_created(&self, connection: &Connection) {
        self.suspects.created(&name_of(connection));
    }

    /// Lets another batch be halved where this one needs it no more.
    pub(super) fn free_if_done(&self, entry: &Entry) {
        if entry.record.apart().is_none() {
            self.suspects.free(&name_of(&entry.connection), &entry.identity.key);
        }
    }
}

/// How many cases of a job's batches are in Testmo.
pub(super) fn arrived_of(job: &Job) -> usize {
    job.parts.iter().map(|part| part.entry.record.arrived().count()).sum()
}

fn name_of(connection: &Connection) -> (TenantId, String) {
    (connection.tenant.clone(), connection.version.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Name {
        ("acme".parse().unwrap(), "v1".into())
    }

    fn batches(ids: &[&str]) -> BTreeSet<BatchKey> {
        ids.iter().map(|id| format!("acme/{id}").parse().unwrap()).collect()
    }

    #[test]
    fn a_second_batch_tells_something_only_in_a_request_without_the_first_one_and_with_the_same_status() {
        let (suspects, now) = (Suspects::default(), Instant::now());
        let note = |status, ids: &[&str]| suspects.note(name(), status, batches(ids), now);
        assert!(!note(408, &["a", "b"]));
        assert!(!note(408, &["a"]), "it failed together with b");
        assert!(!note(408, &["a"]), "it is no second one");
        assert!(!note(403, &["b"]), "another status");
        assert!(note(408, &["b"]));
        assert!(!suspects.note(("oak".parse().unwrap(), "v1".into()), 408, batches(&["c"]), now), "another tenant");
    }

    #[test]
    fn where_a_case_was_created_since_a_batch_was_first_answered_so_the_connection_is_not_the_cause() {
        let (suspects, before) = (Suspects::default(), Instant::now());
        assert!(!suspects.note(name(), 408, batches(&["a"]), before));
        suspects.created(&name());
        let after = Instant::now() + Duration::from_millis(1);
        assert!(!suspects.note(name(), 408, batches(&["b"]), after), "only b since");
        assert!(!suspects.note(name(), 408, batches(&["a"]), before), "a is known to be another matter");
        assert!(suspects.note(name(), 408, batches(&["c"]), after));
    }

    #[test]
    fn one_batch_of_a_connection_is_halved_at_a_time() {
        let suspects = Suspects::default();
        let keys: Vec<BatchKey> = batches(&["a", "b"]).into_iter().collect();
        suspects.note(name(), 408, batches(&["a"]), Instant::now());
        let may = |at: usize| suspects.may_halve(&name(), &keys[at]);
        assert!(may(0) && may(0) && !may(1));
        suspects.free(&name(), &keys[1]);
        assert!(!may(1), "it was not its own");
        suspects.free(&name(), &keys[0]);
        assert!(may(1));
    }
}
