//! Pages: edits the message of an entry; first the difference is shown, then it is stored.

use askama::Template;

use super::super::admin::problem::{Code, Problem};
use super::answer::Answer;
use super::changes::ChangeLine;
use super::frame::Frame;
use super::notice::Notice;
use super::route::{Access, Body, Route, Scope};
use super::visit::Visit;
use crate::app::actor::Role;
use crate::app::edit::{self, Draft, EditError, settings_of};
use crate::app::replays::{self, ReplayRequest};
use crate::app::shelf::{EntryName, Selection};

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "draft",
        path: "/entries/{id}/edit",
        access: Access::Person(Role::Operator),
        scope: Scope::Entry,
        handler: |visit| Box::pin(show(visit)),
        ..Route::SHOW
    },
    Route {
        id: "editMessage",
        path: "/entries/{id}/edit",
        scope: Scope::Entry,
        form: &["message", "version", "then", "because"],
        body: Body::Message,
        handler: |visit| Box::pin(take(visit)),
        ..Route::ACT
    },
];

/// A message that is edited.
#[derive(Template)]
#[template(path = "edit.html")]
struct EditPage {
    frame: Frame,
    id: String,
    batch: String,
    version: i64,
    message: String,
    because: String,
    locked: Vec<(usize, &'static str)>,
    /// What is wrong with what was entered.
    wrong: Option<Wrong>,
    /// What it changes, once it was checked.
    changes: Option<Vec<ChangeLine>>,
    /// Whether the viewer may also replay.
    may_replay: bool,
}

/// What is wrong with an edited message.
struct Wrong {
    sentence: String,
    remedy: String,
    place: String,
    faults: Vec<String>,
}

/// Opens the message of the entry that the path names.
async fn opened(visit: &Visit) -> Result<Draft, Problem> {
    let id = visit.named.entry()?.id;
    Ok(edit::open(visit.store(), id, visit.context().config.amqp.max_message_bytes).await?)
}

fn page(visit: &Visit, draft: &Draft, message: String) -> EditPage {
    let id = draft.entry.id.to_string();
    let frame = visit.frame("/failures", "Edit the message", format!("testmo-courier shelf edit {id}"));
    EditPage {
        may_replay: frame.operate_all().is_none(),
        frame,
        batch: draft.entry.batch.clone(),
        version: draft.version(),
        message,
        because: visit.form.raw("because").to_owned(),
        locked: draft.locks().into_iter().map(|(at, why)| (at + 1, why)).collect(),
        wrong: None,
        changes: None,
        id,
    }
}

async fn show(visit: Visit) -> Result<Answer, Problem> {
    let draft = opened(&visit).await?;
    Answer::page(200, &page(&visit, &draft, draft.text()))
}

async fn take(visit: Visit) -> Result<Answer, Problem> {
    let draft = opened(&visit).await?;
    let message = visit.form.raw("message").to_owned();
    let edited = match draft.check(message.clone().into_bytes()) {
        Ok(edited) => edited,
        Err(error @ (EditError::Faulty(_) | EditError::Locked(_) | EditError::TooLarge { .. })) => {
            let problem = Problem::from(error);
            let wrong = Wrong {
                sentence: problem.detail().to_owned(),
                remedy: problem.what_to_do().unwrap_or_default().to_owned(),
                place: problem.place().unwrap_or_default().to_owned(),
                faults: problem.faults().to_vec(),
            };
            return Answer::page(422, &EditPage { wrong: Some(wrong), ..page(&visit, &draft, message) });
        }
        Err(error) => return Err(error.into()),
    };
    if visit.form.parsed::<i64>("version")? != Some(draft.version()) {
        let problem = Problem::new(Code::ChangedMeanwhile, "The entry was changed meanwhile, and nothing was stored.");
        return Err(problem.remedy("Open it again, and repeat your edit."));
    }
    let then = visit.form.raw("then");
    if edited.changes.is_empty() || !matches!(then, "store" | "replay") {
        let changes = edited.changes.iter().map(ChangeLine::of).collect();
        return Answer::page(200, &EditPage { changes: Some(changes), ..page(&visit, &draft, message) });
    }
    draft.store(&edited, visit.store(), visit.actor()?, visit.because()).await?;
    let id = draft.entry.id;
    let others = in_the_rest(&draft, &settings_of(&edited.changes));
    if then == "store" || !visit.reach()?.is_all() {
        let notice = Notice::good("Stored. Nothing is sent until the entry is replayed.").followed_by(others);
        return Ok(visit.go(&format!("/entries/{id}"), &notice));
    }
    let request = ReplayRequest {
        selection: Selection::Named(vec![EntryName::Id(id)]),
        name: None,
        reason: visit.because().map(str::to_owned),
        per_minute: None,
        most: None,
        unchanged_too: true,
    };
    let planned = replays::plan_and_start(visit.store(), &visit.context().config, visit.actor()?, request).await?;
    let notice = match planned.summary.tried {
        0 => Notice::mixed("Stored. Its replay would send nothing, and is cancelled: the plan says why."),
        _ => Notice::good("Stored, and its replay is started.").followed_by(others),
    };
    Ok(visit.go(&format!("/replays/{}", planned.id), &notice))
}

/// Returns the page that makes the same change in the rest of the cause, if it can be made there.
fn in_the_rest(draft: &Draft, settings: &[String]) -> Option<(String, String)> {
    let mut writer = url::form_urlencoded::Serializer::new(String::new());
    writer.append_pair("group", &draft.group().to_string());
    writer.extend_pairs(settings.iter().map(|setting| ("set", setting)));
    let label = "Make the same change in the rest of its cause".to_owned();
    (!settings.is_empty()).then(|| (label, format!("/failures/set?{}", writer.finish())))
}
