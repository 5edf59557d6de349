//! Decides from what the create, edit and delete requests of a probe showed which assumptions hold.

use serde_json::{Map, Value};

use super::ask::{Miss, Seen};
use super::findings::{Judged, does_not_hold, finding, holds, missed, not_seen, span};
use super::sent::{MARKUP, TEXT, TagRule};
use super::writes::WriteSeen;
use crate::batch::ledger::reconcile::CLOCK_MARGIN_MS;
use crate::store::connections::{Assumption, Finding, Found};
use crate::testmo::Written;

/// Judges each assumption that only a case of the probe's own shows; `seen` is nothing for a probe that only reads.
/// `highest` is the highest id that was listed before.
pub(super) fn of_writes(seen: Option<&WriteSeen>, highest: Option<u64>) -> Vec<Finding> {
    type Judge = fn(&WriteSeen) -> Judged;
    let judges: [(Assumption, Judge); 10] = [
        (Assumption::RightToCreate, right_to_create),
        (Assumption::ListedAtOnce, listed_at_once),
        (Assumption::NamesKept, names_kept),
        (Assumption::NameEndsTrimmed, name_ends_trimmed),
        (Assumption::TextKept, text_kept),
        (Assumption::MarkupKept, markup_kept),
        (Assumption::TagLength, |seen| tag_rule(seen, TagRule::Length)),
        (Assumption::TagCase, |seen| tag_rule(seen, TagRule::Case)),
        (Assumption::TagCharacters, tag_characters),
        (Assumption::RightToEdit, right_to_edit),
    ];
    let untried = || not_seen("not tried; --write tries it");
    let mut findings: Vec<Finding> =
        judges.into_iter().map(|(assumption, judge)| finding(assumption, seen.map_or_else(untried, judge))).collect();
    findings.push(finding(Assumption::RightToDelete, seen.map_or_else(untried, right_to_delete)));
    if let Some(seen) = seen {
        let better = [
            (Assumption::CreatedAtUtc, created_at(seen)),
            (Assumption::IdsAscend, id_ascends(seen, highest)),
            (Assumption::TagsListed, tags_listed(seen)),
        ];
        findings.extend(better.map(|(assumption, judged)| finding(assumption, judged)));
    }
    findings
}

/// Joins what reads and writes showed: what does not hold counts, and then what was seen.
pub(super) fn joined(mut findings: Vec<Finding>, more: Vec<Finding>) -> Vec<Finding> {
    let weight = |found: Found| match found {
        Found::NotSeen => 0,
        Found::Holds => 1,
        Found::DoesNotHold => 2,
    };
    for new in more {
        match findings.iter_mut().find(|known| known.assumption == new.assumption) {
            Some(known) if weight(new.result) >= weight(known.result) && new.result != Found::NotSeen => *known = new,
            Some(_) => {}
            None => findings.push(new),
        }
    }
    findings.sort_by_key(|finding| finding.assumption);
    findings
}

/// Returns whether a new case got a lower id than one that existed before.
pub(super) fn is_disordered(seen: &WriteSeen, highest: Option<u64>) -> bool {
    seen.listed.as_ref().zip(highest).is_some_and(|((row, _), highest)| row.id < highest)
}

fn right_to_create(seen: &WriteSeen) -> Judged {
    match (&seen.create, &seen.listed) {
        (Ok(_), Some(_)) => holds("a case was created, and listed"),
        (Ok(_), None) => holds("Testmo answered that a case was created"),
        (Err(miss), _) if miss.may_have_committed() => not_seen(miss.words()),
        (Err(miss), _) => missed(miss),
    }
}

fn listed_at_once(seen: &WriteSeen) -> Judged {
    match (&seen.create, &seen.listed) {
        (Ok(_), Some((_, 1))) => holds("the first list showed the new case"),
        (Ok(_), Some((_, reads))) => does_not_hold(format!("only list {reads} showed the new case, seconds later")),
        (Ok(_), None) => does_not_hold("no list showed the new case for some seconds"),
        (Err(_), _) => no_case(),
    }
}

fn no_case() -> Judged {
    not_seen("no case was created")
}

fn created_at(seen: &WriteSeen) -> Judged {
    let Ok(created) = &seen.create else { return no_case() };
    match created.offset {
        None => not_seen("the answer has no creation time, or no plausible `Date`"),
        Some(offset) if offset.abs() <= CLOCK_MARGIN_MS => holds(format!("{} from the answer's `Date`", span(offset))),
        Some(offset) => does_not_hold(format!("{} from the answer's `Date`", span(offset))),
    }
}

fn id_ascends(seen: &WriteSeen, highest: Option<u64>) -> Judged {
    match (&seen.listed, highest) {
        (None, _) => no_case(),
        (_, None) => not_seen("no other case is known"),
        (Some(_), Some(_)) if is_disordered(seen, highest) => {
            does_not_hold("the new case has a lower id than a case that existed before")
        }
        (Some(_), Some(_)) => holds("the new case has the highest id"),
    }
}

fn tags_listed(seen: &WriteSeen) -> Judged {
    // A case is taken for the probe's own only where the list shows its tag.
    match &seen.listed {
        Some(_) => holds("the list shows the tag of the new case"),
        None => not_seen("the list did not show the new case with its tag"),
    }
}

fn names_kept(seen: &WriteSeen) -> Judged {
    let Some((row, _)) = &seen.listed else { return no_case() };
    let (sent, shown) = (seen.case.name.as_str(), row.name.trim());
    let folded = |name: &str| name.split_whitespace().collect::<Vec<_>>().join(" ");
    if shown == sent {
        holds("`&`, `<`, `\"`, capitals and two blanks in a row came back")
    } else if shown == sent.to_lowercase() {
        does_not_hold("capitals became small letters")
    } else if shown == folded(sent) {
        does_not_hold("blanks in a row became one")
    } else if decoded(shown) == sent {
        does_not_hold("`&` or `<` came back encoded")
    } else if sent.starts_with(shown) {
        does_not_hold("the name was cut")
    } else {
        does_not_hold("the name came back changed")
    }
}

fn name_ends_trimmed(seen: &WriteSeen) -> Judged {
    let Some((row, _)) = &seen.listed else { return no_case() };
    match row.name.as_str() == row.name.trim() {
        true => holds("a blank at each end was removed"),
        false => does_not_hold("blanks at the ends came back"),
    }
}

fn text_kept(seen: &WriteSeen) -> Judged {
    let Ok(created) = &seen.create else { return no_case() };
    match seen.case.html_in(&created.values).map(words_of) {
        None => not_seen("the answer shows no text, or the mapping sends none"),
        Some(words) if words == TEXT => holds("`&`, `<`, `>`, `\"` and `é` came back as they were written"),
        Some(_) => does_not_hold("people would read another text than was written"),
    }
}

fn markup_kept(seen: &WriteSeen) -> Judged {
    let shown = match &seen.markup {
        None => return not_seen("not tried"),
        Some(Err(miss)) => return not_seen(miss.words()),
        Some(Ok(edited)) => seen.case.html_in(&edited.values),
    };
    let Some(html) = shown else { return not_seen("the answer shows no text") };
    let says = |name: &str, part: &str, encoded: &str| {
        let what = if html.contains(part) {
            "kept"
        } else if html.contains(encoded) {
            "encoded"
        } else {
            "removed"
        };
        format!("{name} {what}")
    };
    let all = [
        says("`&`", "a & b", "a &amp; b"),
        says("`<b>`", "<b>c</b>", "&lt;b&gt;"),
        says("`<script>`", "<script>", "&lt;script&gt;"),
    ];
    let observed = all.join(", ");
    if html == MARKUP || html == MARKUP.replace("a & b", "a &amp; b") {
        holds(observed)
    } else {
        does_not_hold(observed)
    }
}

/// Returns the text that people read: without tags of HTML, and with entities decoded.
fn words_of(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        rest = after.split_once('>').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    decoded(&text)
}

fn decoded(text: &str) -> String {
    let decode = |text: String, (entity, c): (&str, &str)| text.replace(entity, c);
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&#39;", "'"), ("&eacute;", "é")];
    entities.into_iter().fold(text.to_owned(), decode).replace("&amp;", "&")
}

fn tried(seen: &WriteSeen, rule: TagRule) -> Option<&Seen<Written>> {
    seen.tags.iter().find(|(tried, _)| *tried == rule).map(|(_, edited)| edited)
}

/// Returns whether Testmo accepted a tag, and with which spelling it came back.
fn tag_rule(seen: &WriteSeen, rule: TagRule) -> Judged {
    let (sent, small) = (rule.tag(), rule.tag().to_lowercase());
    match tried(seen, rule) {
        None => not_seen("not tried"),
        Some(Err(miss)) if is_refused(miss) => does_not_hold(miss.words()),
        Some(Err(miss)) => not_seen(miss.words()),
        Some(Ok(edited)) => {
            let tags = tags_of(&edited.values);
            if tags.contains(&small.as_str()) {
                holds(if rule == TagRule::Case { "capitals became small letters" } else { "accepted" })
            } else if tags.contains(&sent) {
                does_not_hold("capitals came back")
            } else {
                does_not_hold("accepted, and missing or changed in the answer")
            }
        }
    }
}

fn tag_characters(seen: &WriteSeen) -> Judged {
    let says = |rule: TagRule, name: &str| match tried(seen, rule) {
        None => (None, format!("a {name} was not tried")),
        Some(Err(miss)) if is_refused(miss) => (Some(true), format!("a {name} is refused")),
        Some(Err(miss)) => (None, format!("a tag with a {name} was {}", miss.words())),
        Some(Ok(_)) => (Some(false), format!("a {name} is accepted")),
    };
    let (blank, dot) = (says(TagRule::Blank, "blank"), says(TagRule::Dot, "dot"));
    let observed = format!("{}, {}", blank.1, dot.1);
    match (blank.0, dot.0) {
        (Some(true), Some(true)) => holds(observed),
        (Some(false), _) | (_, Some(false)) => does_not_hold(observed),
        (None | Some(true), None) | (None, Some(true)) => not_seen(observed),
    }
}

/// Returns whether Testmo refused the content of a request.
fn is_refused(miss: &Miss) -> bool {
    use crate::batch::verdict::answer::ApiError;
    matches!(miss, Miss::Failed(ApiError::Invalid(_)))
}

/// Returns the tags in an answer, which shows them as objects with a name, or as names.
fn tags_of(values: &Map<String, Value>) -> Vec<&str> {
    let tags = values.get("tags").and_then(Value::as_array);
    tags.into_iter().flatten().filter_map(|tag| tag["name"].as_str().or(tag.as_str())).collect()
}

fn right_to_edit(seen: &WriteSeen) -> Judged {
    let edits = || seen.tags.iter().map(|(_, edited)| edited).chain(&seen.markup);
    if edits().any(Result::is_ok) {
        return holds("the case was edited");
    }
    match edits().find_map(|edited| edited.as_ref().err()) {
        Some(miss) if miss.may_have_committed() => not_seen(miss.words()),
        Some(miss) => missed(miss),
        None => not_seen("not tried"),
    }
}

fn right_to_delete(seen: &WriteSeen) -> Judged {
    match (&seen.delete, &seen.left) {
        (None, _) => not_seen("not tried"),
        (Some(Ok(())), None) => holds("the case was deleted, and is not listed any more"),
        (Some(Ok(())), Some(_)) => does_not_hold("Testmo confirmed the deletion, and the list does not"),
        (Some(Err(_)), None) => not_seen("the answer was lost, and the case is not listed any more"),
        (Some(Err(miss)), Some(_)) if miss.may_have_committed() => not_seen(miss.words()),
        (Some(Err(miss)), Some(_)) => missed(miss),
    }
}
