//! Page: lists the tenants with their lights.

use askama::Template;

use super::super::admin::problem::Problem;
use super::answer::Answer;
use super::frame::Frame;
use super::moment::Moment;
use super::place::{PAGE, next_page};
use super::remarks::worded;
use super::route::Route;
use super::short::short;
use super::steps::in_path;
use super::visit::Visit;
use crate::app::connections::{self, ConnectionError, ConnectionRow, Status, connection, names, statuses};

pub(super) const ROUTES: &[Route] = &[Route {
    id: "tenants",
    path: "/tenants",
    query: &["after", "open"],
    handler: |visit| Box::pin(list(visit)),
    ..Route::SHOW
}];

/// The tenants.
#[derive(Template)]
#[template(path = "tenants.html")]
struct Tenants {
    frame: Frame,
    rows: Vec<TenantLine>,
    next: Option<String>,
}

/// A tenant in a table.
struct TenantLine {
    tenant: String,
    address: String,
    light: &'static str,
    remarks: Vec<String>,
    account: String,
    project: String,
    folder: String,
    expires: String,
    last_success: Option<Moment>,
}

impl TenantLine {
    fn of(row: &ConnectionRow, status: &Status, now: i64) -> Self {
        let (project, folder) = names(row);
        Self {
            tenant: row.tenant.to_string(),
            address: format!("/tenants/{}", in_path(row.tenant.as_str())),
            light: status.light.name(),
            remarks: worded(&status.remarks),
            account: row.origin.clone(),
            project: short(&project),
            folder: short(&folder),
            expires: row.expires_on.clone().unwrap_or_else(|| "not known".into()),
            last_success: row.last_success_at.map(|at| Moment { at, now }),
        }
    }
}

async fn list(visit: Visit) -> Result<Answer, Problem> {
    let store = visit.store();
    // A person who has typed the name of a tenant is sent to its page; a new tenant has one, too.
    if let Some(tenant) = visit.query.text("open") {
        return Ok(Answer::to(&format!("/tenants/{}", in_path(tenant))));
    }
    let (rows, next) = match visit.reach()?.own() {
        None => connections::page(store, visit.query.raw("after"), PAGE).await?,
        Some(own) => match connection(store, own).await {
            Ok(row) => (vec![row], None),
            Err(ConnectionError::NoConnection { .. }) => (Vec::new(), None),
            Err(error) => return Err(error.into()),
        },
    };
    let statuses = statuses(store, &rows).await?;
    let page = Tenants {
        frame: Frame { live: 10, ..visit.frame("/tenants", "Tenants", "testmo-courier tenants list") },
        rows: rows.iter().zip(&statuses).map(|(row, status)| TenantLine::of(row, status, visit.now)).collect(),
        next: next.map(|place| next_page(&visit, &[], &place)),
    };
    Answer::page(200, &page)
}
