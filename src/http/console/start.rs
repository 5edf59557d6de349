//! Page: what needs attention, and how it went lately.

use askama::Template;

use super::super::admin::problem::Problem;
use super::answer::Answer;
use super::cause::CauseLine;
use super::filters;
use super::frame::Frame;
use super::moment::grouped;
use super::plot::{SpanPlots, plots};
use super::remarks::worded;
use super::route::Route;
use super::steps::{Way, in_path};
use super::visit::Visit;
use crate::app::attention::attention;
use crate::app::connections::{ConnectionRow, Status};
use crate::app::trend::trend;

/// How many causes are listed, and how many tenants that are not green: the first page stays small.
const MOST_CAUSES: usize = 20;
const MOST_TENANTS: usize = 10;

pub(super) const ROUTES: &[Route] =
    &[Route { id: "start", path: "/", handler: |visit| Box::pin(show(visit)), ..Route::SHOW }];

/// The start page.
#[derive(Template)]
#[template(path = "start.html")]
struct Start {
    frame: Frame,
    causes: Vec<CauseLine>,
    /// How many further causes there are.
    more_causes: usize,
    tenants: Vec<TenantLine>,
    /// How many further tenants are not green.
    more_tenants: usize,
    paused: Vec<String>,
    delivered: String,
    /// How it went lately, for those who see all tenants.
    trend: Option<[SpanPlots; 2]>,
}

/// A tenant that is not green.
struct TenantLine {
    tenant: String,
    address: String,
    light: &'static str,
    remarks: Vec<String>,
}

async fn show(visit: Visit) -> Result<Answer, Problem> {
    let attention = attention(visit.store(), visit.reach()?.own()).await?;
    let frame = Frame { live: 5, ..visit.frame("/", "Needs attention", "testmo-courier attention") };
    let causes = attention.causes.iter().take(MOST_CAUSES);
    let line = |(row, status): &(ConnectionRow, Status)| TenantLine {
        tenant: row.tenant.to_string(),
        address: format!("/tenants/{}", in_path(row.tenant.as_str())),
        light: status.light.name(),
        remarks: worded(&status.remarks),
    };
    let trend = if frame.sees_all() { Some(plots(&trend(visit.store()).await?)) } else { None };
    let count = grouped(attention.delivered.batches);
    let page = Start {
        causes: causes.map(|cause| CauseLine::of(&cause.group, &frame, visit.now)).collect(),
        more_causes: attention.causes.len().saturating_sub(MOST_CAUSES),
        tenants: attention.connections.iter().take(MOST_TENANTS).map(line).collect(),
        more_tenants: attention.connections.len().saturating_sub(MOST_TENANTS),
        paused: attention.paused.iter().map(|lane| lane.name().to_owned()).collect(),
        trend,
        delivered: if attention.delivered.is_all { count } else { format!("{count}+") },
        frame,
    };
    Answer::page(200, &page)
}
