//! Pages: one tenant with its light, its connection and its history.

use askama::Template;

use super::super::admin::problem::Problem;
use super::answer::Answer;
use super::connection_form::ConnectionForm;
use super::filters;
use super::frame::Frame;
use super::moment::{Moment, grouped};
use super::notice::Notice;
use super::remarks::worded;
use super::route::{Route, Scope};
use super::short::short;
use super::steps::in_path;
use super::visit::Visit;
use crate::app::TenantId;
use crate::app::access::{self, LinkRow};
use crate::app::audit::{self, AuditError, AuditFilter};
use crate::app::connections::verify::{Verified, verify};
use crate::app::connections::{
    self, ConnectionError, ConnectionRow, Status, Verification, connection, known_names, names, status, waiting,
};
use crate::app::lanes::overrides;
use crate::app::view::difference;

/// How many changes of a tenant and its batches are read, and how many of the tenant itself are shown.
const RECENT: u32 = 200;
const SHOWN: usize = 12;
/// How many values of a change are shown.
const LINES: usize = 6;
/// How many links are shown.
const LINKS: u32 = 10;

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "tenant",
        path: "/tenants/{tenant}",
        scope: Scope::Path,
        handler: |visit| Box::pin(show(visit)),
        ..Route::SHOW
    },
    Route {
        id: "verifyTenant",
        path: "/tenants/{tenant}/verify",
        scope: Scope::Path,
        handler: |visit| Box::pin(verify_one(visit)),
        ..Route::ACT
    },
];

/// One tenant.
#[derive(Template)]
#[template(path = "tenant.html")]
pub(super) struct TenantPage {
    frame: Frame,
    tenant: String,
    address: String,
    light: &'static str,
    remarks: Vec<String>,
    /// What works, if it does.
    connected: Option<String>,
    waiting: String,
    is_connected: bool,
    has_change: bool,
    account: String,
    project: String,
    folder: String,
    checked: Option<Moment>,
    last_success: Option<Moment>,
    expires: Option<String>,
    is_paused: bool,
    form: ConnectionForm,
    changes: Vec<Changed>,
    links: Vec<LinkLine>,
}

/// A change that a person made.
struct Changed {
    at: Moment,
    actor: String,
    action: String,
    because: Option<String>,
    lines: Vec<String>,
}

/// A link for the tenant's admin.
struct LinkLine {
    id: String,
    by: String,
    created: Moment,
    expires: Moment,
    state: &'static str,
}

async fn show(visit: Visit) -> Result<Answer, Problem> {
    let (tenant, row) = stored(&visit).await?;
    let form = ConnectionForm::of(row.as_ref());
    Answer::page(200, &page(&visit, &tenant, row.as_ref(), form).await?)
}

/// Reads the connection of the tenant that the path names, or whose link it has.
pub(super) async fn stored(visit: &Visit) -> Result<(TenantId, Option<ConnectionRow>), Problem> {
    let tenant = visit.tenant()?;
    match connection(visit.store(), &tenant).await {
        Ok(row) => Ok((tenant, Some(row))),
        Err(ConnectionError::NoConnection { .. }) => Ok((tenant, None)),
        Err(error) => Err(error.into()),
    }
}

/// Says what a connection that works leads to.
pub(super) fn connected(finding: &Verification) -> Option<String> {
    match finding {
        Verification::Works { user, project, folder, .. } => {
            let (user, project, folder) = (short(user), short(project), short(folder));
            Some(format!("connected as {user} to project “{project}”, folder “{folder}”"))
        }
        Verification::Fails { .. } => None,
    }
}

/// Returns the page of a tenant with a form.
pub(super) async fn page(
    visit: &Visit,
    tenant: &TenantId,
    row: Option<&ConnectionRow>,
    form: ConnectionForm,
) -> Result<TenantPage, Problem> {
    let store = visit.store();
    let status = match row {
        Some(row) => status(store, row).await?,
        None => Status { light: connections::StatusLight::Red, remarks: Vec::new() },
    };
    let waits = waiting(store, tenant).await?;
    let count = grouped(u64::try_from(waits.batches).unwrap_or(u64::MAX));
    let lanes = overrides(store).await?;
    let frame = visit.frame("/tenants", tenant.to_string(), format!("testmo-courier tenants show {tenant}"));
    let links = match frame.administer() {
        None => access::links(store, tenant, LINKS).await?,
        Some(_) => Vec::new(),
    };
    let (project, folder) = row.map(names).unwrap_or_default();
    let (project, folder) = (short(&project), short(&folder));
    Ok(TenantPage {
        tenant: tenant.to_string(),
        address: format!("/tenants/{}", in_path(tenant.as_str())),
        light: row.map_or("grey", |_| status.light.name()),
        remarks: match row {
            Some(_) => worded(&status.remarks),
            None => vec!["No connection to Testmo has been entered yet.".into()],
        },
        connected: row.filter(|row| row.is_verified()).and_then(|row| row.finding.as_ref()).and_then(connected),
        waiting: if waits.is_more { format!("{count}+") } else { count },
        is_connected: row.is_some(),
        has_change: row.is_some_and(|row| row.successor.is_some()),
        account: row.map(|row| row.origin.clone()).unwrap_or_default(),
        project,
        folder: match row.map(known_names).and_then(|names| names.as_of) {
            Some(at) => format!("{folder} (names as of {})", crate::app::time::absolute(at)),
            None => folder,
        },
        checked: row.and_then(|row| row.checked_at).map(|at| visit.at(at)),
        last_success: row.and_then(|row| row.last_success_at).map(|at| visit.at(at)),
        expires: row.and_then(|row| row.expires_on.clone()),
        is_paused: lanes.iter().any(|order| order.paused && order.lane.name() == tenant.as_str()),
        form,
        changes: changes(visit, tenant).await?,
        links: links.iter().map(|link| LinkLine::of(link, visit)).collect(),
        frame,
    })
}

async fn changes(visit: &Visit, tenant: &TenantId) -> Result<Vec<Changed>, Problem> {
    let filter = AuditFilter { tenant: Some(tenant.clone()), ..AuditFilter::default() };
    let page = audit::list(visit.store(), &filter, None, RECENT).await.map_err(|error| match error {
        AuditError::Store(error) => Problem::from(error),
        AuditError::NoEntry(_) | AuditError::NoTenant => Problem::defect(),
    })?;
    let changed = |row: &audit::AuditRow| {
        let mut lines = difference(row.before.as_deref(), row.after.as_deref());
        let more = lines.len().saturating_sub(LINES);
        lines.truncate(LINES);
        lines.extend((more > 0).then(|| format!("and {more} more")));
        let (actor, action) = (row.actor.clone(), row.action.clone());
        Changed { at: visit.at(row.at), actor, action, because: row.reason.clone(), lines }
    };
    // What was done with its batches is shown with these.
    let of_tenant = page.entries.iter().map(|item| &item.row).filter(|row| row.batch.is_none());
    Ok(of_tenant.take(SHOWN).map(changed).collect())
}

impl LinkLine {
    fn of(link: &LinkRow, visit: &Visit) -> Self {
        Self {
            id: link.id.clone(),
            by: link.created_by.clone(),
            created: visit.at(link.created_at),
            expires: visit.at(link.expires_at),
            state: match link.revoked_at {
                Some(_) => "revoked",
                None if link.expires_at <= visit.now => "expired",
                None => "valid",
            },
        }
    }
}

async fn verify_one(visit: Visit) -> Result<Answer, Problem> {
    let (tenant, context) = (visit.tenant()?, visit.context());
    let verified = verify(context, visit.actor()?, &context.client()?, &tenant).await?;
    let verified = verified.ok_or_else(|| Problem::not_found("There is no connection any more."))?;
    Ok(visit.go(&format!("/tenants/{}", in_path(tenant.as_str())), &found(&verified)))
}

/// Says what a verification has found, if that is stored.
pub(super) fn found(verified: &Verified) -> Notice {
    match (&verified.finding, verified.is_saved) {
        (_, false) => {
            Notice::mixed("The connection was changed meanwhile, and this result was not saved. Verify it again.")
        }
        (finding @ Verification::Works { .. }, true) => {
            Notice::good(format!("The connection works: {}.", connected(finding).unwrap_or_default()))
        }
        (Verification::Fails { reason, detail }, true) => {
            Notice::bad(format!("The connection does not work. {} {detail}", reason.cause()))
        }
    }
}
