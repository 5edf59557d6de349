//! Checks PATCH and DELETE of cases.

use serde_json::{Value, json};

use super::{desk, fault_keys};

const CASES: &str = "/projects/3/cases";

#[test]
fn a_patch_sets_the_same_values_for_all_and_lists_replace() {
    let mut desk = desk();
    desk.create(json!([{ "name": "a", "folder_id": 10, "tags": ["old"], "custom_steps": [{ "text1": "1" }] },
                       { "name": "b", "folder_id": 10 }]));
    desk.now = desk.now.plus(1_000);
    let patched = desk.patch(
        CASES,
        json!({ "ids": [102, 101], "state_id": 1, "folder_id": 12, "tags": ["New"],
        "custom_steps": [{ "text1": "2" }], "template_id": 1, "unknown": true }),
    );
    assert_eq!(patched.status, 200);
    let rows = patched.value();
    for (row, id) in rows["result"].as_array().unwrap().iter().zip([102, 101]) {
        assert_eq!((&row["id"], &row["state_id"], &row["template_id"]), (&json!(id), &json!(1), &json!(2)));
        assert_eq!(row["tags"][0]["name"], "new");
        assert_eq!((&row["custom_steps"][0]["text1"], &row["custom_steps"][0]["case_id"]), (&json!("2"), &json!(id)));
        assert_eq!((&row["updated_by"], &row["updated_at"]), (&json!(2), &json!("2026-07-31 09:32:22.067000")));
    }
    assert_eq!(desk.names(&format!("{CASES}?folder_id=12")), ["b", "a"]);
    assert!(desk.names(&format!("{CASES}?tags=old")).is_empty());
    assert_eq!(desk.names(&format!("{CASES}?folder_id=10")), Vec::<String>::new());
}

#[test]
fn a_patch_with_nothing_usable_is_400_in_the_recorded_words() {
    let mut desk = desk();
    desk.create_named(&["a"]);
    let words = "No fields provided or the fields provided are not valid for update.";
    for body in
        [json!({ "ids": [101], "priority_id": 1 }), json!({ "ids": [101] }), json!({ "ids": [101], "template_id": 1 })]
    {
        let refusal = desk.patch(CASES, body);
        assert_eq!(
            (refusal.status, refusal.value()),
            (400, json!({ "message": words, "errors": { "fields": [words] } }))
        );
    }
}

#[test]
fn a_patch_that_is_wrong_changes_nothing() {
    let mut desk = desk();
    desk.create(json!([{ "name": "a", "folder_id": 10 }, { "name": "b", "folder_id": 10, "template_id": 1 }]));
    for (body, key) in [
        (json!({ "ids": [101, 999], "name": "x" }), "ids.1"),
        (json!({ "ids": ["101"], "name": "x" }), "ids.0"),
        (json!({ "ids": [], "name": "x" }), "ids"),
        (json!({ "case_ids": [101], "name": "x" }), "ids"),
        (json!({ "ids": [101], "name": "x", "state_id": 77 }), "state_id"),
        (json!({ "ids": [101], "name": "x", "tags": ["a b"] }), "tags"),
        (json!({ "ids": [101], "name": "x", "folder_id": 20 }), "folder_id"),
        (json!({ "ids": [101, 102], "name": "x", "custom_steps": [] }), "custom_steps"),
    ] {
        let refusal = desk.patch(CASES, body.clone());
        assert_eq!((refusal.status, fault_keys(&refusal)), (422, vec![key.to_owned()]), "{body}");
    }
    assert_eq!(desk.names(CASES), ["b", "a"]);
}

#[test]
fn deleting_takes_all_ids_or_none_and_answers_with_nothing() {
    let mut desk = desk();
    desk.create_named(&["a", "b", "c"]);
    for body in [json!({ "case_ids": [101] }), json!({ "ids": [101, 999] }), json!({}), Value::Null] {
        assert_eq!(desk.delete(CASES, body.clone()).status, 422, "{body}");
    }
    let gone = desk.delete(CASES, json!({ "ids": [101, 102] }));
    assert_eq!((gone.status, gone.body.len(), gone.header("content-type")), (204, 0, None));
    assert_eq!(desk.names(CASES), ["c"]);
    assert_eq!(desk.create_named(&["d"]), [104]);
}
