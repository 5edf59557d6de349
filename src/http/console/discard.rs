//! Pages: shows what a discard would do, and discards.

use askama::Template;

use super::super::admin::problem::{Code, Problem};
use super::answer::Answer;
use super::frame::Frame;
use super::notice::Notice;
use super::route::Route;
use super::selection::{as_seen, chosen, pairs, selection};
use super::visit::Visit;
use crate::app::discard;
use crate::app::plan::Plan;
use crate::app::plural::counted;

/// How many entries of a plan are shown.
const SAMPLES: usize = 20;

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "planDiscard",
        path: "/failures/discard",
        access: super::route::Access::Person(crate::app::actor::Role::Operator),
        query: &["all", "id", "tenant", "reason", "state", "group", "since", "until", "message_id"],
        handler: |visit| Box::pin(plan(visit)),
        ..Route::SHOW
    },
    Route {
        id: "discard",
        path: "/failures/discard",
        form: &[
            "all",
            "id",
            "tenant",
            "reason",
            "state",
            "group",
            "since",
            "until",
            "message_id",
            "expected",
            "because",
        ],
        handler: |visit| Box::pin(carry_out(visit)),
        ..Route::ACT
    },
];

/// What a discard would do.
#[derive(Template)]
#[template(path = "discard.html")]
struct DiscardPage {
    frame: Frame,
    selection: Vec<(&'static str, String)>,
    written: String,
    expected: usize,
    count: usize,
    samples: Vec<(String, String, &'static str)>,
    more: usize,
    skipped: Vec<(String, String)>,
    because: String,
    wrong: Option<String>,
}

async fn page(
    visit: &Visit,
    fields: &super::fields::Fields,
    status: u16,
    wrong: Option<String>,
) -> Result<Answer, Problem> {
    let ids = chosen(visit, fields).await?;
    let plan = discard::plan(visit.store(), &ids).await?;
    let written = selection(visit, fields)?.to_string();
    let sample = |step: &crate::app::plan::Step| {
        (step.entry.id.to_string(), step.entry.batch.clone(), step.entry.reason.title())
    };
    let Plan { steps, skipped } = &plan;
    let page = DiscardPage {
        frame: visit.frame("/failures", "Discard", format!("testmo-courier shelf discard {written}")),
        selection: pairs(fields),
        written,
        expected: ids.len(),
        count: steps.len(),
        samples: steps.iter().take(SAMPLES).map(sample).collect(),
        more: steps.len().saturating_sub(SAMPLES),
        skipped: skipped.iter().map(|skipped| (skipped.entry.batch.clone(), skipped.why.to_string())).collect(),
        because: fields.raw("because").to_owned(),
        wrong,
    };
    Answer::page(status, &page)
}

async fn plan(visit: Visit) -> Result<Answer, Problem> {
    page(&visit, &visit.query, 200, None).await
}

async fn carry_out(visit: Visit) -> Result<Answer, Problem> {
    let Some(because) = visit.because() else {
        let why = "Write why: it is kept in the audit.";
        return page(&visit, &visit.form, 422, Some(why.into())).await;
    };
    let ids = chosen(&visit, &visit.form).await?;
    as_seen(&visit.form, ids.len())?;
    let plan = discard::plan(visit.store(), &ids).await?;
    if plan.steps.is_empty() {
        return Err(
            Problem::new(Code::Conflict, "None of these entries can be discarded now.").remedy("Look at it again.")
        );
    }
    let outcome = plan.carry_out(visit.store(), visit.actor()?, Some(because)).await?;
    let (done, changed, skipped) = (outcome.done.len(), outcome.changed.len(), outcome.skipped.len());
    let mut text = format!("{done} discarded. What was discarded can be restored here.");
    if changed > 0 {
        let changed = counted(changed, "was", "were");
        text += &format!(" {changed} changed by somebody else meanwhile and left alone.");
    }
    if skipped > 0 {
        text += &format!(" {skipped} could not be discarded: {}.", outcome.skipped[0].why);
    }
    let notice = if changed + skipped > 0 { Notice::mixed(text) } else { Notice::good(text) };
    Ok(visit.go("/discarded", &notice))
}
