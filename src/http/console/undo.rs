//! Pages: shows what taking a batch back would do in Testmo, and takes it back, or takes that back.

use std::str::FromStr;

use askama::Template;

use super::super::admin::problem::{Code, Problem};
use super::answer::Answer;
use super::filters;
use super::frame::Frame;
use super::notice::Notice;
use super::route::{Access, Route, Scope};
use super::steps::batch_address;
use super::visit::Visit;
use crate::app::actor::Role;
use crate::app::undo::{ItemKind, Left, Plan, Tools, UndoError, UndoItem, UndoKind, carry_out, plan};

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "planUndo",
        path: "/batches/{tenant}/{batch}/undo",
        access: Access::Person(Role::Operator),
        scope: Scope::Path,
        query: &["what", "delete"],
        reads_testmo: true,
        handler: |visit| Box::pin(show(visit)),
        ..Route::SHOW
    },
    Route {
        id: "undo",
        path: "/batches/{tenant}/{batch}/undo",
        scope: Scope::Path,
        form: &["what", "delete", "because"],
        reads_testmo: true,
        handler: |visit| Box::pin(undo(visit)),
        ..Route::ACT
    },
];

/// What is done with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct What(UndoKind);

impl FromStr for What {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "undo" => Ok(Self(UndoKind::Undo)),
            "restore" => Ok(Self(UndoKind::Restore)),
            "duplicates" => Ok(Self(UndoKind::Duplicates)),
            _ => Err(format!("`{text}` is not undo, restore or duplicates")),
        }
    }
}

impl What {
    fn name(self) -> &'static str {
        match self.0 {
            UndoKind::Undo => "undo",
            UndoKind::Restore => "restore",
            UndoKind::Duplicates => "duplicates",
        }
    }

    fn command(self) -> &'static str {
        match self.0 {
            UndoKind::Undo => "undo",
            UndoKind::Restore => "restore",
            UndoKind::Duplicates => "remove-duplicates",
        }
    }

    fn title(self) -> &'static str {
        match self.0 {
            UndoKind::Undo => "Take back what the batch did",
            UndoKind::Restore => "Take the undo back",
            UndoKind::Duplicates => "Remove duplicates",
        }
    }
}

/// What would become of the rows of a batch.
#[derive(Template)]
#[template(path = "undo.html")]
struct UndoPage {
    frame: Frame,
    batch: String,
    address: String,
    what: &'static str,
    deletes: bool,
    may_delete: bool,
    is_begun: bool,
    changes_anything: bool,
    counts: Vec<(&'static str, usize)>,
    rows: Vec<Row>,
}

/// A row in Testmo.
struct Row {
    case: String,
    link: String,
    change: String,
    is_duplicate: bool,
    why: String,
}

fn row(plan: &Plan, item: &UndoItem) -> Row {
    Row {
        case: plan.label(item).to_owned(),
        link: plan.link(item).unwrap_or_default(),
        change: plan.forecast.word(item).to_owned(),
        is_duplicate: item.kind == ItemKind::Duplicate,
        why: item.left().map(Left::sentence).unwrap_or_default(),
    }
}

async fn show(visit: Visit) -> Result<Answer, Problem> {
    let key = visit.batch()?;
    let what = visit.query.parsed::<What>("what")?.unwrap_or(What(UndoKind::Undo));
    let deletes = visit.query.has("delete");
    let client = visit.context().client().map_err(UndoError::from)?;
    let plan = plan(&Tools::of(visit.context(), &client), &key, what.0, deletes).await?;
    let option = if deletes { " --delete" } else { "" };
    let frame =
        visit.frame("/batches", what.title(), format!("testmo-courier batches {} {key}{option}", what.command()));
    let count = |word: &'static str| (word, plan.forecast.count(word));
    let page = UndoPage {
        may_delete: frame.administer().is_none() && what.0 != UndoKind::Restore,
        frame,
        batch: key.to_string(),
        address: batch_address(&key.to_string()),
        what: what.name(),
        deletes,
        is_begun: plan.is_begun,
        changes_anything: plan.changes_anything(),
        counts: ["retired", "deleted", "restored", "left"].map(count).into(),
        rows: plan.forecast.items.iter().map(|item| row(&plan, item)).collect(),
    };
    Answer::page(200, &page)
}

async fn undo(visit: Visit) -> Result<Answer, Problem> {
    let key = visit.batch()?;
    let what = visit.form.parsed::<What>("what")?.unwrap_or(What(UndoKind::Undo));
    let because = visit.because().ok_or_else(|| {
        Problem::parameter(Code::InvalidBody, "because", "A reason is needed.").remedy("Go back, and write why.")
    })?;
    let client = visit.context().client().map_err(UndoError::from)?;
    let tools = Tools::of(visit.context(), &client);
    let plan = plan(&tools, &key, what.0, visit.form.has("delete")).await?;
    let outcome = carry_out(&tools, plan, visit.actor()?, because).await?;
    let count = |word: &str| outcome.undo.count(word);
    let numbers: Vec<String> = ["retired", "deleted", "restored", "left"]
        .into_iter()
        .filter(|word| count(word) > 0)
        .map(|word| format!("{} {word}", count(word)))
        .collect();
    let numbers = if numbers.is_empty() { "nothing to change".to_owned() } else { numbers.join(", ") };
    let notice = match &outcome.interrupted {
        Some(stopped) => {
            Notice::mixed(format!("Interrupted ({}): {numbers} so far. Send it again to go on.", stopped.why))
        }
        None => Notice::good(format!("Done: {numbers}.")),
    };
    Ok(visit.go(&batch_address(&key.to_string()), &notice))
}
