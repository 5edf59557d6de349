//! Lets a Rust test create, read and disturb an account.

use std::sync::Arc;

use super::clock::now;
use super::shared::Shared;
use crate::faults::{RateLimit, Rule};
use crate::model::{Case, Role, Settings};
use crate::world::{AccountSpec, AccountView, CaseView, RequestRecord, SpecError, Station};

/// One account of a running server, by name.
///
/// Methods other than [`create`](Self::create) panic if the account does not exist, because the calling test is wrong.
#[derive(Clone, Debug)]
pub struct AccountHandle {
    shared: Arc<Shared>,
    name: String,
}

impl AccountHandle {
    pub(crate) fn new(shared: Arc<Shared>, name: &str) -> Self {
        Self { shared, name: name.to_owned() }
    }

    /// Creates the account, or replaces it.
    pub fn create(&self, spec: AccountSpec) -> Result<AccountView, SpecError> {
        let mut world = self.shared.world();
        let station = world.put(&self.name, spec, now())?;
        Ok(station.view(&self.name))
    }

    /// Reads or changes the account, under the server's lock: requests wait meanwhile.
    pub fn with<T>(&self, look: impl FnOnce(&mut Station) -> T) -> T {
        let mut world = self.shared.world();
        let station = world.station_mut(&self.name);
        let seen = look(station.expect("the account was created before"));
        drop(world);
        self.shared.changed.notify_waiters();
        seen
    }

    /// Returns everything but cases and requests.
    pub fn view(&self) -> AccountView {
        self.with(|station| station.view(&self.name))
    }

    /// Returns every case, in order of ids.
    pub fn cases(&self) -> Vec<CaseView> {
        self.with(|station| station.case_views())
    }

    /// Returns the names of all cases, in order of ids.
    pub fn case_names(&self) -> Vec<String> {
        self.with(|station| station.account.cases.iter().map(|case| case.name.clone()).collect())
    }

    /// Returns every remembered request, in order of arrival.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.with(|station| station.log.iter().cloned().collect())
    }

    /// Replaces all faults.
    pub fn set_faults(&self, rules: impl IntoIterator<Item = Rule>) {
        let rules = rules.into_iter().collect();
        self.with(|station| station.faults.set(rules));
    }

    /// Adds a fault after the others.
    pub fn add_fault(&self, rule: Rule) {
        self.with(|station| station.faults.add(rule));
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.set_faults([]);
    }

    /// Throttles the account from now on.
    pub fn set_rate_limit(&self, limit: RateLimit) {
        self.with(|station| station.set_rate_limit(Some(limit), now()));
    }

    /// Ends throttling.
    pub fn clear_rate_limit(&self) {
        self.with(|station| station.set_rate_limit(None, now()));
    }

    /// Changes the settings in place.
    pub fn change_settings(&self, change: impl FnOnce(&mut Settings)) {
        self.with(|station| change(&mut station.account.settings));
    }

    /// Revokes a user's key. Returns whether the user exists.
    pub fn revoke(&self, user_id: u64) -> bool {
        self.with(|station| station.account.revoke_key(user_id))
    }

    /// Gives a user this key; the old key stops working. Returns whether the user exists.
    pub fn give_key(&self, user_id: u64, token: &str) -> bool {
        let wish = Some(token.to_owned());
        self.with(|station| station.account.renew_key(user_id, wish).is_some())
    }

    /// Changes what a user may do. Returns whether the user exists.
    pub fn set_role(&self, user_id: u64, role: Role) -> bool {
        self.with(|station| station.account.user_mut(user_id).map(|user| user.role = role).is_some())
    }

    /// Creates a folder in another one, as a person does. Returns its id.
    pub fn create_folder(&self, project_id: u64, parent_id: u64, name: &str) -> u64 {
        self.with(|station| station.account.add_folder(project_id, name, Some(parent_id), None, None, None))
    }

    /// Creates a folder at the root of a project, as a person does. Returns its id.
    pub fn create_root_folder(&self, project_id: u64, name: &str) -> u64 {
        self.with(|station| station.account.add_folder(project_id, name, None, None, None, None))
    }

    /// Removes a folder with everything in it. Returns whether the folder existed.
    pub fn delete_folder(&self, id: u64) -> bool {
        self.with(|station| station.account.remove_folder(id))
    }

    /// Resets the account to its state before any case was created, ids included, as after an old backup was restored.
    pub fn forget_cases(&self) {
        self.with(|station| station.account.forget_cases());
    }

    /// Gives the next new case this id, which may be lower than those of older cases.
    pub fn set_next_case_id(&self, id: u64) {
        self.with(|station| station.account.last_ids.case = id.saturating_sub(1));
    }

    /// Changes a case as a person does. Returns whether the case existed.
    pub fn change_case(&self, id: u64, change: impl FnOnce(&mut Case)) -> bool {
        self.with(|station| {
            let now = now().plus(station.account.settings.clock_skew_ms);
            station.account.change_by_person(id, change, now)
        })
    }

    /// Removes a case, as a person does. Returns whether the case existed.
    pub fn delete_case(&self, id: u64) -> bool {
        self.with(|station| station.account.cases.remove(id).is_some())
    }

    /// Removes a project with everything in it. Returns whether the project existed.
    pub fn delete_project(&self, id: u64) -> bool {
        self.with(|station| station.account.remove_project(id))
    }

    /// Waits until the account is in a certain state, which is checked whenever a request arrives or ends.
    pub async fn until(&self, is_reached: impl Fn(&Station) -> bool) {
        loop {
            let mut change = std::pin::pin!(self.shared.changed.notified());
            change.as_mut().enable();
            if self.peek(&is_reached) {
                return;
            }
            change.await;
        }
    }

    /// Waits until at least `count` remembered requests match, and returns those that do.
    pub async fn requests_matching(
        &self,
        is_wanted: impl Fn(&RequestRecord) -> bool,
        count: usize,
    ) -> Vec<RequestRecord> {
        let matches = |station: &Station| station.log.iter().filter(|r| is_wanted(r)).count();
        self.until(|station| matches(station) >= count).await;
        self.requests().into_iter().filter(|record| is_wanted(record)).collect()
    }

    fn peek(&self, is_reached: impl Fn(&Station) -> bool) -> bool {
        self.shared.world().station(&self.name).is_some_and(is_reached)
    }
}
