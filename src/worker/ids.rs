//! Takes Testmo's answers for what they can be: an id that no new case can have tells nothing, and one that is lower than
//! that of an older case shows that ids of its account do not tell what is older.

use std::collections::HashSet;

use super::courier::Courier;
use super::intake::patiently;
use crate::account::Signal;
use crate::batch::verdict::answer::is_id;
use crate::store::StoreError;
use crate::store::accounts::AccountObservation;
use crate::store::ledger::{Commit, KnownIds};

impl Courier {
    /// Removes ids that cannot be those of new cases from an answer, so that their outcome is unknown: 0, above 2^53, told
    /// twice, or held by another case. `known` is what was known of the account before the request began.
    pub(super) async fn sift_ids(&self, account: &str, known: KnownIds, answered: &mut [Option<u64>]) {
        let given: Vec<u64> = answered.iter().flatten().copied().filter(|id| is_id(*id)).collect();
        let mut senseless: HashSet<u64> = answered.iter().flatten().copied().filter(|id| !is_id(*id)).collect();
        senseless.extend(self.samples.take_ids(account, &given));
        let mut told = HashSet::new();
        senseless.extend(given.iter().copied().filter(|id| !told.insert(*id)));
        let is_low = |id: &u64| known.disordered || known.highest.is_some_and(|highest| *id <= highest);
        let low: Vec<u64> = given.into_iter().filter(is_low).collect();
        if !low.is_empty() {
            senseless.extend(self.held_of(account, known, low, &senseless).await);
        }
        if senseless.is_empty() {
            return;
        }
        let mut count = 0;
        for id in answered.iter_mut().filter(|id| id.is_some_and(|id| senseless.contains(&id))) {
            (*id, count) = (None, count + 1);
        }
        self.metrics.senseless_ids.inc_by(count);
        tracing::warn!(
            account,
            ?senseless,
            "Testmo answered with ids that no new case can have; their outcome is unknown"
        );
    }

    /// Those of some low ids that the ledger holds; all of them where it does not answer.
    async fn held_of(&self, account: &str, known: KnownIds, low: Vec<u64>, senseless: &HashSet<u64>) -> Vec<u64> {
        let held = match patiently(|| self.store.held_ids(account, &low)).await {
            Ok(held) => held,
            Err(error) => {
                tracing::warn!(%error, account, "ids cannot be compared with those of older cases");
                return low;
            }
        };
        let is_new = |id: &u64| !held.contains(id) && !senseless.contains(id);
        if !known.disordered
            && low.iter().any(is_new)
            && let Err(error) = self.note_disorder(account).await
        {
            tracing::warn!(%error, account, "that ids do not ascend cannot be stored");
        }
        held.into_iter().collect()
    }

    /// Stores that ids of an account do not tell what is older.
    pub(super) async fn note_disorder(&self, account: &str) -> Result<(), StoreError> {
        tracing::warn!(account, "ids of cases do not ascend; where a request's outcome is unknown, a person is asked");
        let ceiling = self.config.push.account_limit;
        let observation =
            Some(AccountObservation { account: account.to_owned(), signal: Signal::IdsDisordered, ceiling });
        self.store.commit(Commit { observation, ..Commit::default() }.into()).await.map(drop)
    }
}
