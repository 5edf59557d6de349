//! Checks that each request that creates no cases has a permit of its own.

use testmo_sim::Request;

use super::{Testmo, host_of};
use crate::diary::lock;
use crate::store::tables::{Permitted, RateLimitPause};

impl Testmo {
    /// Checks that a request has a permit that was given to this worker for the account, that no request before used,
    /// and that was not given during a rate-limit pause of the account.
    pub(super) fn check_permit(&self, worker: u64, account: &str, request: &Request) {
        let wrong = self.store.at_once(|tables, _| {
            let fits = |permit: &Permitted| permit.to == worker && !permit.used && host_of(&permit.account) == account;
            let Some(index) = tables.permits.iter().rposition(fits) else { return Some("without a permit".to_owned()) };
            tables.permits[index].used = true;
            let permit = &tables.permits[index];
            let covers = |pause: &RateLimitPause| {
                pause.account == permit.account && pause.permits_before <= index && permit.at < pause.until
            };
            let pause = tables.rate_limit_pauses.iter().find(|pause| covers(pause))?;
            Some(format!("by a permit of {}, while nothing was to be sent before {}", permit.at, pause.until))
        });
        if let Some(how) = wrong {
            let method = request.method.name();
            lock(&self.broken).push(format!("w{worker} sent {method} {} to {account} {how}", request.path));
        }
    }
}
