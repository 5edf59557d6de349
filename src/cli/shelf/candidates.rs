//! `shelf candidates`: shows which cases in Testmo may be the missing ones of a batch, and takes a person's decision.

use std::path::PathBuf;

use clap::Args;
use testmo_courier::app::actor::Actor;
use testmo_courier::app::candidates::{self, Decided, Decisions, Found};
use testmo_courier::app::shelf::{EntryName, named};
use testmo_courier::app::view::CandidatesView;

use super::super::confirm::agree;
use super::super::failure::Failure;
use super::super::open::context;
use super::super::output::{Output, in_shell, visible};
use super::super::table::{List, counted};

const EXAMPLES: &str = "\
After a request whose outcome is unknown, a case that is not found may have been renamed or moved by a person. The cases in
Testmo that it may be are read from Testmo: those with the tag of the batch, and those with its name in its folder.
--adopt says that one of them is the case: it is then never created again. --refuse says that one is none of the missing
cases. A case of which every candidate was refused is created by the next replay.

Examples:
  testmo-courier shelf candidates 0000001a
  testmo-courier shelf candidates acme/shop-142-1 --adopt '#2=3721'
  testmo-courier shelf candidates 0000001a --adopt TC-7=3721 --refuse 3722 --because 'renamed by the customer' --yes";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The entry: an id as `shelf list` prints it, or a batch as TENANT/BATCH
    #[arg(value_name = "ID")]
    name: EntryName,
    /// The case in Testmo with this id is this missing case
    #[arg(long, value_name = "CASE=TESTMO_ID", value_parser = adoption)]
    adopt: Vec<(String, u64)>,
    /// The case in Testmo with this id is none of the missing cases
    #[arg(long, value_name = "TESTMO_ID")]
    refuse: Vec<u64>,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

fn adoption(text: &str) -> Result<(String, u64), String> {
    let form = || format!("`{text}` is not CASE=TESTMO_ID, such as #2=3721");
    let (case, id) = text.rsplit_once('=').ok_or_else(form)?;
    Ok((case.to_owned(), id.parse().map_err(|_| form())?))
}

pub(crate) async fn execute(
    arguments: Arguments,
    files: &[PathBuf],
    actor: &Actor,
    out: &mut Output,
) -> Result<(), Failure> {
    let Arguments { name, adopt, refuse, because, yes, json } = arguments;
    let context = context(files).await?;
    let ids = named(&context.store, std::slice::from_ref(&name)).await?;
    let [id] = ids[..] else {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        return Err(Failure::usage(
            format!("the batch has several entries: {}", ids.join(", ")),
            "give the id of one of them",
        ));
    };
    let found = candidates::find(&context, id).await?;
    let decisions = Decisions { adopted: adopt, refused: refuse };
    let view = CandidatesView::of(&found);
    if !json {
        lines(&found).iter().try_for_each(|line| out.line(line))?;
    }
    if decisions == Decisions::default() {
        return if json { out.json(&view) } else { commands(&found).iter().try_for_each(|line| out.line(line)) };
    }
    let (adopted, missing) = found.check(&decisions)?;
    if json && !yes {
        return Err(Failure::usage("--json cannot ask for confirmation", "add --yes to go on without confirmation"));
    }
    if !json {
        out.line(format_args!("{}.", consequence(adopted, missing)))?;
        agree(yes, "nothing was decided", out)?;
    }
    let entry = found.entry.id;
    let decided = found.decide(&context, &decisions, actor, because.as_deref()).await?;
    if json {
        return out.json(&view.with(decided));
    }
    let Decided { missing, is_delivered, .. } = decided;
    match (is_delivered, missing) {
        (true, _) => out.line("Stored. All cases of the batch are in Testmo, and the entry has left the shelf."),
        (false, 0) => out.line("Stored."),
        (false, _) => out.line(format_args!("Stored. To create what is missing: testmo-courier replay {entry}")),
    }
}

/// Writes how to decide about the first candidate, or how to create what is missing.
fn commands(found: &Found) -> Vec<String> {
    let id = found.entry.id;
    let Some(candidate) = found.candidates.first() else {
        return vec![format!("To create what is missing: testmo-courier replay {id}")];
    };
    let adopted = found.keys_of(candidate).into_iter().next().map(|key| {
        let adopted = in_shell(&visible(&format!("{key}={}", candidate.id))).into_owned();
        format!("testmo-courier shelf candidates {id} --adopt {adopted}  # if it is this case")
    });
    let refused = format!("testmo-courier shelf candidates {id} --refuse {}  # if it is another case", candidate.id);
    adopted.into_iter().chain([refused]).collect()
}

/// Says what decisions lead to.
fn consequence(adopted: usize, missing: usize) -> String {
    let adopted = (adopted > 0).then(|| format!("{} adopted", counted(adopted, "case is", "cases are")));
    let missing =
        (missing > 0).then(|| format!("{} created by the next replay", counted(missing, "case is", "cases are")));
    let both: Vec<String> = [adopted, missing].into_iter().flatten().collect();
    if both.is_empty() { "Nothing changes".to_owned() } else { both.join("; ") }
}

/// Writes what was found.
fn lines(found: &Found) -> Vec<String> {
    let (missing, batch) = (counted(found.missing.len(), "case", "cases"), visible(&found.entry.batch));
    let mut lines = vec![format!("Missing: {missing} of {batch}")];
    let mut missing = List::new(&["case", "name"]);
    for case in &found.missing {
        missing.add(vec![case.key.clone(), case.name.clone()]);
    }
    lines.extend(missing.columns().into_iter().map(|line| format!("  {line}")));
    if found.candidates.is_empty() {
        lines.push("No case in Testmo has the tag of the batch, or the name and the folder of a missing case.".into());
        return lines;
    }
    lines.push(format!("Candidates in Testmo: {}", found.candidates.len()));
    let mut list = List::new(&["testmo id", "may be", "batch tag", "name", "link"]);
    for candidate in &found.candidates {
        list.add(vec![
            candidate.id.to_string(),
            found.keys_of(candidate).join(", "),
            if candidate.has_batch_tag { "yes" } else { "no" }.into(),
            candidate.name.clone(),
            found.link(candidate),
        ]);
    }
    lines.extend(list.columns().into_iter().map(|line| format!("  {line}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adoption_names_a_case_and_an_id() {
        assert_eq!(adoption("#2=3721"), Ok(("#2".into(), 3721)));
        assert_eq!(adoption("TC=7=1"), Ok(("TC=7".into(), 1)), "an id of a case can hold a =");
        assert!(adoption("3721").is_err() && adoption("#2=x").unwrap_err().contains("CASE=TESTMO_ID"));
    }

    #[test]
    fn what_decisions_lead_to_is_said_before_they_are_stored() {
        assert_eq!(consequence(1, 0), "1 case is adopted");
        assert_eq!(consequence(2, 1), "2 cases are adopted; 1 case is created by the next replay");
        assert_eq!(consequence(0, 0), "Nothing changes");
    }
}
