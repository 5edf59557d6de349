//! Pages: shows what setting a field in several messages would change, and sets it.

use askama::Template;

use super::super::admin::problem::{Code, Problem};
use super::answer::Answer;
use super::changes::ChangeLine;
use super::fields::Fields;
use super::frame::Frame;
use super::notice::Notice;
use super::route::{Access, Route};
use super::selection::{as_seen, chosen, pairs, selection};
use super::visit::Visit;
use crate::app::actor::Role;
use crate::app::edit::{self, EditPlan, MOST_FIELDS, Setting};
use crate::app::replays::{self, ReplayRequest};
use crate::app::shelf::{EntryName, Selection};

/// How many entries that cannot be edited are named.
const MOST_REFUSED: usize = 10;

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "planSet",
        path: "/failures/set",
        access: Access::Person(Role::Operator),
        query: &["all", "id", "tenant", "reason", "state", "group", "since", "until", "message_id", "set"],
        handler: |visit| Box::pin(plan(visit)),
        ..Route::SHOW
    },
    Route {
        id: "setFields",
        path: "/failures/set",
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
            "set",
            "expected",
            "because",
            "then",
        ],
        handler: |visit| Box::pin(carry_out(visit)),
        ..Route::ACT
    },
];

/// What setting a field would change.
#[derive(Template)]
#[template(path = "set.html")]
struct SetPage {
    frame: Frame,
    selection: Vec<(&'static str, String)>,
    written: String,
    selected: usize,
    settings: String,
    /// What is wrong with what was entered.
    wrong: Option<String>,
    planned: Option<Planned>,
    may_replay: bool,
}

struct Planned {
    entries: usize,
    changes: usize,
    samples: Vec<(String, Vec<ChangeLine>)>,
    unaffected: usize,
    refused: usize,
    why_refused: Vec<(String, String)>,
}

impl Planned {
    fn of(plan: &EditPlan) -> Self {
        let sample = |sample: &edit::PlannedEdit| {
            (sample.entry.batch.clone(), sample.changes.iter().map(ChangeLine::of).collect())
        };
        let why = |refused: &edit::RefusedEdit| (refused.entry.batch.clone(), refused.why.to_string());
        Self {
            entries: plan.len(),
            changes: plan.changes,
            samples: plan.samples.iter().map(sample).collect(),
            unaffected: plan.unaffected.len(),
            refused: plan.refused.len(),
            why_refused: plan.refused.iter().take(MOST_REFUSED).map(why).collect(),
        }
    }
}

/// Reads the settings, one in a line.
fn settings(fields: &Fields) -> Result<Vec<Setting>, String> {
    let lines = fields.all("set").flat_map(str::lines).map(str::trim).filter(|line| !line.is_empty());
    let settings = lines.map(str::parse).collect::<Result<Vec<Setting>, String>>()?;
    if settings.len() > MOST_FIELDS {
        return Err(format!("Write at most {MOST_FIELDS} fields."));
    }
    Ok(settings)
}

async fn page(visit: &Visit, fields: &Fields, status: u16) -> Result<Answer, Problem> {
    let ids = chosen(visit, fields).await?;
    let written = selection(visit, fields)?.to_string();
    let lines: Vec<&str> = fields.all("set").flat_map(str::lines).collect();
    let command: String = lines
        .iter()
        .filter(|line| !line.trim().is_empty())
        .fold(format!("testmo-courier shelf edit {written}"), |command, line| {
            format!("{command} --set {}", crate::app::visible::in_shell(line.trim()))
        });
    let most = visit.context().config.amqp.max_message_bytes;
    let (planned, wrong) = match settings(fields) {
        Ok(settings) if settings.is_empty() => (None, None),
        Ok(settings) => (Some(Planned::of(&edit::plan(visit.store(), &ids, settings, most).await?)), None),
        Err(why) => (None, Some(why)),
    };
    let frame = visit.frame("/failures", "Set a field", command);
    let page = SetPage {
        may_replay: frame.operate_all().is_none(),
        frame,
        selection: pairs(fields),
        written,
        selected: ids.len(),
        settings: lines.join("\n"),
        wrong,
        planned,
    };
    Answer::page(status, &page)
}

async fn plan(visit: Visit) -> Result<Answer, Problem> {
    page(&visit, &visit.query, 200).await
}

async fn carry_out(visit: Visit) -> Result<Answer, Problem> {
    let settings = match settings(&visit.form) {
        Ok(settings) if !settings.is_empty() => settings,
        Ok(_) | Err(_) => return page(&visit, &visit.form, 422).await,
    };
    let ids = chosen(&visit, &visit.form).await?;
    as_seen(&visit.form, ids.len())?;
    let (store, most) = (visit.store(), visit.context().config.amqp.max_message_bytes);
    let plan = edit::plan(store, &ids, settings, most).await?;
    let unaffected: Vec<_> = plan.unaffected.iter().map(|entry| entry.id).collect();
    let outcome = plan.carry_out(store, visit.actor()?, visit.because(), most).await?;
    let (done, refused, gone) = (outcome.done.len(), outcome.refused.len(), outcome.gone.len());
    let mut text = format!("{done} edited.");
    if refused > 0 {
        text += &format!(
            " {refused} could not be edited, such as {}: {}.",
            outcome.refused[0].entry.batch, outcome.refused[0].why
        );
    }
    if gone > 0 {
        text += &format!(" {gone} left the shelf meanwhile.");
    }
    let is_whole = refused + gone == 0;
    let notice = |text: String| if is_whole { Notice::good(text) } else { Notice::mixed(text) };
    let edited = outcome.done.iter().map(|entry| entry.id);
    let replayed: Vec<EntryName> = edited.chain(unaffected).map(EntryName::Id).collect();
    if visit.form.raw("then") != "replay" || replayed.is_empty() || !visit.reach()?.is_all() {
        let text = text + " Nothing is sent until the entries are replayed.";
        let back = visit.form.text("group").map_or_else(|| "/failures".into(), |group| format!("/failures/{group}"));
        return Ok(visit.go(&back, &notice(text)));
    }
    let request = ReplayRequest {
        selection: Selection::Named(replayed),
        name: None,
        reason: visit.because().map(str::to_owned),
        per_minute: None,
        most: None,
        unchanged_too: true,
    };
    let planned = replays::plan(store, &visit.context().config, visit.actor()?, request).await;
    let planned = planned.map_err(|error| {
        let problem = Problem::from(error);
        Problem::new(Code::Conflict, format!("{text} Their replay could not be planned: {}", problem.detail()))
    })?;
    let text = text + " Their replay is planned: start it when the plan is as you expect.";
    Ok(visit.go(&format!("/replays/{}", planned.id), &notice(text)))
}
