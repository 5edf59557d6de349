//! Pages: which cases in Testmo may be missing ones of a batch, and what a person decides about them.

use askama::Template;

use super::super::admin::problem::{Code, Problem};
use super::answer::Answer;
use super::filters;
use super::frame::Frame;
use super::notice::Notice;
use super::route::{Access, Route, Scope};
use super::visit::Visit;
use crate::app::actor::Role;
use crate::app::candidates::{self, Decided, Decisions, Found};
use crate::app::plural::counted;

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "candidates",
        path: "/entries/{id}/candidates",
        access: Access::Person(Role::Operator),
        scope: Scope::Entry,
        reads_testmo: true,
        handler: |visit| Box::pin(show(visit)),
        ..Route::SHOW
    },
    Route {
        id: "decideCandidates",
        path: "/entries/{id}/candidates",
        scope: Scope::Entry,
        form: &["decision", "because"],
        reads_testmo: true,
        handler: |visit| Box::pin(decide(visit)),
        ..Route::ACT
    },
];

/// The missing cases, and what they may be.
#[derive(Template)]
#[template(path = "candidates.html")]
struct CandidatesPage {
    frame: Frame,
    id: String,
    batch: String,
    missing: Vec<(String, String)>,
    rows: Vec<Row>,
}

/// A case in Testmo.
struct Row {
    id: u64,
    name: String,
    link: String,
    has_batch_tag: bool,
    may_be: Vec<String>,
}

async fn show(visit: Visit) -> Result<Answer, Problem> {
    let id = visit.named.entry()?.id;
    let found = candidates::find(visit.context(), id).await?;
    let row = |of: &candidates::Candidate| Row {
        id: of.id,
        name: of.name.clone(),
        link: found.link(of),
        has_batch_tag: of.has_batch_tag,
        may_be: found.keys_of(of).into_iter().map(str::to_owned).collect(),
    };
    let Found { missing, candidates, .. } = &found;
    let page = CandidatesPage {
        frame: visit.frame("/failures", "Decide on missing cases", format!("testmo-courier shelf candidates {id}")),
        id: id.to_string(),
        batch: found.entry.batch.clone(),
        missing: missing.iter().map(|case| (case.key.clone(), case.name.clone())).collect(),
        rows: candidates.iter().map(row).collect(),
    };
    Answer::page(200, &page)
}

/// Reads decisions, each written as `adopt ID KEY` or `refuse ID`.
fn decisions<'a>(written: impl Iterator<Item = &'a str>) -> Result<Decisions, Problem> {
    let mut decisions = Decisions::default();
    for text in written.filter(|text| !text.is_empty()) {
        let mut words = text.splitn(3, ' ');
        let id = |word: Option<&str>| word.and_then(|id| id.parse().ok());
        match (words.next(), id(words.next()), words.next()) {
            (Some("adopt"), Some(id), Some(key)) => decisions.adopted.push((key.to_owned(), id)),
            (Some("refuse"), Some(id), None) => decisions.refused.push(id),
            _ => return Err(Problem::parameter(Code::InvalidParameter, "decision", "This is no decision.")),
        }
    }
    Ok(decisions)
}

async fn decide(visit: Visit) -> Result<Answer, Problem> {
    let id = visit.named.entry()?.id;
    let decisions = decisions(visit.form.all("decision"))?;
    let found = candidates::find(visit.context(), id).await?;
    let Decided { adopted, missing, is_delivered } =
        found.decide(visit.context(), &decisions, visit.actor()?, visit.because()).await?;
    if is_delivered {
        return Ok(
            visit.go("/failures", &Notice::good(format!("{adopted} adopted: every case of the batch is in Testmo.")))
        );
    }
    let missing = counted(missing, "missing case is", "missing cases are");
    let text = format!("{adopted} adopted. {missing} created by the next replay.");
    Ok(visit.go(&format!("/entries/{id}"), &Notice::good(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_are_read_and_nothing_else() {
        let read = decisions(["adopt 7 TC 1", "", "refuse 8"].into_iter()).unwrap();
        assert_eq!((read.adopted, read.refused), (vec![("TC 1".to_owned(), 7)], vec![8]));
        for wrong in ["adopt 7", "refuse", "refuse x", "refuse 7 TC", "delete 7"] {
            assert!(decisions([wrong].into_iter()).is_err(), "{wrong}");
        }
    }
}
