//! Pages: shows what probes found of a tenant's Testmo, and probes it.

use askama::Template;

use super::super::admin::problem::Problem;
use super::answer::Answer;
use super::connection_form::id;
use super::frame::Frame;
use super::moment::Moment;
use super::notice::Notice;
use super::route::{Route, Scope};
use super::steps::in_path;
use super::tenant::stored;
use super::visit::Visit;
use crate::app::connections::Verification;
use crate::app::connections::probe::{
    Done, Finding, Found, LeftCase, ProbeError, Probed, TAG, consequence, probe, sentence, word,
};
use crate::app::plural::counted;

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "probe",
        path: "/tenants/{tenant}/probe",
        scope: Scope::Path,
        handler: |visit| Box::pin(show(visit)),
        ..Route::SHOW
    },
    Route {
        id: "probeTenant",
        path: "/tenants/{tenant}/probe",
        scope: Scope::Path,
        form: &["write", "folder_id"],
        reads_testmo: true,
        handler: |visit| Box::pin(probe_one(visit)),
        ..Route::ACT
    },
];

/// What probes of a connection found.
#[derive(Template)]
#[template(path = "probe.html")]
struct ProbePage {
    frame: Frame,
    tenant: String,
    address: String,
    /// When it was probed last.
    probed: Option<Moment>,
    /// Whether the connection was changed since then.
    is_outdated: bool,
    lines: Vec<Line>,
    left: Option<Left>,
    tag: &'static str,
    folder: String,
    wrong: Option<String>,
}

/// What was found about an assumption.
struct Line {
    assumption: &'static str,
    result: &'static str,
    tone: &'static str,
    observed: String,
    /// What follows where it does not hold.
    consequence: Option<&'static str>,
}

/// A case that a probe has left in Testmo, or may have left.
struct Left {
    case: Option<u64>,
    folder: u64,
    project: u64,
    name: String,
    why: String,
}

impl Line {
    fn of(found: &Finding) -> Self {
        Self {
            assumption: sentence(found.assumption),
            result: word(found.result),
            tone: match found.result {
                Found::Holds => "good",
                Found::DoesNotHold => "mixed",
                Found::NotSeen => "",
            },
            observed: found.observed.clone(),
            consequence: (found.result == Found::DoesNotHold).then(|| consequence(found.assumption)),
        }
    }
}

impl Left {
    fn of(left: &LeftCase) -> Self {
        let LeftCase { project, folder, case, name, why } = left.clone();
        Self { case, folder, project, name, why }
    }
}

async fn page(visit: &Visit, status: u16, wrong: Option<String>) -> Result<Answer, Problem> {
    let (tenant, row) = stored(visit).await?;
    let row = row.ok_or_else(|| Problem::not_found("There is no connection to probe."))?;
    let probe = row.probe.as_deref();
    let mut findings: Vec<&Finding> = probe.iter().flat_map(|probe| &probe.findings).collect();
    // Stable, so that what does not hold comes first and the rest stays in its order.
    findings.sort_by_key(|found| found.result != Found::DoesNotHold);
    let entered = visit.form.raw("folder_id");
    let page = ProbePage {
        frame: visit.frame("/tenants", format!("Probe of {tenant}"), format!("testmo-courier tenants probe {tenant}")),
        tenant: tenant.to_string(),
        address: format!("/tenants/{}", in_path(tenant.as_str())),
        probed: probe.map(|probe| visit.at(probe.at)),
        is_outdated: probe.is_some() && row.probed().is_none(),
        lines: findings.into_iter().map(Line::of).collect(),
        left: probe.and_then(|probe| probe.left.as_ref()).map(Left::of),
        tag: TAG,
        folder: if entered.is_empty() { row.folder.to_string() } else { entered.to_owned() },
        wrong,
    };
    Answer::page(status, &page)
}

async fn show(visit: Visit) -> Result<Answer, Problem> {
    page(&visit, 200, None).await
}

async fn probe_one(visit: Visit) -> Result<Answer, Problem> {
    let folder = match (visit.form.has("write"), id(&visit.form, "folder_id", "folder id")) {
        (false, _) => None,
        (true, Ok(Some(folder))) => Some(folder),
        (true, Ok(None)) => return page(&visit, 422, Some("Enter the id of a folder.".into())).await,
        (true, Err(wrong)) => {
            return page(&visit, 422, Some(format!("{} {}", wrong.sentence, wrong.remedy))).await;
        }
    };
    let tenant = visit.tenant()?;
    match probe(visit.context(), visit.actor()?, &tenant, folder).await {
        Ok(probed) => Ok(visit.go(&format!("/tenants/{}/probe", in_path(tenant.as_str())), &said(&probed))),
        Err(error @ ProbeError::NoFolder { .. }) => page(&visit, 422, Some(format!("{error}."))).await,
        Err(error) => Err(error.into()),
    }
}

/// Says how a probe ended.
fn said(probed: &Probed) -> Notice {
    let done = match probed {
        Probed::Done(done) => done,
        Probed::NotVerified(verified) => {
            let why = match &verified.finding {
                Verification::Fails { reason, detail } => format!("{} {detail}", reason.cause()),
                Verification::Works { .. } => "It was changed meanwhile.".to_owned(),
            };
            return Notice::bad(format!("The connection does not work, so that nothing else was tried. {why}"));
        }
    };
    let mut text = numbers(done);
    if !done.is_saved {
        text += " The connection was removed meanwhile: nothing was stored.";
    }
    match done.left.len() {
        0 => {}
        1 => text += " A case is left in Testmo, or may be: delete it there.",
        left => text += &format!(" {left} cases are left in Testmo, or may be: delete them there."),
    }
    if done.is_well() { Notice::good(text) } else { Notice::mixed(text) }
}

fn numbers(done: &Done) -> String {
    let count = |result| done.probe.findings.iter().filter(|found| found.result == result).count();
    format!(
        "Probed: {}, {}, {}.",
        counted(count(Found::Holds), "assumption holds", "assumptions hold"),
        counted(count(Found::DoesNotHold), "does not hold", "do not hold"),
        counted(count(Found::NotSeen), "was not seen", "were not seen")
    )
}
