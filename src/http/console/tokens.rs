//! Pages: lists, creates and revokes tokens.

use askama::Template;

use super::super::admin::problem::{Code, Problem};
use super::answer::Answer;
use super::frame::Frame;
use super::moment::Moment;
use super::notice::Notice;
use super::once::Once;
use super::place::{PAGE, next_page};
use super::route::{Access, Route, Scope};
use super::steps::in_path;
use super::visit::Visit;
use crate::app::access::{self, MOST_DAYS, TokenInput, TokenRow};
use crate::app::actor::Role;

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "tokens",
        path: "/tokens",
        access: Access::Person(Role::Admin),
        scope: Scope::All,
        query: &["after"],
        handler: |visit| Box::pin(list(visit)),
        ..Route::SHOW
    },
    Route {
        id: "createToken",
        path: "/tokens",
        access: Access::Person(Role::Admin),
        scope: Scope::All,
        form: &["name", "role", "tenant", "days"],
        handler: |visit| Box::pin(create(visit)),
        ..Route::ACT
    },
    Route {
        id: "revokeToken",
        path: "/tokens/{name}/revoke",
        access: Access::Person(Role::Admin),
        scope: Scope::All,
        handler: |visit| Box::pin(revoke(visit)),
        ..Route::ACT
    },
];

/// The tokens.
#[derive(Template)]
#[template(path = "tokens.html")]
struct Tokens {
    frame: Frame,
    rows: Vec<TokenLine>,
    next: Option<String>,
}

/// A token in a table.
struct TokenLine {
    name: String,
    address: String,
    role: &'static str,
    tenant: Option<String>,
    created: Moment,
    by: String,
    expires: Option<Moment>,
    used: Option<Moment>,
    state: &'static str,
}

impl TokenLine {
    fn of(row: &TokenRow, visit: &Visit) -> Self {
        Self {
            address: format!("/tokens/{}/revoke", in_path(&row.name)),
            name: row.name.clone(),
            role: row.role.name(),
            tenant: row.tenant.as_ref().map(ToString::to_string),
            created: visit.at(row.created_at),
            by: row.created_by.clone(),
            expires: row.expires_at.map(|at| visit.at(at)),
            used: row.last_used_at.map(|at| visit.at(at)),
            state: match (row.revoked_at, row.expires_at) {
                (Some(_), _) => "revoked",
                (None, Some(end)) if end <= visit.now => "expired",
                (None, _) => "valid",
            },
        }
    }
}

async fn list(visit: Visit) -> Result<Answer, Problem> {
    let rows = access::list(visit.store(), visit.query.raw("after"), PAGE).await?;
    let is_full = rows.len() >= usize::try_from(PAGE).unwrap_or(usize::MAX);
    let page = Tokens {
        frame: visit.frame("/tokens", "Tokens", "testmo-courier tokens list"),
        next: rows.last().filter(|_| is_full).map(|row| next_page(&visit, &[], &row.name)),
        rows: rows.iter().map(|row| TokenLine::of(row, &visit)).collect(),
    };
    Answer::page(200, &page)
}

async fn create(visit: Visit) -> Result<Answer, Problem> {
    let form = &visit.form;
    let needed = |name: &str| Problem::parameter(Code::InvalidBody, name, "The field is empty.").remedy("Fill it in.");
    let days: Option<u32> = form.parsed("days")?;
    if days.is_some_and(|days| !(1..=MOST_DAYS).contains(&days)) {
        let why = format!("Write a number of days from 1 to {MOST_DAYS}, or nothing.");
        return Err(Problem::parameter(Code::InvalidBody, "days", why));
    }
    let input = TokenInput {
        name: form.parsed("name")?.ok_or_else(|| needed("name"))?,
        role: form.parsed("role")?.ok_or_else(|| needed("role"))?,
        tenant: form.parsed("tenant")?,
        days,
    };
    let created = access::create(visit.store(), visit.actor()?, input).await?;
    let page = Once {
        frame: visit.frame("/tokens", "A token was made", "testmo-courier tokens create NAME --role ROLE"),
        what: format!("The token {} has the role {}.", created.row.name, created.row.role.name()),
        secret: created.secret,
        open: None,
        back: "/tokens".into(),
    };
    Answer::page(200, &page)
}

async fn revoke(visit: Visit) -> Result<Answer, Problem> {
    let name = visit.path("name")?;
    let row = access::revoke(visit.store(), visit.actor()?, name).await?;
    let text = format!("The token {} is revoked, and its sessions are over.", row.name);
    Ok(visit.go("/tokens", &Notice::good(text)))
}
