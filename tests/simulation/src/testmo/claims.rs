//! Checks that each request that creates cases has a claim of its own, for exactly these cases.

use serde_json::Value;
use testmo_courier::batch::{BatchKey, batch_tag, is_batch_tag};
use testmo_sim::Request;

use super::{Testmo, host_of};
use crate::diary::lock;
use crate::stage::is_key_of;
use crate::store::tables::{Grant, RateLimitPause, Share};

impl Testmo {
    /// Checks that a case create request has a claim that was granted to this worker for exactly these cases, that has
    /// not expired, and that was not granted during a rate-limit pause of the account.
    pub(super) fn check_claim(&self, worker: u64, account: &str, request: &Request) {
        let now = self.diary.now();
        let wrong = self.store.at_once(|tables, _| {
            let fits = |grant: &Grant| {
                grant.to == worker && !grant.used && host_of(&grant.account) == account && is_for(grant, request)
            };
            let Some(index) = tables.grants.iter().rposition(fits) else { return Some("without a claim".to_owned()) };
            tables.grants[index].used = true;
            let grant = &tables.grants[index];
            let covers = |pause: &RateLimitPause| {
                pause.account == grant.account && pause.grants_before <= index && grant.at < pause.until
            };
            if grant.lease_until <= now {
                return Some(format!("whose claim of {} had run out at {}", grant.at, grant.lease_until));
            }
            let pause = tables.rate_limit_pauses.iter().find(|pause| covers(pause))?;
            Some(format!("by a claim of {}, while nothing was to be sent before {}", grant.at, pause.until))
        });
        if let Some(how) = wrong {
            let names = request.case_names();
            lock(&self.broken).push(format!("w{worker} sent {names:?} to {account} {how}"));
        }
    }
}

/// Returns whether a claim covers exactly the cases of a request: the key belongs to the batches' tenant, each batch
/// has as many cases, in order, each case is in its folder, and a batch tag, if there is one, is that of the right
/// batch.
fn is_for(grant: &Grant, request: &Request) -> bool {
    let Some(Value::Array(sent)) = request.field("cases") else { return false };
    let cases_of =
        |share: &'_ Share| share.folders.iter().map(|folder| (share.batch.clone(), *folder)).collect::<Vec<_>>();
    let claimed: Vec<(BatchKey, u64)> = grant.shares.iter().flat_map(cases_of).collect();
    let key_is = |batch: &BatchKey| request.token.as_deref().is_some_and(|key| is_key_of(batch.tenant.as_str(), key));
    let by = |(batch, _): &(BatchKey, u64)| key_is(batch);
    let is_of = |((batch, folder), case): (&(BatchKey, u64), &Value)| {
        let is_mine = |tag: &Value| tag.as_str().is_none_or(|tag| !is_batch_tag(tag) || tag == batch_tag(batch));
        let marks = case["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
        case["folder_id"].as_u64() == Some(*folder) && marks.iter().all(is_mine)
    };
    claimed.len() == sent.len() && claimed.iter().all(by) && claimed.iter().zip(sent).all(is_of)
}
