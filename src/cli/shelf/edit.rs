//! `shelf edit`: edits the message of an entry, or one field in many.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;
use testmo_courier::app::actor::Actor;
use testmo_courier::app::edit::{
    self, Change, Draft, DraftFile, EditError, EditOutcome, EditPlan, Edited, Setting, settings_of,
};
use testmo_courier::app::plan::PlannedEntry;
use testmo_courier::app::replays::{self, Planned, ReplayRequest};
use testmo_courier::app::shelf::{self, EntryName, Selection, ShelfFilter, ShelfId};
use testmo_courier::app::view::EditOutcomeView;
use testmo_courier::app::{Store, store_now};
use testmo_courier::config::Config;

use super::super::confirm::{can_ask, confirm};
use super::super::failure::Failure;
use super::super::message_file;
use super::super::output::{Output, in_shell, visible};
use super::super::replays::plan_text;
use super::super::table::{List, counted, shortened};
use super::editor::{edit as open_editor, editor};
use super::selection::Selected;

/// How many changes of an entry are shown.
const MOST_CHANGES: usize = 40;
/// How many characters of a value are shown.
const LONGEST_VALUE: usize = 100;

const EXAMPLES: &str = "\
The message is opened as JSON in the editor that $VISUAL or $EDITOR names. It is checked like `lint` checks it, the
difference is shown, and after confirmation the edited message takes the place of the present one. The batch stays the
same: what was published before is recognized, and creates nothing.

Cases that are, or may be, in Testmo cannot be edited, and neither can the tenant, the batch_id, the ids of cases, their
order and their number. While such a case exists, the source and the folders stay as they are, too.

--set changes one field in every selected entry. A field is a JSON pointer (/cases/0/name) or names with dots: tags and
priority mean those of every case that can be edited, folder_path and source.key those of the message. A value is JSON,
or else a text; null removes the field.

Examples:
  testmo-courier shelf edit 0000001a
  testmo-courier shelf edit acme/shop-142-1 --file corrected.json --replay
  testmo-courier shelf edit --group c-5f3a09b2 --set priority=high
  testmo-courier shelf edit --tenant acme --reason folder_missing --set 'folder_path=[\"Checkout\"]' --replay --yes";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    selection: Selected,
    /// Take the edited message from a file instead of an editor; - is the standard input
    #[arg(long, value_name = "FILE", conflicts_with = "set")]
    file: Option<PathBuf>,
    /// Set a field in each selected entry; can be given several times
    #[arg(long, value_name = "FIELD=VALUE")]
    set: Vec<Setting>,
    /// Replay what was edited
    #[arg(long)]
    replay: bool,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// Print what was done as JSON, for programs
    #[arg(long, requires = "yes")]
    json: bool,
}

pub(crate) async fn execute(
    arguments: Arguments,
    (config, store): (&Config, &Store),
    actor: &Actor,
    out: &mut Output,
) -> Result<(), Failure> {
    let Arguments { selection, file, set, replay, because, yes, json } = arguments;
    let selection = selection.selection(store_now(store))?;
    let ids = selection.ids(store).await?;
    let command = Command { config, store, actor, because: because.as_deref(), replay, yes, json };
    if !set.is_empty() {
        return command.set(&ids, set, &selection, out).await;
    }
    let [id] = ids[..] else {
        let ids: Vec<String> = ids.iter().take(MOST_CHANGES).map(ToString::to_string).collect();
        let what = match ids.len() {
            0 => "no matching entry is on the shelf".to_owned(),
            _ => format!("several entries are selected: {}", ids.join(", ")),
        };
        return Err(Failure::usage(what, "give the id of one of them, or change a field in all of them with --set"));
    };
    let draft = edit::open(store, id, config.amqp.max_message_bytes).await?;
    match file {
        Some(file) => {
            let edited = draft.check(message_file::read(&file)?)?;
            command.store(&draft, &edited, out).await
        }
        None => command.in_editor(&draft, out).await,
    }
}

/// What a command was given beside the entries.
struct Command<'a> {
    config: &'a Config,
    store: &'a Store,
    actor: &'a Actor,
    because: Option<&'a str>,
    replay: bool,
    yes: bool,
    json: bool,
}

impl Command<'_> {
    /// Has a person edit a draft until it can be stored, or until the person gives up. The draft stays in its file until it
    /// is stored.
    async fn in_editor(&self, draft: &Draft, out: &mut Output) -> Result<(), Failure> {
        let editor = editor()?;
        let file = DraftFile::create(draft, &std::env::temp_dir()).map_err(|error| {
            Failure::finding(format!("the draft cannot be written ({error})"), "set TMPDIR to a folder with room")
        })?;
        self.say(out, format_args!("The draft is in {}.", file.path().display()))?;
        let locks = draft.locks();
        if !locks.is_empty() {
            let cases: Vec<String> = locks.iter().map(|(at, why)| format!("case #{} {why}", at + 1)).collect();
            self.say(out, format_args!("Cannot be edited: {}.", cases.join("; ")))?;
        }
        loop {
            open_editor(&editor, file.path())?;
            let body = file.read().map_err(|error| {
                Failure::finding(format!("the draft cannot be read ({error})"), "edit the entry again")
            })?;
            match draft.check(body) {
                Ok(edited) => {
                    let ended = self.store(draft, &edited, out).await;
                    if ended.is_ok() {
                        file.remove();
                    } else {
                        self.say(out, format_args!("The draft is kept in {}.", file.path().display()))?;
                    }
                    return ended;
                }
                Err(error) => {
                    self.explain(&error, out)?;
                    let again = !self.yes && can_ask() && again(out)?;
                    if !again {
                        let with = format!("`testmo-courier shelf edit {} --file", draft.entry.id);
                        let remedy = format!("go on with {with} {}`", file.path().display());
                        return Err(Failure::finding("nothing was stored; the draft is kept", remedy));
                    }
                }
            }
        }
    }

    /// Prints every fault of an edited message.
    fn explain(&self, error: &EditError, out: &mut Output) -> Result<(), Failure> {
        if let EditError::Faulty(faults) = error {
            return faults.iter().try_for_each(|fault| self.say(out, visible(&fault.to_string())));
        }
        self.say(out, visible(&error.to_string()))
    }

    /// Shows the difference, asks, and stores an edited message.
    async fn store(&self, draft: &Draft, edited: &Edited, out: &mut Output) -> Result<(), Failure> {
        if edited.changes.is_empty() {
            if self.json {
                return out.json(&EditOutcomeView::of_one(&draft.entry, &[]));
            }
            return out.line("Nothing was changed.");
        }
        if !self.json {
            difference(&edited.changes).iter().try_for_each(|line| out.line(line))?;
        }
        self.agree(out)?;
        draft.store(edited, self.store, self.actor, self.because).await?;
        if self.json {
            out.json(&EditOutcomeView::of_one(&draft.entry, &edited.changes))?;
        } else {
            out.line(format_args!("Stored the edited message of {}.", visible(&draft.entry.batch)))?;
        }
        self.replayed(&[draft.entry.id], &format!("testmo-courier replay {}", draft.entry.id), out).await?;
        self.in_the_rest(draft, &edited.changes, out).await
    }

    /// Says how the same change is made in the other entries of the group, if there are any.
    async fn in_the_rest(&self, draft: &Draft, changes: &[Change], out: &mut Output) -> Result<(), Failure> {
        let (group, settings) = (draft.group(), settings_of(changes));
        if self.json || settings.is_empty() {
            return Ok(());
        }
        let of_group = ShelfFilter { cause: Some(group), ..ShelfFilter::default() };
        let first = shelf::list(self.store, &of_group, 2).await?;
        if first.iter().all(|entry| entry.id == draft.entry.id) {
            return Ok(());
        }
        let set: String = settings.iter().map(|setting| format!(" --set {}", in_shell(&visible(setting)))).collect();
        let replay = if self.replay { " --replay" } else { "" };
        out.line("Once it is delivered, make the same change in the rest of its group:")?;
        out.line(format_args!("  testmo-courier shelf edit --group {group}{set}{replay}"))
    }

    /// Plans settings, shows what they change, asks, and carries them out.
    async fn set(
        &self,
        ids: &[ShelfId],
        settings: Vec<Setting>,
        selection: &Selection,
        out: &mut Output,
    ) -> Result<(), Failure> {
        let most = self.config.amqp.max_message_bytes;
        let plan = edit::plan(self.store, ids, settings, most).await?;
        if !self.json {
            planned(&plan).iter().try_for_each(|line| out.line(line))?;
        }
        if plan.is_empty() && !self.json {
            return if plan.refused.is_empty() { Ok(()) } else { Err(Failure::Printed) };
        }
        if !plan.is_empty() {
            self.agree(out)?;
        }
        let view = EditOutcomeView::of_plan(&plan);
        let outcome = plan.carry_out(self.store, self.actor, self.because, most).await?;
        if self.json {
            out.json(&view.with_outcome(&outcome))?;
        } else {
            done(&outcome).iter().try_for_each(|line| out.line(line))?;
        }
        let ids: Vec<ShelfId> = outcome.done.iter().map(|entry| entry.id).collect();
        if !ids.is_empty() {
            let otherwise = selection.replay_command();
            let otherwise = otherwise.unwrap_or_else(|| "`testmo-courier replay` with the same ids".to_owned());
            self.replayed(&ids, &otherwise, out).await?;
        }
        let is_whole = outcome.gone.is_empty() && outcome.refused.iter().all(|refused| !is_race(&refused.why));
        if is_whole && (!selection.is_by_name() || outcome.refused.is_empty()) { Ok(()) } else { Err(Failure::Printed) }
    }

    /// Asks whether to go on, unless that was said.
    fn agree(&self, out: &mut Output) -> Result<(), Failure> {
        if self.yes || confirm(out)? {
            return Ok(());
        }
        Err(Failure::finding("Cancelled; nothing was edited.", "Type yes, or add --yes, to go on."))
    }

    /// Replays what was edited, or says how.
    async fn replayed(&self, ids: &[ShelfId], otherwise: &str, out: &mut Output) -> Result<(), Failure> {
        if !self.replay {
            return self.say(out, format_args!("Nothing is sent yet. To send what was edited, replay it: {otherwise}"));
        }
        let selection = Selection::Named(ids.iter().map(|id| EntryName::Id(*id)).collect());
        let (reason, unchanged_too) = (self.because.map(ToOwned::to_owned), true);
        let request = ReplayRequest { selection, name: None, reason, per_minute: None, most: None, unchanged_too };
        let planned = replays::plan_and_start(self.store, self.config, self.actor, request).await?;
        let Planned { id, summary, .. } = &planned;
        let is_whole = summary.tried == summary.batches;
        if !is_whole && !self.json {
            out.text(&plan_text(self.store, &planned).await?)?;
        }
        if summary.tried == 0 {
            let how = format!("`testmo-courier replays show {id} --batches` says why. Then replay it: {otherwise}");
            return Err(Failure::finding("The edited message is stored, but nothing was sent.", how));
        }
        let batches = counted(usize::try_from(summary.tried).unwrap_or(usize::MAX), "batch", "batches");
        self.say(
            out,
            format_args!("Replay {id} sends {batches}; `testmo-courier replays watch {id}` shows how it goes."),
        )?;
        if is_whole { Ok(()) } else { Err(Failure::Printed) }
    }

    /// Prints a line for people.
    fn say(&self, out: &mut Output, line: impl std::fmt::Display) -> Result<(), Failure> {
        if self.json { Ok(()) } else { out.line(line) }
    }
}

/// Asks whether to open the editor again.
fn again(out: &mut Output) -> Result<bool, Failure> {
    out.line("The draft is kept. To open the editor again:")?;
    confirm(out)
}

fn is_race(why: &EditError) -> bool {
    matches!(why, EditError::Changed | EditError::Unfinished(_))
}

/// Writes changes, one a line.
fn difference(changes: &[Change]) -> Vec<String> {
    let shown = |value: &Value| shortened(&visible(&value.to_string()), LONGEST_VALUE);
    let line = |change: &Change| match (&change.before, &change.after) {
        (Some(before), Some(after)) => format!("~ {}: {} -> {}", change.pointer, shown(before), shown(after)),
        (Some(before), None) => format!("- {}: {}", change.pointer, shown(before)),
        (None, Some(after)) => format!("+ {}: {}", change.pointer, shown(after)),
        (None, None) => format!("  {}", change.pointer),
    };
    let mut lines: Vec<String> =
        changes.iter().take(MOST_CHANGES).map(|change| visible(&line(change)).into_owned()).collect();
    let more = changes.len().saturating_sub(MOST_CHANGES);
    if more > 0 {
        lines.push(format!("and {}", counted(more, "more change", "more changes")));
    }
    lines
}

/// Writes what a plan changes.
fn planned(plan: &EditPlan) -> Vec<String> {
    let mut lines = Vec::new();
    if !plan.is_empty() {
        let entries = counted(plan.len(), "entry", "entries");
        lines.push(format!("To be edited: {entries} with {}", counted(plan.changes, "change", "changes")));
        for sample in &plan.samples {
            lines.push(format!("  {} {}", sample.entry.id, visible(&sample.entry.batch)));
            lines.extend(difference(&sample.changes).into_iter().map(|line| format!("    {line}")));
        }
        let more = plan.len() - plan.samples.len();
        if more > 0 {
            lines.push(format!("  and {} in the same way", counted(more, "more entry", "more entries")));
        }
    }
    if !plan.unaffected.is_empty() {
        lines.push(format!("Unaffected: {}", counted(plan.unaffected.len(), "entry", "entries")));
    }
    lines.extend(refused(plan.refused.iter().map(|refused| (&refused.entry, &refused.why))));
    if lines.is_empty() {
        lines.push("No matching entry is on the shelf.".into());
    }
    lines
}

/// Writes what was done.
fn done(outcome: &EditOutcome) -> Vec<String> {
    let mut lines = vec![format!("Edited {}.", counted(outcome.done.len(), "entry", "entries"))];
    let raced = outcome.refused.iter().filter(|refused| is_race(&refused.why));
    lines.extend(refused(raced.map(|refused| (&refused.entry, &refused.why))));
    if !outcome.gone.is_empty() {
        lines.push(format!("No longer on the shelf: {}", counted(outcome.gone.len(), "entry", "entries")));
    }
    lines
}

fn refused<'a>(entries: impl Iterator<Item = (&'a PlannedEntry, &'a EditError)>) -> Vec<String> {
    let mut list = List::new(&["id", "batch", "why"]);
    let mut count = 0;
    for (entry, why) in entries {
        count += 1;
        list.add(vec![entry.id.to_string(), entry.batch.clone(), why.to_string()]);
    }
    if count == 0 {
        return Vec::new();
    }
    let heading = format!("Not edited: {}", counted(count, "entry", "entries"));
    std::iter::once(heading).chain(list.columns().into_iter().map(|line| format!("  {line}"))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_reads_like_this() {
        let change = |pointer: &str, before: Option<Value>, after: Option<Value>| Change {
            pointer: pointer.into(),
            before,
            after,
        };
        let mut changes = vec![
            change("/cases/0/name", Some(json!("a")), Some(json!("b\u{1b}[2J"))),
            change("/cases/0/tags/1", Some(json!("x")), None),
            change("/cases/1/description", None, Some(json!("long ".repeat(100)))),
        ];
        changes.extend((0..40).map(|at| change(&format!("/cases/{at}/priority"), None, Some(json!("high")))));
        let lines = difference(&changes);
        assert_eq!(lines[0], r#"~ /cases/0/name: "a" -> "b\u001b[2J""#);
        assert_eq!(lines[1], r#"- /cases/0/tags/1: "x""#);
        assert!(lines[2].starts_with(r#"+ /cases/1/description: "long long"#) && lines[2].chars().count() < 140);
        assert_eq!((lines.len(), lines[40].as_str()), (41, "and 3 more changes"));
    }
}
