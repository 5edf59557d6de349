//! Pages: makes and revokes the links by which a tenant's admin sees its connection.

use super::super::admin::problem::Problem;
use super::answer::Answer;
use super::notice::Notice;
use super::once::Once;
use super::route::{Access, Route, Scope};
use super::steps::in_path;
use super::visit::Visit;
use crate::app::access::{LINK_LIFE, create_link, revoke_link};
use crate::app::actor::Role;

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "createLink",
        path: "/tenants/{tenant}/links",
        access: Access::Person(Role::Admin),
        scope: Scope::Path,
        form: &["minutes"],
        handler: |visit| Box::pin(create(visit)),
        ..Route::ACT
    },
    Route {
        id: "revokeLink",
        path: "/tenants/{tenant}/links/{id}/revoke",
        access: Access::Person(Role::Admin),
        scope: Scope::Path,
        handler: |visit| Box::pin(revoke(visit)),
        ..Route::ACT
    },
];

async fn create(visit: Visit) -> Result<Answer, Problem> {
    let tenant = visit.tenant()?;
    let longest = u32::try_from(LINK_LIFE.as_secs() / 60).unwrap_or(1);
    let minutes = visit.form.parsed("minutes")?.unwrap_or(longest);
    let created = create_link(visit.store(), visit.actor()?, &tenant, minutes).await?;
    let path = format!("/t/{}", created.secret);
    let public = visit.context().config.admin.public_url.trim_end_matches('/').to_owned();
    let page = Once {
        frame: visit.frame("/tenants", "A link was made", ""),
        what: format!("The link for {tenant} is valid for {minutes} min, and can be opened more than once."),
        secret: format!("{public}{path}"),
        open: Some(path),
        back: format!("/tenants/{}", in_path(tenant.as_str())),
    };
    Answer::page(200, &page)
}

async fn revoke(visit: Visit) -> Result<Answer, Problem> {
    let (tenant, id): (_, String) = (visit.tenant()?, visit.path("id")?);
    revoke_link(visit.store(), visit.actor()?, &tenant, &id).await?;
    let address = format!("/tenants/{}", in_path(tenant.as_str()));
    Ok(visit.go(&address, &Notice::good("The link is revoked: it opens nothing any more.")))
}
