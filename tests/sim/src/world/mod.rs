//! Holds the accounts and the records of their requests, as values that are used with or without HTTP.

mod log;
mod spec;
mod station;
mod view;

use std::collections::BTreeMap;

pub use log::{KeyUse, Log, RequestRecord};
pub use spec::{AccountSpec, FolderSpec, ProjectSpec, SpecError, UserSpec};
pub use station::{Station, Ticket};
pub use view::{AccountView, CaseView, FolderView, ProjectView, UserView};

use crate::request::Request;
use crate::response::Response;
use crate::time::Time;

/// Accounts by name.
#[derive(Clone, Debug, Default)]
pub struct World {
    stations: BTreeMap<String, Station>,
}

impl World {
    /// Creates an account, or replaces the one with this name.
    pub fn put(&mut self, name: &str, spec: AccountSpec, now: Time) -> Result<&mut Station, SpecError> {
        let station = spec.build(now)?;
        self.stations.insert(name.to_owned(), station);
        self.station_mut(name).ok_or(SpecError::Lost)
    }

    /// Returns the names of all accounts.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.stations.keys().map(String::as_str)
    }

    /// Returns the account with this name.
    pub fn station(&self, name: &str) -> Option<&Station> {
        self.stations.get(name)
    }

    /// Returns the account with this name, to change it.
    pub fn station_mut(&mut self, name: &str) -> Option<&mut Station> {
        self.stations.get_mut(name)
    }

    /// Removes an account. Returns whether the account existed.
    pub fn remove(&mut self, name: &str) -> bool {
        self.stations.remove(name).is_some()
    }

    /// Answers a request at once and honestly, without faults and without a record.
    pub fn handle(&mut self, name: &str, request: &Request, now: Time) -> Response {
        let station = self.stations.get_mut(name);
        station.map_or_else(no_such_account, |station| station.account.handle(request, now))
    }
}

/// Returns 404 of an account that does not exist.
pub(crate) fn no_such_account() -> Response {
    Response::message(404, "There is no such account.")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::faults::{CommitTime, Delivery, Fault, Rule};
    use crate::request::Method;

    /// Returns a world with the account `acme`, and a request that creates one case there.
    fn acme() -> (World, Request) {
        let mut world = World::default();
        world.put("acme", AccountSpec::with_one_folder("key"), Time(0)).unwrap();
        let cases = json!({ "cases": [{ "name": "a", "folder_id": 1 }] });
        let request = Request::with_json(Method::Post, "/projects/1/cases", &cases);
        (world, request.bearing("key"))
    }

    #[test]
    fn a_request_can_be_walked_without_http() {
        let (mut world, request) = acme();
        let station = world.station_mut("acme").unwrap();
        station.faults.add(Rule::always(Fault::Slow { ms: 9_000, commit: CommitTime::AfterDelay }));
        let ticket = station.begin(&request, Time(1_000));
        assert_eq!((ticket.course.before_commit_ms, station.case_views().len()), (9_000, 0));
        let honest = station.commit(&request, &ticket, Time(10_000));
        let delivery = ticket.course.deliver(honest);
        station.finish(&ticket, &delivery, Time(10_000));
        assert!(matches!(delivery, Delivery::Whole(Response { status: 201, .. })));
        let record = station.log.iter().next().unwrap();
        assert_eq!((record.received_at, record.answered_at), (Time(1_000), Some(Time(10_000))));
        assert_eq!(station.case_views()[0].created_at_ms, Time(10_000));
    }

    #[test]
    fn accounts_are_apart() {
        let (mut world, request) = acme();
        world.put("other", AccountSpec::with_one_folder("key"), Time(0)).unwrap();
        assert_eq!(world.handle("acme", &request, Time(0)).status, 201);
        assert_eq!(world.handle("nobody", &request, Time(0)).status, 404);
        let held = |name| world.station(name).map(|station| station.case_views().len());
        assert_eq!((held("acme"), held("other")), (Some(1), Some(0)));
    }

    #[test]
    fn an_order_that_contradicts_itself_is_refused() {
        let base = AccountSpec::with_one_folder("key");
        let mut users = base.clone();
        users.users.push(UserSpec { id: Some(2), ..base.users[0].clone() });
        let mut folders = base.clone();
        folders.projects[0].folders.push(base.projects[0].folders[0].clone());
        let mut templates = base;
        let text = json!([{ "id": 1, "name": "T", "columns": ["custom_x"] }]);
        templates.templates = serde_json::from_value(text).unwrap();
        for (spec, error) in [
            (users, SpecError::RepeatedToken),
            (folders, SpecError::RepeatedId("folder", 1)),
            (templates, SpecError::UnknownColumn("T".into(), "custom_x".into())),
        ] {
            assert_eq!(World::default().put("acme", spec, Time(0)).err(), Some(error));
        }
    }
}
