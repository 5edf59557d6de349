//! Pages: shows what the removal of a tenant would take away, and removes the tenant.

use askama::Template;

use super::super::admin::problem::{Code, Problem};
use super::answer::Answer;
use super::filters;
use super::frame::Frame;
use super::notice::Notice;
use super::route::{Access, Route, Scope};
use super::steps::in_path;
use super::visit::Visit;
use crate::app::actor::Role;
use crate::app::connections::remove::{Removal, preview, remove};
use crate::app::connections::state_tag;

/// How many unfinished batches are shown.
const MOST_SHOWN: usize = 20;

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "planRemoval",
        path: "/tenants/{tenant}/remove",
        access: Access::Person(Role::Admin),
        scope: Scope::Path,
        handler: |visit| Box::pin(plan(visit)),
        ..Route::SHOW
    },
    Route {
        id: "removeTenant",
        path: "/tenants/{tenant}/remove",
        access: Access::Person(Role::Admin),
        scope: Scope::Path,
        form: &["state", "expected", "purge", "because"],
        handler: |visit| Box::pin(carry_out(visit)),
        ..Route::ACT
    },
];

/// What a removal would take away.
#[derive(Template)]
#[template(path = "removal.html")]
struct RemovalPage {
    frame: Frame,
    tenant: String,
    address: String,
    account: String,
    /// The word for the state of the connection that the person sees.
    state: String,
    /// How many entries of the shelf the person sees.
    entries: u64,
    parked: u64,
    dead: u64,
    /// Batches that keep the tenant from being removed, with the reason.
    unfinished: Vec<(String, String)>,
    more_unfinished: usize,
    is_purged: bool,
    because: String,
    /// What is wrong with the form: the name of a field, and a sentence.
    wrong: Option<(&'static str, &'static str)>,
}

impl RemovalPage {
    fn wrong_with(&self, field: &str) -> Option<&'static str> {
        self.wrong.filter(|(name, _)| *name == field).map(|(_, why)| why)
    }
}

async fn page(visit: &Visit, status: u16, wrong: Option<(&'static str, &'static str)>) -> Result<Answer, Problem> {
    let tenant = visit.tenant()?;
    let removal = preview((visit.store(), &visit.context().config.tenants), visit.actor()?, &tenant).await?;
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let shelved = removal.shelved.len();
    let page = RemovalPage {
        frame: visit.frame("/tenants", format!("Remove {tenant}"), format!("testmo-courier tenants remove {tenant}")),
        tenant: tenant.to_string(),
        address: format!("/tenants/{}", in_path(tenant.as_str())),
        account: removal.connection.origin.clone(),
        state: state_tag(&removal.connection),
        entries: count(shelved),
        parked: count(removal.parked),
        dead: count(shelved - removal.parked),
        more_unfinished: removal.unfinished.len().saturating_sub(MOST_SHOWN),
        unfinished: removal.unfinished.iter().take(MOST_SHOWN).map(|(of, why)| (of.clone(), why.to_string())).collect(),
        is_purged: visit.form.has("purge"),
        because: visit.form.raw("because").to_owned(),
        wrong,
    };
    Answer::page(status, &page)
}

async fn plan(visit: Visit) -> Result<Answer, Problem> {
    page(&visit, 200, None).await
}

async fn carry_out(visit: Visit) -> Result<Answer, Problem> {
    let expected: usize = visit.form.parsed("expected")?.unwrap_or(0);
    if expected > 0 && !visit.form.has("purge") {
        let why = "Tick this to discard its batches on the shelf, or finish them first. Nothing was removed.";
        return page(&visit, 422, Some(("purge", why))).await;
    }
    let Some(because) = visit.because() else {
        return page(&visit, 422, Some(("because", "Write why: it is kept in the audit."))).await;
    };
    let (tenant, seen) = (visit.tenant()?, visit.form.raw("state"));
    let as_seen = async |removal: &Removal| {
        let is_as_seen = state_tag(&removal.connection) == seen && removal.shelved.len() == expected;
        if is_as_seen { Ok(true) } else { Err(changed()) }
    };
    // Exactly the entries that were seen are discarded, since another number is refused.
    let end = remove::<Problem>(
        (visit.store(), &visit.context().config.tenants),
        visit.actor()?,
        &tenant,
        true,
        Some(because),
        as_seen,
    )
    .await;
    if let Some(error) = end.pause_error {
        tracing::warn!(%error, %tenant, "the pause of a tenant that was not removed could not be ended; it ends in 10 minutes");
    }
    let said = match end.result? {
        0 => format!("{tenant} is removed."),
        1 => format!("{tenant} is removed, and 1 entry is discarded."),
        discarded => format!("{tenant} is removed, and {discarded} entries are discarded."),
    };
    let next = "Also revoke its API key in Testmo, on the user profile page or in the Admin panel.";
    Ok(visit.go("/tenants", &Notice::good(format!("{said} {next}"))))
}

/// Says that a tenant is not as the person saw it.
fn changed() -> Problem {
    Problem::new(Code::ChangedMeanwhile, "The tenant has changed since you opened the page. Nothing was removed.")
        .remedy("Open the page again, and decide again.")
}
