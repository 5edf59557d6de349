use serde_json::json;

use super::super::model::{WindowCase, Windows, due_windows};
use super::*;
use crate::batch::written::fixture::object;

const READ: &str = "2026-07-29 12:48:28.100000";
const EDITED: &str = "2026-07-29 12:48:28.200000";
const WRITTEN: &str = "2026-07-29 12:48:28.300000";
const LATER: &str = "2026-07-29 12:48:28.400000";
const LATEST: &str = "2026-07-29 12:48:28.500000";

fn sent() -> Map<String, Value> {
    object(json!({"name": "generated", "custom_note": "<p>n</p>"}))
}

fn created() -> Value {
    json!({"id": 1, "created_at": READ, "user_id": 3, "event": "created"})
}

fn row(history: Vec<Value>) -> Map<String, Value> {
    object(json!({"id": 5, "name": "generated", "custom_note": "<p>n</p>", "folder_id": 7, "state_id": 4,
                  "updated_at": WRITTEN, "history": history}))
}

/// Returns what is due of a case whose history had its creation before, and whose request was answered.
fn due(is_answered: bool) -> DueWindow {
    let sent = sent();
    let mut case = WindowCase::open(5, sent.iter(), &row(vec![created()])).unwrap();
    if is_answered {
        case.answered(&object(json!({"updated_at": WRITTEN})));
    }
    let claim = Windows { account: String::new(), project: 3, cases: vec![case] };
    due_windows([claim]).remove(0)
}

/// Returns what is reported if these entries follow the creation of the case: the fields, the lost content, and whether that is
/// certain.
fn reported(new: &[Value]) -> Vec<(String, Option<String>, bool)> {
    let history = std::iter::once(created()).chain(new.iter().cloned()).collect();
    let found = overwritten(&due(true), false, &row(history));
    found.into_iter().map(|found| (found.fields.join(" "), found.lost, found.is_certain)).collect()
}

fn entry(id: u64, at: &str, user: u64, field: &str, new: &str) -> Value {
    json!({"id": id, "created_at": at, "user_id": user, "field": field, "old": "x", "new": new})
}

#[test]
fn an_edit_between_the_read_and_the_request_is_reported_and_no_other() {
    let ours = || entry(9, WRITTEN, 3, "name", "generated");
    let lost = |field: &str, lost: &str| vec![(field.to_owned(), Some(lost.to_owned()), true)];
    for (what, new, expected) in [
        ("only ours", vec![ours()], vec![]),
        ("nothing", vec![], vec![]),
        ("somebody else's alone cannot be told from ours", vec![entry(8, EDITED, 4, "name", "mine")], vec![]),
        ("the same field", vec![entry(8, EDITED, 4, "name", "mine"), ours()], lost("name", "mine")),
        ("listed newest first", vec![ours(), entry(8, EDITED, 4, "name", "mine")], lost("name", "mine")),
        ("under its label", vec![entry(8, EDITED, 4, "Note", "mine"), ours()], lost("custom_note", "mine")),
        ("another field", vec![entry(8, EDITED, 4, "state_id", "2"), ours()], vec![]),
        ("the same content", vec![entry(8, EDITED, 4, "custom_note", "n"), ours()], vec![]),
        ("afterwards", vec![ours(), entry(10, LATER, 4, "name", "mine")], vec![]),
        (
            "a later request of ours writes the same again",
            vec![ours(), entry(10, LATER, 4, "name", "mine"), entry(11, LATEST, 3, "name", "generated")],
            vec![],
        ),
        ("each field of ours is an entry", vec![ours(), entry(10, WRITTEN, 3, "custom_note", "<p>n</p>")], vec![]),
        (
            "ours is shown in another form, and made at one time",
            vec![ours(), entry(10, WRITTEN, 3, "custom_note", "(a text)")],
            vec![],
        ),
        (
            "two people",
            vec![entry(7, EDITED, 4, "name", "a"), entry(8, EDITED, 5, "custom_note", "b"), ours()],
            vec![("name".into(), Some("a".into()), true), ("custom_note".into(), Some("b".into()), true)],
        ),
    ] {
        assert_eq!(reported(&new), expected, "{what}");
    }
}

#[test]
fn an_entry_that_is_not_understood_is_reported_as_it_is() {
    let odd = json!({"id": 8, "created_at": EDITED, "user_id": 4, "log": "changed the name"});
    let ours = json!({"id": 9, "created_at": WRITTEN, "user_id": 3, "log": "changed the name"});
    let found = overwritten(&due(true), false, &row(vec![created(), odd.clone(), ours.clone()]));
    let [found] = &found[..] else { panic!("{found:?}") };
    assert_eq!((found.is_certain, found.lost.as_deref(), found.fields.len()), (false, None, 2));
    assert_eq!(found.entry.as_deref(), Some(odd.to_string().as_str()));
    assert_eq!(found.written, Value::Object(sent()).to_string());
    // The time of the answer shows which one is ours: what follows it was not overwritten.
    let later = json!({"id": 10, "created_at": LATER, "user_id": 4, "log": "changed the name"});
    assert_eq!(reported(&[ours.clone(), later]), []);
    assert_eq!(
        reported(&[ours.clone(), json!({"id": 10, "created_at": WRITTEN, "user_id": 3, "log": "and the note"})]),
        []
    );
    let unknown = entry(8, EDITED, 4, "Colour", "red");
    assert_eq!(
        reported(&[unknown, ours]),
        [("custom_note name".to_owned(), None, false)],
        "no column is known by this name"
    );
    // By their ids alone the newest is ours.
    assert_eq!(reported(&[json!(8), json!(9)]), [("custom_note name".to_owned(), None, false)]);
}

#[test]
fn who_made_entries_without_fields_and_times_is_known_only_until_the_case_changes_again() {
    let entry = |id: u64, by: u64| json!({"id": id, "user_id": by, "log": "changed"});
    let found = |due: &DueWindow, new: &[Value], changed_at: &str| {
        let mut row = row([&[created()], new].concat());
        row.insert("updated_at".into(), json!(changed_at));
        overwritten(due, true, &row).len()
    };
    let edited = [entry(8, 4), entry(9, 3)];
    assert_eq!(found(&due(true), &edited, WRITTEN), 1);
    assert_eq!(found(&due(true), &edited, LATER), 0, "the newest may be that of a later generation");
    assert_eq!(found(&due(false), &edited, WRITTEN), 0, "when the request was carried out is not known");
    assert_eq!(found(&due(true), &[entry(8, 3), entry(9, 3)], WRITTEN), 0, "one request may make several entries");
    let placed = |who: &str| json!({"who": who});
    assert_eq!(found(&due(true), &[placed("a"), placed("b")], WRITTEN), 1);
    assert_eq!(found(&due(true), &[placed("a"), placed("b")], LATER), 0);
}

#[test]
fn a_long_entry_is_cut() {
    let odd = json!({"id": 8, "created_at": EDITED, "log": "ä".repeat(9_000)});
    let found = overwritten(&due(true), false, &row(vec![created(), odd, entry(9, WRITTEN, 3, "name", "generated")]));
    assert_eq!(found[0].entry.as_ref().map(|entry| entry.chars().count()), Some(LONGEST + 1));
}

#[test]
fn without_a_history_or_a_carried_out_request_nothing_is_said() {
    let new = vec![created(), entry(8, EDITED, 4, "name", "mine"), entry(9, WRITTEN, 3, "name", "generated")];
    let found = |due: &DueWindow, is_recorded, row: &Map<String, Value>| overwritten(due, is_recorded, row).len();
    assert_eq!(found(&due(false), false, &row(new.clone())), 1, "the row shows what was sent");
    let mut other = row(new);
    other.insert("name".into(), json!("another"));
    assert_eq!(found(&due(false), false, &other), 0);
    assert_eq!((found(&due(false), true, &other), found(&due(true), false, &other)), (1, 1));
    let of_undo = DueWindow { case: due(false).case.of_undo(), until: None };
    assert_eq!(found(&of_undo, true, &other), 0, "the record says nothing of an undo");
    for history in [json!(null), json!({"0": 1}), json!("none")] {
        other.insert("history".into(), history.clone());
        assert_eq!(found(&due(true), true, &other), 0, "{history}");
    }
    other.remove("history");
    assert_eq!(found(&due(true), true, &other), 0);
}
