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
    /// The reads that showed a case to a worker, by worker, account and id.
    reads: BTreeMap<(u64, String, u64), Vec<Read>>,
    sent: Vec<SentChange>,
}

/// The cases that an answer shows.
#[derive(Debug)]
pub(super) struct Shown {
    /// When the answer was written, in milliseconds since 1970.
    at: i64,
    /// The cases, each with whether its history is shown.
    cases: Vec<(u64, bool)>,
}

/// A read of a case; times are in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
struct Read {
    shown_at: i64,
    /// When the worker had the answer: it may have been frozen meanwhile.
    arrived_at: i64,
    has_history: bool,
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

    /// Notes which cases an answer shows that has just arrived at a worker.
    pub(super) fn note_read(&self, worker: u64, account: &str, shown: Shown) {
        let Shown { at, cases } = shown;
        let (arrived_at, oldest) = (self.diary.true_time(), self.oldest_read());
        let mut changes = lock(&self.changes);
        for (id, has_history) in cases {
            let reads = changes.reads.entry((worker, account.to_owned(), id)).or_default();
            reads.retain(|read| read.arrived_at >= oldest);
            reads.push(Read { shown_at: at, arrived_at, has_history });
        }
    }

    /// Notes which cases a request changes. It may come of any read that arrived within the time that a worker allows itself.
    pub(super) fn note_change(&self, worker: u64, account: &str, request: &Request) {
        if !matches!(request.method, Method::Patch | Method::Delete) {
            return;
        }
        let Some(Value::Array(ids)) = request.field("ids") else { return };
        let columns = (request.method == Method::Patch)
            .then(|| COLUMNS.iter().filter(|column| request.field(column).is_some()).copied().collect());
        let oldest = self.oldest_read();
        let mut changes = lock(&self.changes);
        for id in ids.iter().filter_map(Value::as_u64) {
            let reads = changes.reads.get(&(worker, account.to_owned(), id)).map(Vec::as_slice).unwrap_or_default();
            let recent = || reads.iter().filter(|read| read.arrived_at >= oldest);
            let read_at = recent().map(|read| read.shown_at).min().or_else(|| reads.last().map(|read| read.shown_at));
            let knows_history = recent().next().is_some() && recent().all(|read| read.has_history);
            let columns = columns.clone();
            changes.sent.push(SentChange { account: account.to_owned(), id, read_at, knows_history, columns });
        }
    }

    /// Returns since when a read has arrived of which a request comes that is sent now. A process may be frozen in between for as
    /// long as a worker assumes it.
    fn oldest_read(&self) -> i64 {
        let longest = WINDOW + self.config.claim_margin;
        self.diary.true_time() - i64::try_from(longest.as_millis()).unwrap_or(i64::MAX)
    }
}

impl Shown {
    /// Returns the cases that an answer shows, if it is a list of cases.
    pub(super) fn of(request: &Request, answer: Option<&Response>, at: i64) -> Option<Self> {
        // What was changed last comes first where it is checked what was overwritten: no request comes of such a read.
        let is_check = request.target().contains("updated_at");
        let is_list = request.method == Method::Get && request.path.ends_with("/cases") && !is_check;
        let shown = answer.filter(|answer| is_list && answer.status == 200)?.value();
        let rows = shown["result"].as_array().map(Vec::as_slice).unwrap_or_default();
        let has_history = |row: &Value| row["history"].as_array().is_some_and(|history| !history.is_empty());
        let cases = rows.iter().filter_map(|row| Some((row["id"].as_u64()?, has_history(row)))).collect();
        Some(Self { at, cases })
    }
}
