//! Notes what workers read of cases before they change them, and lets people change cases as well.

use std::collections::BTreeMap;

use serde_json::Value;
use testmo_courier::testmo::WINDOW;
use testmo_sim::{Method, Request, Response};

use super::Testmo;
use crate::diary::lock;
use crate::stage::PERSON;

/// The columns that people edit.
const COLUMNS: [&str; 3] = ["name", "custom_description", "folder_id"];

/// What workers have read of cases, and what they have changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// When a worker was last shown a case, by worker, account and id, in milliseconds since 1970.
    shown_at: BTreeMap<(u64, String, u64), i64>,
    /// When a worker was last shown a case without its history.
    bare_at: BTreeMap<(u64, String, u64), i64>,
    sent: Vec<SentChange>,
}

/// A request that changes a case.
#[derive(Clone, Debug)]
pub(crate) struct SentChange {
    pub(crate) account: String,
    pub(crate) id: u64,
    /// When what the worker knew of the case was read; `None` if it had not read the case.
    pub(crate) read_at: Option<i64>,
    /// Whether every read from which the request may come showed the history of the case.
    pub(crate) knows_history: bool,
    /// The columns that it changes; `None` if it deletes the case.
    columns: Option<Vec<&'static str>>,
}

impl SentChange {
    /// Returns whether the request deletes the case.
    pub(crate) fn deletes(&self) -> bool {
        self.columns.is_none()
    }

    /// Returns whether the request changes a column.
    pub(crate) fn changes(&self, column: &str) -> bool {
        self.columns.as_ref().is_none_or(|columns| columns.contains(&column))
    }
}

impl Testmo {
    /// Has a person change or delete cases.
    pub(crate) fn by_person(&self, account: &str, method: Method, body: &Value) {
        let (target, body) = ("/api/v1/projects/1/cases", body.to_string());
        let token = Some(PERSON.to_owned());
        let request = Request::read(method, target, token, Some("application/json"), body.as_bytes());
        let status = self.commit(account, &request).map(|answer| answer.status);
        self.diary.note(|| format!("a person: {} {body} in {account}: {status:?}", method.name()));
    }

    /// Returns the requests by which workers changed cases.
    pub(crate) fn sent_changes(&self) -> Vec<SentChange> {
        lock(&self.changes).sent.clone()
    }

    /// Notes which cases an answer shows to a worker.
    pub(super) fn note_read(&self, worker: u64, account: &str, request: &Request, answer: Option<&Response>) {
        // What was changed last comes first where it is checked what was overwritten: no request comes of such a read.
        let is_check = request.target().contains("updated_at");
        let is_list = request.method == Method::Get && request.path.ends_with("/cases") && !is_check;
        let Some(answer) = answer.filter(|answer| is_list && answer.status == 200) else { return };
        let now = self.diary.true_time();
        let shown = answer.value();
        let rows = shown["result"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut changes = lock(&self.changes);
        for (row, id) in rows.iter().filter_map(|row| Some((row, row["id"].as_u64()?))) {
            let key = (worker, account.to_owned(), id);
            if row["history"].as_array().is_none_or(Vec::is_empty) {
                changes.bare_at.insert(key.clone(), now);
            }
            changes.shown_at.insert(key, now);
        }
    }

    /// Notes which cases a request changes.
    pub(super) fn note_change(&self, worker: u64, account: &str, request: &Request) {
        if !matches!(request.method, Method::Patch | Method::Delete) {
            return;
        }
        let Some(Value::Array(ids)) = request.field("ids") else { return };
        let columns = (request.method == Method::Patch)
            .then(|| COLUMNS.iter().filter(|column| request.field(column).is_some()).copied().collect());
        let oldest_read = self.diary.true_time() - i64::try_from(WINDOW.as_millis()).unwrap_or(i64::MAX);
        let mut changes = lock(&self.changes);
        for id in ids.iter().filter_map(Value::as_u64) {
            let key = (worker, account.to_owned(), id);
            let read_at = changes.shown_at.get(&key).copied();
            let knows_history = read_at.is_some() && changes.bare_at.get(&key).is_none_or(|at| *at < oldest_read);
            let columns = columns.clone();
            changes.sent.push(SentChange { account: account.to_owned(), id, read_at, knows_history, columns });
        }
    }
}
