//! Records on one clock what was done and noticed, and what the stand-in received.

use std::sync::{Arc, Mutex, PoisonError};

use testmo_courier::clock::Clock;
use testmo_sim::world::RequestRecord;

/// Notes with their times; clones share the notes.
#[derive(Clone)]
pub(crate) struct Timeline {
    clock: Clock,
    began_at: i64,
    notes: Arc<Mutex<Vec<(i64, String)>>>,
}

impl Timeline {
    pub(crate) fn begin() -> Self {
        let clock = Clock::system();
        Self { began_at: clock.now(), clock, notes: Arc::default() }
    }

    /// Returns the time in milliseconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        self.clock.now()
    }

    pub(crate) fn note(&self, what: impl Into<String>) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push((self.now(), what.into()));
    }

    /// Returns all notes in order, with the requests that the accounts received.
    pub(crate) fn told(&self, seen: &[(&str, Vec<RequestRecord>)]) -> String {
        let mut all = self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (account, requests) in seen {
            all.extend(requests.iter().map(|request| (request.received_at.0, request_line(account, request))));
        }
        all.sort_by_key(|(at, _)| *at);
        let line = |(at, what): (i64, String)| format!("  {:>6} ms  {what}\n", at - self.began_at);
        all.into_iter().map(line).collect()
    }
}

fn request_line(account: &str, request: &RequestRecord) -> String {
    let path = request.path.split('?').next().unwrap_or_default().trim_start_matches("/api/v1");
    let mut line = format!("    {account} {:?} {path}", request.method);
    if let (Some(first), Some(last)) = (request.case_names.first(), request.case_names.last()) {
        line += &format!(" {first:?} … {last:?} ({})", request.case_names.len());
    }
    line += &match (request.status, request.is_cut) {
        (Some(status), false) => format!(" → {status}"),
        (Some(status), true) => format!(" → {status}, cut"),
        (None, true) => " → cut".to_owned(),
        (None, false) => " → nobody took the answer".to_owned(),
    };
    if let Some(answered) = request.answered_at {
        line += &format!(" after {} ms", answered.0 - request.received_at.0);
    }
    if let (Some(first), Some(last)) = (request.created.first(), request.created.last()) {
        line += &format!(", made {first} to {last}");
    }
    line
}
