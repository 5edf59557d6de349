//! Pages: enters a tenant's connection, offers what can be chosen, and drops a change that is not in force.

use super::super::admin::problem::{Code, Problem};
use super::answer::Answer;
use super::connection_form::{ConnectionForm, NAMES, Wrong, field_of, input, project, wrong_of};
use super::notice::Notice;
use super::route::{Access, Route, Scope};
use super::steps::in_path;
use super::tenant::{connected, page, stored};
use super::visit::Visit;
use crate::app::actor::Role;
use crate::app::connections::set::{Force, Saved, discard_change, prepare};
use crate::app::connections::{ChoicesError, ConnectionRow, Verification, choices, state_tag};

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "setConnection",
        path: "/tenants/{tenant}/connection",
        access: Access::Person(Role::Admin),
        scope: Scope::Path,
        form: &NAMES,
        handler: |visit| Box::pin(set(visit)),
        ..Route::ACT
    },
    Route {
        id: "discardChange",
        path: "/tenants/{tenant}/discard-change",
        access: Access::Person(Role::Admin),
        scope: Scope::Path,
        handler: |visit| Box::pin(discard(visit)),
        ..Route::ACT
    },
];

async fn set(visit: Visit) -> Result<Answer, Problem> {
    let (tenant, row) = stored(&visit).await?;
    let form = ConnectionForm::of(row.as_ref()).entered(&visit.form);
    let shown = async |form: ConnectionForm, row: Option<&ConnectionRow>, status: u16| {
        Answer::page(status, &page(&visit, &tenant, row, form).await?)
    };
    if visit.form.raw("then") == "choose" {
        return match offered(&visit).await? {
            Ok(choices) => shown(ConnectionForm { choices, ..form }, row.as_ref(), 200).await,
            Err(wrong) => shown(form.because(wrong), row.as_ref(), 422).await,
        };
    }
    match save(&visit).await? {
        Ok(saved) => {
            let address = format!("/tenants/{}", in_path(tenant.as_str()));
            match said(&saved) {
                Ok(notice) => Ok(visit.go(&address, &notice)),
                // It is stored, so the form starts from what is stored now.
                Err(wrong) => {
                    let form = ConnectionForm::of(Some(&saved.row)).entered(&visit.form).because(wrong);
                    shown(form, Some(&saved.row), 200).await
                }
            }
        }
        Err(wrong) => shown(form.because(wrong), row.as_ref(), 422).await,
    }
}

/// Reads what the key of a form may see.
pub(super) async fn offered(visit: &Visit) -> Result<Result<crate::app::connections::Choices, Wrong>, Problem> {
    let tenant = visit.tenant()?;
    let key = visit.form.text("api_key").map(crate::app::connections::set::clean_key);
    let target = (visit.form.text("base_url"), project(&visit.form));
    let wrong = |field, sentence: String, remedy: &str| {
        Ok(Err(Wrong { field, sentence, detail: String::new(), remedy: remedy.into() }))
    };
    match choices(visit.context(), visit.actor()?, &tenant, target, key).await {
        Ok(choices) => Ok(Ok(choices)),
        Err(ChoicesError::NoAddress) => wrong("base_url", "The base URL is missing.".into(), "Enter it first."),
        Err(ChoicesError::Address { base_url, refused }) => {
            wrong("base_url", format!("{base_url} is not allowed."), &refused.to_string())
        }
        Err(ChoicesError::KeyNeeded(needed)) => wrong("api_key", format!("{needed}."), "Enter the API key."),
        Err(ChoicesError::KeptKey(why)) => wrong("api_key", why, "Enter the API key again."),
        Err(error @ ChoicesError::NotRead(_)) => {
            wrong("base_url", format!("{error}."), "Check the base URL and the API key.")
        }
        Err(ChoicesError::NotAllowed(error)) => Err(error.into()),
        Err(ChoicesError::Client(error)) => Err(error.into()),
        Err(ChoicesError::Store(error)) => Err(error.into()),
    }
}

/// Verifies and stores what a form has, unless a field of it is refused.
pub(super) async fn save(visit: &Visit) -> Result<Result<Saved, Wrong>, Problem> {
    let (tenant, context) = (visit.tenant()?, visit.context());
    let (input, key) = match input(&visit.form, tenant, None) {
        Ok(read) => read,
        Err(wrong) => return Ok(Err(wrong)),
    };
    let prepared = match prepare(context, input).await {
        Ok(prepared) => prepared,
        Err(error) => return wrong_of(error.into()).map(Err),
    };
    if prepared.stored().map(state_tag).unwrap_or_default() != visit.form.raw("state") {
        return Err(Problem::new(
            Code::ChangedMeanwhile,
            "Somebody has changed the connection since you opened the form.",
        )
        .remedy("Open it again, then repeat your change. Nothing was saved."));
    }
    match prepared.save(context, visit.actor()?, key).await {
        Ok(saved) => Ok(Ok(saved)),
        Err(error) => wrong_of(error.into()).map(Err),
    }
}

/// Says what was saved, or what is wrong with it although it is saved.
pub(super) fn said(saved: &Saved) -> Result<Notice, Wrong> {
    let Verification::Fails { reason, detail } = &saved.finding else {
        let mut text = format!("Saved and {}.", connected(&saved.finding).unwrap_or_default());
        if !saved.unfilled.is_empty() {
            text += &format!(" The mapping does not fill these required fields: {}.", saved.unfilled.join(", "));
        }
        if saved.replaced_key {
            text += " Revoke API keys that are no longer used in Testmo.";
        }
        if saved.dropped_expiry {
            text += " The expiration date of the former key was dropped.";
        }
        return Ok(Notice::good(text));
    };
    let then = match saved.force {
        Force::BesideVerified => {
            "Saved, but not in force: the connection that worked before stays in use, and the change is tried again automatically."
        }
        Force::InForce | Force::Unverified => {
            "Saved, but not working yet. This tenant’s batches are held until it is fixed."
        }
    };
    Err(Wrong {
        field: field_of(*reason, detail),
        sentence: reason.cause().to_owned(),
        detail: detail.clone(),
        remedy: format!("{} {then}", reason.remedy()),
    })
}

async fn discard(visit: Visit) -> Result<Answer, Problem> {
    let (tenant, row) = stored(&visit).await?;
    let row = row.ok_or_else(|| Problem::not_found("There is no connection any more."))?;
    let is_done = discard_change(visit.context(), visit.actor()?, &row).await?;
    let text = if is_done {
        "The change is dropped. The connection in force stays as it is."
    } else {
        "There was no change to drop."
    };
    Ok(visit.go(&format!("/tenants/{}", in_path(tenant.as_str())), &Notice::good(text)))
}
