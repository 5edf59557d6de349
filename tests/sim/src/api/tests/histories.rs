//! Checks the forms in which lists show the history of cases.

use serde_json::{Value, json};

use super::desk;
use crate::model::HistoryForm;
use crate::time::Time;

/// Returns the history and the entries beside the rows, after a case was created by user 2 and then renamed and moved.
fn shown(form: HistoryForm) -> (Value, Value) {
    let mut desk = desk();
    desk.settings().history = form;
    let id = desk.create_named(&["a"])[0];
    desk.now = Time(desk.now.0 + 1_000);
    desk.patch("/projects/3/cases", json!({"ids": [id], "name": "b", "folder_id": 12}));
    desk.patch("/projects/3/cases", json!({"ids": [id], "name": "b"}));
    let list = desk.get("/projects/3/cases?expands=history").value();
    (list["result"][0].get("history").cloned().unwrap_or_default(), list["expands"]["history"].clone())
}

#[test]
fn a_history_has_the_creation_and_each_change_in_the_form_of_the_account() {
    let (created, changed) = ("2026-07-31 09:32:21.067000", "2026-07-31 09:32:22.067000");
    let field = |id: u64, field: &str, old: Value, new: Value| json!({"id": id, "created_at": changed, "user_id": 2, "field": field, "old": old, "new": new});
    let creation = json!({"id": 1, "created_at": created, "user_id": 2, "event": "created"});
    let fields =
        json!([field(3, "name", json!("a"), json!("b")), field(2, "folder_id", json!(10), json!(12)), creation]);
    assert_eq!(shown(HistoryForm::Fields), (fields, json!([])));
    let changes = json!([
        {"column_name": "folder_id", "from": 10, "to": 12},
        {"column_name": "name", "from": "a", "to": "b"},
    ]);
    let requests = json!([
        {"id": 1, "created_at": created, "user": {"id": 2}, "changes": []},
        {"id": 2, "created_at": changed, "user": {"id": 2}, "changes": changes},
    ]);
    assert_eq!(shown(HistoryForm::Requests), (requests.clone(), json!([])));
    assert_eq!(shown(HistoryForm::Joined), (json!([1, 2]), requests));
    let (prose, _) = shown(HistoryForm::Prose);
    assert_eq!((&prose[0]["log"], &prose[1]["log"]), (&json!("created"), &json!("edited folder_id, name")));
    assert_eq!(shown(HistoryForm::Empty), (json!([]), json!([])));
    assert_eq!(shown(HistoryForm::Absent), (Value::Null, json!([])));
}
