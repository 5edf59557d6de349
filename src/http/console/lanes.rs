//! Pages: shows what waits and what is paused, and pauses, resumes and limits lanes.

use askama::Template;

use super::super::admin::problem::{Code, Problem};
use super::answer::Answer;
use super::filters;
use super::frame::Frame;
use super::moment::Moment;
use super::notice::Notice;
use super::route::{Access, Route};
use super::steps::in_path;
use super::visit::Visit;
use crate::app::actor::Role;
use crate::app::lanes::{Closure, LaneOrder, LaneSelector, MOST_REQUESTS, Ordered, order, overrides};
use crate::app::plural::counted;
use crate::app::time::relative;
use crate::app::view::sent_when;
use crate::app::waits;

/// How many groups of what waits are shown.
const MOST_GROUPS: usize = 50;

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "lanes",
        path: "/lanes",
        access: Access::Person(Role::Operator),
        handler: |visit| Box::pin(list(visit)),
        ..Route::SHOW
    },
    Route {
        id: "pauseLane",
        path: "/lanes/pause",
        form: &["lane", "because"],
        handler: |visit| Box::pin(ordered(visit, LaneOrder::Pause)),
        ..Route::ACT
    },
    Route {
        id: "resumeLane",
        path: "/lanes/resume",
        form: &["lane", "because", "now"],
        handler: |visit| Box::pin(resume(visit)),
        ..Route::ACT
    },
    Route {
        id: "limitLane",
        path: "/lanes/limit",
        form: &["lane", "because", "requests"],
        handler: |visit| Box::pin(limit(visit)),
        ..Route::ACT
    },
];

/// What is ordered for lanes, and what waits.
#[derive(Template)]
#[template(path = "lanes.html")]
struct Lanes {
    frame: Frame,
    orders: Vec<OrderLine>,
    waits: Vec<WaitLine>,
    is_more: bool,
    requests: Vec<(String, String, u64, u64)>,
}

struct OrderLine {
    lane: String,
    is_paused: bool,
    limit: Option<u32>,
}

struct WaitLine {
    tenant: String,
    account: String,
    reason: &'static str,
    batches: u64,
    oldest: Moment,
    when: String,
}

async fn list(visit: Visit) -> Result<Answer, Problem> {
    let store = visit.store();
    let mut orders = overrides(store).await?;
    let reach = visit.reach()?;
    orders.retain(|order| reach.may_know_lane(&order.lane));
    // What waits is counted over all tenants.
    let waits = if reach.is_all() { Some(waits::read(store, MOST_GROUPS).await?) } else { None };
    let line = |waiting: &waits::Waiting| WaitLine {
        tenant: waiting.group.tenant.as_ref().map_or_else(|| "not known".into(), ToString::to_string),
        account: waiting.account.clone().unwrap_or_default(),
        reason: waiting.group.reason.map_or("unknown", |reason| reason.title()),
        batches: waiting.group.count,
        oldest: visit.at(waiting.group.oldest),
        when: sent_when(&waiting.wait, visit.now),
    };
    let page = Lanes {
        frame: Frame { live: 5, ..visit.frame("/lanes", "Lanes", "testmo-courier lanes waiting") },
        orders: orders
            .iter()
            .map(|order| OrderLine { lane: order.lane.name().to_owned(), is_paused: order.paused, limit: order.most })
            .collect(),
        waits: waits.iter().flat_map(|waits| &waits.groups).map(line).collect(),
        is_more: waits.as_ref().is_some_and(|waits| waits.is_more),
        requests: waits
            .iter()
            .flat_map(|waits| &waits.requests)
            .map(|open| (open.account.clone(), open.tenant.clone(), open.requests, open.cases))
            .collect(),
    };
    Answer::page(200, &page)
}

async fn resume(visit: Visit) -> Result<Answer, Problem> {
    // An account is shared by tenants, so what Testmo asked for is not for one of them to end.
    let now = visit.form.has("now") && visit.reach()?.is_all();
    ordered(visit, LaneOrder::Resume { now }).await
}

async fn limit(visit: Visit) -> Result<Answer, Problem> {
    let requests: Option<u32> = visit.form.parsed("requests")?;
    if requests.is_some_and(|requests| !(1..=MOST_REQUESTS).contains(&requests)) {
        let why = format!("Write a number of requests from 1 to {MOST_REQUESTS}, or nothing.");
        return Err(Problem::parameter(Code::InvalidBody, "requests", why));
    }
    ordered(visit, LaneOrder::Limit(requests)).await
}

async fn ordered(visit: Visit, what: LaneOrder) -> Result<Answer, Problem> {
    let lane = visit.form.text("lane").unwrap_or_default();
    visit.reach()?.check_lane(lane)?;
    let policy = &visit.context().config.testmo;
    let ordered = order(visit.store(), visit.actor()?, policy, lane, what, visit.because()).await?;
    let back = match &ordered.order.lane {
        LaneSelector::Tenant(tenant) => format!("/tenants/{}", in_path(tenant.as_str())),
        LaneSelector::Account(_) => "/lanes".to_owned(),
    };
    Ok(visit.go(&back, &said(&ordered, what, visit.now)))
}

/// Says what was ordered, and what keeps batches from being sent all the same.
fn said(ordered: &Ordered, what: LaneOrder, now: i64) -> Notice {
    let lane = ordered.order.lane.name();
    let mut text = match what {
        LaneOrder::Pause => format!("{lane} is paused: nothing is sent, and nothing is lost."),
        LaneOrder::Resume { .. } => format!("{lane} is resumed."),
        LaneOrder::Limit(Some(most)) => {
            let most = counted(usize::try_from(most).unwrap_or(usize::MAX), "request is", "requests are");
            format!("At most {most} sent at once over {lane}.")
        }
        LaneOrder::Limit(None) => format!("{lane} has no limit any more."),
    };
    if ordered.opened {
        text += " The pause that Testmo had asked for is ended, too.";
    }
    if let Some(waiting) = ordered.waiting.filter(|waiting| waiting.batches > 0) {
        let many = if waiting.is_more { "or more batches wait" } else { "batches wait" };
        text += &format!(" {} to be sent automatically.", counted(waiting.batches, "batch waits", many));
    }
    let why = |closure: &Closure| match closure {
        Closure::RateLimited(account, until) => {
            format!("Testmo asked {account} for a pause, which ends {}", relative(*until, now))
        }
        Closure::Failing(account, until) => format!("{account} fails, and is tried again {}", relative(*until, now)),
        Closure::Paused(other) => format!("{} is still paused", other.name()),
        Closure::Unverified(tenant) => format!("the connection of {tenant} does not work"),
    };
    if ordered.closed.is_empty() {
        return Notice::good(text);
    }
    let closed: Vec<String> = ordered.closed.iter().map(why).collect();
    Notice::mixed(format!("{text} Nothing is sent yet: {}.", closed.join("; ")))
}
