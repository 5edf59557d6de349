//! Checks every rule of the API, one file per resource; the desk below sends requests without HTTP.

mod access;
mod case_changes;
mod case_creation;
mod case_listing;
mod custom_fields;
mod folders;
mod histories;
mod paging;
mod projects;
mod properties;

use serde_json::{Value, json};

use crate::model::{Account, Role, Settings};
use crate::request::{Method, Request};
use crate::response::Response;
use crate::time::Time;
use crate::world::{AccountSpec, FolderSpec, ProjectSpec, UserSpec, World};

/// An account and a user who calls it. Its time changes only when a test changes it.
pub(super) struct Desk {
    pub(super) world: World,
    pub(super) token: &'static str,
    pub(super) now: Time,
}

/// Returns a desk with users 1 (admin), 2 (write), 3 (read); project 3 for all with folders 10 > 11 and 12, project 4
/// for user 1 only.
pub(super) fn desk() -> Desk {
    let user = |(id, token, role): (u64, &str, Role)| UserSpec {
        id: Some(id),
        name: format!("{token} bot"),
        token: token.to_owned(),
        role,
    };
    let folder = |id: u64, name: &str, folders| FolderSpec { id: Some(id), name: name.into(), folders };
    let folders = vec![folder(10, "Login", vec![folder(11, "Codes", Vec::new())]), folder(12, "Shop", Vec::new())];
    let open = ProjectSpec { id: Some(3), name: "Open".into(), folders, ..ProjectSpec::default() };
    let closed = ProjectSpec {
        id: Some(4),
        name: "Closed".into(),
        users: Some(vec![1]),
        folders: vec![folder(20, "Secret", Vec::new())],
        ..ProjectSpec::default()
    };
    let users = [(1, "admin", Role::Admin), (2, "write", Role::Write), (3, "read", Role::Read)];
    let spec = AccountSpec {
        users: users.map(user).to_vec(),
        projects: vec![open, closed],
        first_case_id: Some(101),
        ..AccountSpec::default()
    };
    let now = Time::parse("2026-07-31T09:32:21.067Z").unwrap();
    let mut world = World::default();
    world.put("acme", spec, now).unwrap();
    Desk { world, token: "write", now }
}

impl Desk {
    pub(super) fn send(&mut self, request: Request) -> Response {
        self.world.handle("acme", &request.bearing(self.token), self.now)
    }

    pub(super) fn get(&mut self, below: &str) -> Response {
        self.send(Request::get(below))
    }

    pub(super) fn post(&mut self, below: &str, body: Value) -> Response {
        self.send(Request::with_json(Method::Post, below, &body))
    }

    pub(super) fn patch(&mut self, below: &str, body: Value) -> Response {
        self.send(Request::with_json(Method::Patch, below, &body))
    }

    pub(super) fn delete(&mut self, below: &str, body: Value) -> Response {
        self.send(Request::with_json(Method::Delete, below, &body))
    }

    /// Creates cases in project 3.
    pub(super) fn create(&mut self, cases: Value) -> Response {
        self.post("/projects/3/cases", json!({ "cases": cases }))
    }

    /// Creates cases with these names in folder 10.
    pub(super) fn create_named(&mut self, names: &[&str]) -> Vec<u64> {
        let case = |name: &&str| json!({ "name": name, "folder_id": 10 });
        self.create(names.iter().map(case).collect()).created
    }

    /// Returns the names of a list's rows.
    pub(super) fn names(&mut self, below: &str) -> Vec<String> {
        column(&self.get(below), "name")
    }

    pub(super) fn account(&mut self) -> &mut Account {
        &mut self.world.station_mut("acme").unwrap().account
    }

    pub(super) fn settings(&mut self) -> &mut Settings {
        &mut self.account().settings
    }
}

/// Returns one column of the rows, as text.
pub(super) fn column(response: &Response, key: &str) -> Vec<String> {
    let value = response.value();
    let rows = value["result"].as_array().unwrap_or_else(|| panic!("no rows in {value}"));
    rows.iter().map(|row| row[key].as_str().map_or(row[key].to_string(), str::to_owned)).collect()
}

/// Returns the keys of a refusal's `errors`.
pub(super) fn fault_keys(response: &Response) -> Vec<String> {
    let value = response.value();
    value["errors"].as_object().map_or(Vec::new(), |errors| errors.keys().cloned().collect())
}
