//! Shows what waits to programs.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::time::{relative, rfc3339};
use super::super::waits::{MOST_READ, OpenRequests, Wait, Waiting, Waits};
use crate::store::accounts::LaneSelector;

/// What waits, over all workers.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct WaitsView {
    waiting: Vec<WaitingView>,
    more: bool,
    paused: Vec<String>,
    requests: Vec<OpenRequestsView>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WaitingView {
    tenant_id: Option<String>,
    account: Option<String>,
    reason: &'static str,
    batches: u64,
    more: bool,
    oldest_arrived_at: Option<String>,
    waits_for: &'static str,
    until: Option<String>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct OpenRequestsView {
    account: String,
    tenant_id: String,
    requests: u64,
    cases: u64,
    lease_until: Option<String>,
}

impl WaitsView {
    /// Shows what waits.
    pub fn of(waits: &Waits) -> Self {
        let request = |open: &OpenRequests| OpenRequestsView {
            account: open.account.clone(),
            tenant_id: open.tenant.clone(),
            requests: open.requests,
            cases: open.cases,
            lease_until: rfc3339(open.lease_until),
        };
        Self {
            waiting: waits.groups.iter().map(waiting).collect(),
            more: waits.is_more,
            paused: waits.paused.iter().map(|lane| lane.name().to_owned()).collect(),
            requests: waits.requests.iter().map(request).collect(),
        }
    }
}

fn waiting(Waiting { group, account, wait }: &Waiting) -> WaitingView {
    let (waits_for, until) = match wait {
        Wait::Person(_) => ("person", None),
        Wait::Connection => ("connection", None),
        Wait::Room => ("room", None),
        Wait::RateLimit(until) => ("rate_limit", Some(*until)),
        Wait::Testmo(until) => ("testmo", Some(*until)),
        Wait::Worker(until) => ("worker", Some(*until)),
        Wait::Time(until) => ("time", Some(*until)),
    };
    WaitingView {
        tenant_id: group.tenant.as_ref().map(ToString::to_string),
        account: account.clone(),
        reason: group.reason.map_or("unknown", |reason| reason.code()),
        batches: group.count.min(MOST_READ - 1),
        more: group.count >= MOST_READ,
        oldest_arrived_at: rfc3339(group.oldest),
        waits_for,
        until: until.and_then(rfc3339),
    }
}

/// Says when batches are sent that wait for this.
pub fn sent_when(wait: &Wait, now: i64) -> String {
    match wait {
        Wait::Person(lane) => {
            let paused = if matches!(lane, LaneSelector::Tenant(_)) { "the tenant" } else { "the account" };
            format!("when a person resumes {paused}: lanes resume {}", lane.name())
        }
        Wait::RateLimit(until) => format!("after the pause that Testmo asked for: {}", relative(*until, now)),
        Wait::Testmo(until) => format!("when Testmo works again; tried {}", relative(*until, now)),
        Wait::Connection => "when the connection is fixed".into(),
        Wait::Worker(until) => format!("by the worker that has it; by another one {}", relative(*until, now)),
        Wait::Time(until) => relative(*until, now),
        Wait::Room => "as soon as there is room".into(),
    }
}
