//! Remembers which connections get a status on create requests that leaves the outcome unknown, and which batch is
//! halved.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::batch::{BatchKey, TenantId};
use crate::guard::lock;
use crate::tenants::Connection;

/// For how long an answer of a connection is remembered, and for how long a batch keeps the right to be halved, without
/// anything new.
const KEPT: Duration = Duration::from_secs(3_600);

/// What this worker knows of connections whose create requests are answered so.
#[derive(Debug, Default)]
pub(super) struct Suspects(Mutex<HashMap<Name, Standing>>);

/// A tenant and the version of its connection.
pub(super) type Name = (TenantId, String);

/// Returns the name of a connection.
pub(super) fn name_of(connection: &Connection) -> Name {
    (connection.tenant.clone(), connection.version.clone())
}

#[derive(Debug)]
struct Standing {
    /// Statuses and batches of the requests that were answered so since a case was last created.
    unproven: Vec<(u16, BTreeSet<BatchKey>)>,
    created_at: Option<Instant>,
    /// The batch that is being halved.
    halved: Option<(BatchKey, Instant)>,
    touched: Instant,
}

impl Suspects {
    /// Notes a request with these batches, which have been answered so since `since`. Returns whether another batch of
    /// the connection got the same status, without a case having been created in between.
    pub(super) fn note(
        &self,
        name: Name,
        status: u16,
        batches: BTreeSet<BatchKey>,
        since: Instant,
        now: Instant,
    ) -> bool {
        let mut known = lock(&self.0);
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

    /// Notes that a case was created over a connection: earlier answers to some batches are not its fault.
    pub(super) fn created(&self, name: &Name, now: Instant) {
        let mut known = lock(&self.0);
        if let Some(standing) = known.get_mut(name) {
            (standing.created_at, standing.unproven) = (Some(now), Vec::new());
        }
    }

    /// Returns whether a batch may be halved: one batch of a connection at a time is.
    pub(super) fn may_halve(&self, name: &Name, batch: &BatchKey, now: Instant) -> bool {
        let mut known = lock(&self.0);
        let Some(standing) = known.get_mut(name) else { return false };
        let is_free = match &standing.halved {
            Some((halved, since)) => halved == batch || now - *since > KEPT,
            None => true,
        };
        if is_free {
            standing.halved = Some((batch.clone(), now));
        }
        is_free
    }

    /// Ends the halving of a batch.
    pub(super) fn free(&self, name: &Name, batch: &BatchKey) {
        let mut known = lock(&self.0);
        if let Some(standing) = known.get_mut(name) {
            standing.halved = standing.halved.take().filter(|(halved, _)| halved != batch);
        }
    }

    /// Forgets a connection: it is the cause, so nothing is held against its batches.
    pub(super) fn forget(&self, name: &Name) {
        lock(&self.0).remove(name);
    }
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
        let note = |status, ids: &[&str]| suspects.note(name(), status, batches(ids), now, now);
        assert!(!note(408, &["a", "b"]));
        assert!(!note(408, &["a"]), "it failed together with b");
        assert!(!note(408, &["a"]), "it is no second one");
        assert!(!note(403, &["b"]), "another status");
        assert!(note(408, &["b"]));
        assert!(
            !suspects.note(("oak".parse().unwrap(), "v1".into()), 408, batches(&["c"]), now, now),
            "another tenant"
        );
    }

    #[test]
    fn where_a_case_was_created_since_a_batch_was_first_answered_so_the_connection_is_not_the_cause() {
        let (suspects, before) = (Suspects::default(), Instant::now());
        let (created, after) = (before + Duration::from_millis(1), before + Duration::from_millis(2));
        let note = |id: &str, since| suspects.note(name(), 408, batches(&[id]), since, after);
        assert!(!note("a", before));
        suspects.created(&name(), created);
        assert!(!note("b", after), "only b since");
        assert!(!note("a", before), "a is known to be another matter");
        assert!(note("c", after) && note("d", created));
    }

    #[test]
    fn one_batch_of_a_connection_is_halved_at_a_time() {
        let (suspects, now) = (Suspects::default(), Instant::now());
        let keys: Vec<BatchKey> = batches(&["a", "b"]).into_iter().collect();
        suspects.note(name(), 408, batches(&["a"]), now, now);
        let may = |at: usize| suspects.may_halve(&name(), &keys[at], now);
        assert!(may(0) && may(0) && !may(1));
        suspects.free(&name(), &keys[1]);
        assert!(!may(1), "it was not its own");
        suspects.free(&name(), &keys[0]);
        assert!(may(1));
    }

    #[test]
    fn a_batch_that_is_not_heard_of_for_an_hour_is_halved_no_more() {
        let (suspects, start) = (Suspects::default(), Instant::now());
        let keys: Vec<BatchKey> = batches(&["a", "b"]).into_iter().collect();
        let may = |at: usize, minutes: u64| {
            let now = start + Duration::from_secs(minutes * 60);
            suspects.note(name(), 408, batches(&["a"]), now, now);
            suspects.may_halve(&name(), &keys[at], now)
        };
        assert!(may(0, 0) && !may(1, 30) && !may(1, 59) && may(1, 61) && !may(0, 90));
    }

    #[test]
    fn what_is_known_of_a_connection_is_forgotten_after_an_hour() {
        let (suspects, start) = (Suspects::default(), Instant::now());
        let note = |id: &str, minutes: u64| {
            let now = start + Duration::from_secs(minutes * 60);
            suspects.note(name(), 408, batches(&[id]), start, now)
        };
        assert!(!note("a", 0) && note("b", 59) && !note("c", 120));
    }

    #[test]
    fn a_connection_that_is_forgotten_begins_anew() {
        let (suspects, now) = (Suspects::default(), Instant::now());
        let note = |id: &str| suspects.note(name(), 408, batches(&[id]), now, now);
        assert!(!note("a") && note("b"));
        suspects.forget(&name());
        assert!(!note("c") && note("d"));
    }
}
