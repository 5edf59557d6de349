//! Records a request of one account, lets it take effect, and records its end.
//!
//! These are three steps because time may pass between them, and because the second step happens even if the caller has
//! gone.

use super::log::{KeyUse, Log, RequestRecord};
use crate::faults::{Course, Delivery, Faults, RateLimit};
use crate::model::Account;
use crate::request::Request;
use crate::response::Response;
use crate::time::Time;

/// An account with its ordered faults and the record of its requests.
#[derive(Clone, Debug, Default)]
pub struct Station {
    /// The content of the account.
    pub account: Account,
    /// The ordered faults.
    pub faults: Faults,
    /// The record of the requests.
    pub log: Log,
}

/// A request in flight.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// The number of its record.
    pub seq: u64,
    /// The steps of the request.
    pub course: Course,
}

impl Station {
    /// Records a request that arrived, and decides its course.
    pub fn begin(&mut self, request: &Request, now: Time) -> Ticket {
        let latency_ms = self.account.settings.latency_ms;
        let course = self.faults.course(request, latency_ms, self.local(now));
        let record = self.record(request, &course, now);
        let seq = self.log.push(record, self.account.settings.record_limit);
        Ticket { seq, course }
    }

    /// Lets a request take effect, unless its course says otherwise. Returns the honest answer.
    pub fn commit(&mut self, request: &Request, ticket: &Ticket, now: Time) -> Option<Response> {
        if !ticket.course.reaches_model {
            return None;
        }
        let honest = self.account.handle(request, now);
        if let Some(record) = self.log.get_mut(ticket.seq) {
            record.is_committed = honest.committed;
            record.created.clone_from(&honest.created);
        }
        Some(honest)
    }

    /// Records what was sent.
    pub fn finish(&mut self, ticket: &Ticket, delivery: &Delivery, now: Time) {
        let Some(record) = self.log.get_mut(ticket.seq) else { return };
        record.answered_at = Some(now);
        match delivery {
            Delivery::Whole(response) => record.status = Some(response.status),
            Delivery::Half(response) => {
                record.status = Some(response.status);
                record.is_cut = true;
            }
            Delivery::Nothing => record.is_cut = true,
        }
    }

    /// Records that the caller had gone before the answer.
    pub fn abandon(&mut self, ticket: &Ticket, now: Time) {
        if let Some(record) = self.log.get_mut(ticket.seq) {
            record.answered_at = Some(now);
            record.status = None;
            record.is_abandoned = true;
        }
    }

    /// Throttles the account from now on, or ends throttling.
    pub fn set_rate_limit(&mut self, limit: Option<RateLimit>, now: Time) {
        self.faults.limit(limit, self.local(now));
    }

    /// Returns the time on the account's own clock.
    fn local(&self, now: Time) -> Time {
        now.plus(self.account.settings.clock_skew_ms)
    }

    fn record(&self, request: &Request, course: &Course, now: Time) -> RequestRecord {
        let token = request.token.as_deref();
        let user = token.and_then(|token| self.account.user_of(token));
        let key = match (token, user) {
            (None, _) => KeyUse::Absent,
            (Some(_), None) => KeyUse::Unknown,
            (Some(_), Some(_)) => KeyUse::Known,
        };
        RequestRecord {
            seq: 0,
            received_at: now,
            answered_at: None,
            method: request.method,
            path: request.target().to_owned(),
            key,
            user: user.map(|user| user.name.clone()),
            case_names: request.case_names(),
            ids: request.ids(),
            columns: request.columns(),
            status: None,
            is_cut: false,
            is_abandoned: false,
            is_committed: false,
            created: Vec::new(),
            fault: course.fault.clone(),
            is_throttled: course.is_throttled,
            traceparent: request.traceparent.clone(),
        }
    }
}
