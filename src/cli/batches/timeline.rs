//! Lays out the timeline of a batch for people: a time, its distance from now, and what happened, at most 100 columns wide.

use testmo_courier::app::view::{Certainty, OverwrittenEdit, TimelineEntryView, TimelineView};

use super::super::output::visible;
use super::super::table::wrapped;

/// The width of a line.
const WIDTH: usize = 100;
/// What stands before every line.
const INDENT: &str = "  ";
/// The width of an absolute time.
const TIME: usize = 20;
/// The least width of a text beside its time.
const LEAST: usize = 40;

/// Returns the lines of a timeline, with a heading; nothing if nothing is known to have happened.
pub(super) fn timeline(view: &TimelineView) -> String {
    if view.entries.is_empty() && view.under_way.is_empty() {
        return String::new();
    }
    let mut text = "\ntimeline\n".to_owned();
    let age = view.entries.iter().map(|entry| entry.age.chars().count()).max().unwrap_or(0);
    let lead = INDENT.len() + TIME + 2 + age + 2;
    let width = WIDTH.saturating_sub(lead).max(LEAST);
    if view.dropped_entries > 0 {
        let dropped = format!("{} older waits, retries and reconciliations are not kept", view.dropped_entries);
        add(&mut text, &blank(lead), &dropped, width);
    }
    for entry in &view.entries {
        let time = format!("{INDENT}{:TIME$}  {:age$}  ", seconds(entry.at.as_deref()), entry.age);
        add(&mut text, &time, &entry.text, width);
        details(entry).iter().for_each(|detail| add(&mut text, &blank(lead), detail, width));
    }
    for under_way in &view.under_way {
        let time = format!("{INDENT}{:TIME$}  {:age$}  ", "now", "");
        add(&mut text, &time, &under_way.text, width);
    }
    text
}

/// Writes a time of a view to the second: `2027-01-15 08:00:00Z`.
fn seconds(at: Option<&str>) -> String {
    at.and_then(|at| at.get(..19)).map_or_else(|| "?".into(), |at| at.replacen('T', " ", 1) + "Z")
}

fn details(entry: &TimelineEntryView) -> Vec<String> {
    let links = entry.candidates.iter().filter_map(|candidate| candidate.link.clone());
    let overwritten = entry.overwritten.iter().flat_map(overwritten);
    entry.detail.iter().cloned().chain(links).chain(overwritten).collect()
}

/// Says of an edit what the request wrote and what the person had written.
fn overwritten(edit: &OverwrittenEdit) -> Vec<String> {
    let possibly = if edit.certainty == Certainty::PossiblyOverwritten { "possibly " } else { "" };
    let mut lines = vec![format!("case {}: {possibly}{}", edit.label, edit.fields.join(", "))];
    lines.extend(edit.lost.iter().map(|lost| format!("lost: {lost}")));
    lines.push(format!("written: {}", edit.written));
    lines.extend(edit.history_entry.iter().map(|entry| format!("entry of the history: {entry}")));
    lines.extend(edit.link.clone());
    lines
}

/// Adds a text that begins behind `lead` and goes on below it.
fn add(text: &mut String, lead: &str, said: &str, width: usize) {
    let mut lead = lead.to_owned();
    for line in broken(said, width) {
        *text += format!("{lead}{line}").trim_end();
        text.push('\n');
        lead = blank(lead.chars().count());
    }
}

fn blank(width: usize) -> String {
    " ".repeat(width)
}

/// Breaks a text from outside into lines: between words, and a word that is too long anywhere.
fn broken(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in wrapped(&visible(text), width) {
        let characters: Vec<char> = line.chars().collect();
        // An address is copied as a whole.
        match line.starts_with("https://") {
            true => lines.push(line),
            false => lines.extend(characters.chunks(width).map(|chunk| chunk.iter().collect::<String>())),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str, detail: Option<&str>) -> TimelineEntryView {
        TimelineEntryView {
            at: Some("2027-01-15T08:00:00.123Z".into()),
            age: "3 min ago".into(),
            times: 1,
            last_at: None,
            kind: "parked",
            text: text.into(),
            detail: detail.map(Into::into),
            reason: None,
            until: None,
            request: None,
            event: None,
            actor: None,
            candidates: Vec::new(),
            overwritten: Vec::new(),
        }
    }

    fn lines(entries: Vec<TimelineEntryView>) -> Vec<String> {
        let view = TimelineView { entries, dropped_entries: 0, under_way: Vec::new() };
        timeline(&view).lines().map(str::to_owned).collect()
    }

    #[test]
    fn an_overwritten_edit_shows_both_contents() {
        let edit = OverwrittenEdit {
            testmo_id: 3_721,
            link: Some("https://acme.testmo.net/repositories/3?group_id=428&case_id=3721".into()),
            position: Some(1),
            label: "TC-1".into(),
            external_id: Some("TC-1".into()),
            certainty: Certainty::Overwritten,
            fields: vec!["name".into()],
            written: "generated".into(),
            lost: Some("mine".into()),
            history_entry: None,
        };
        let possible = OverwrittenEdit {
            certainty: Certainty::PossiblyOverwritten,
            lost: None,
            history_entry: Some(r#"{"log":1}"#.into()),
            ..edit.clone()
        };
        let entry = TimelineEntryView { overwritten: vec![edit, possible], ..entry("2 edits", None) };
        let shown = lines(vec![entry]).join("\n");
        for part in ["case TC-1: name", "lost: mine", "written: generated", "possibly name", r#"history: {"log":1}"#] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }

    #[test]
    fn long_texts_go_on_below_and_no_line_is_wider_than_a_terminal() {
        let lines = lines(vec![entry(&"a few words ".repeat(20), Some(&"x".repeat(300)))]);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:#?}");
        assert!(lines[2].starts_with("  2027-01-15 08:00:00Z  3 min ago  a few words"), "{lines:#?}");
        assert_eq!(lines.iter().filter(|line| line.trim_start().starts_with("xxx")).count(), 5, "{lines:#?}");
    }

    #[test]
    fn a_text_from_outside_controls_nothing() {
        let lines = lines(vec![entry("parked", Some("a\u{1b}[2J\u{202e}b\nc"))]);
        assert_eq!(lines[3].trim_start(), "a\\u{1b}[2J\\u{202e}b c");
    }

    #[test]
    fn nothing_has_no_heading() {
        assert_eq!(lines(vec![]), [""; 0]);
    }
}
