//! Checks which cases a list shows, in which order, and with which keys.

use serde_json::{Value, json};

use super::{Desk, desk};
use crate::model::TagsFilter;
use crate::time::Time;

/// Creates `a` in 10 by steps, `b` in 11 by text and approved, `c` in 12 tagged; one minute apart; `d` in another
/// project.
fn filled() -> Desk {
    let mut desk = desk();
    for case in [
        json!({ "name": "a", "folder_id": 10, "tags": ["x"] }),
        json!({ "name": "b", "folder_id": 11, "template_id": 1, "state_id": 3 }),
        json!({ "name": "c", "folder_id": 12, "tags": ["x", "Y"] }),
    ] {
        desk.create(json!([case]));
        desk.now = desk.now.plus(60_000);
    }
    desk.token = "admin";
    desk.post("/projects/4/cases", json!({ "cases": [{ "name": "d", "folder_id": 20, "tags": ["x"] }] }));
    desk
}

#[test]
fn filters_narrow_the_list_and_unknown_ones_are_ignored() {
    let mut desk = filled();
    desk.patch("/projects/3/cases", json!({ "ids": [101], "status_id": 2 }));
    for (query, names) in [
        ("", &["c", "b", "a"][..]),
        ("folder_id=10", &["a"]),
        ("folder_id=10,12", &["c", "a"]),
        ("folder_id=20", &[]),
        ("folder_id=99", &[]),
        ("template_id=1", &["b"]),
        ("template_id=1,2&folder_id=10,11", &["b", "a"]),
        ("state_id=3", &["b"]),
        ("status_id=2", &["a"]),
        ("created_by=2", &["c", "b", "a"]),
        ("created_by=1", &[]),
        ("updated_by=1", &["a"]),
        ("has_automation=1", &[]),
        ("has_automation=0", &["c", "b", "a"]),
        ("has_automation=true", &[]),
        ("has_automation=false", &["c", "b", "a"]),
        ("created_after=2026-07-31T09:32:21.067Z", &["c", "b"]),
        ("created_after=2026-07-31T09:33:00Z&created_before=2026-07-31T09:34:00Z", &["b"]),
        ("created_before=2026-07-31T09:33:00Z", &["a"]),
        ("tags=x", &["c", "a"]),
        ("tags=X", &["c", "a"]),
        ("tags=2", &["c"]),
        ("tags=y,nothing", &["c"]),
        ("tags=nothing", &[]),
        ("tags=x&folder_id=10", &["a"]),
        ("tags=x&folder_id=10,11,12&template_id=2", &["c", "a"]),
        ("limit=1&query=a&search=a&invented=1", &["c", "b", "a"]),
        ("name=a&recursive=1", &["c", "b", "a"]),
    ] {
        assert_eq!(desk.names(&format!("/projects/3/cases?{query}")), names, "{query}");
        let reversed: Vec<&str> = names.iter().rev().copied().collect();
        let ascending = format!("/projects/3/cases?{query}&order=asc&sort=repository_cases:id");
        assert_eq!(desk.names(&ascending), reversed, "{query}");
        let total = &desk.get(&ascending).value()["total"];
        assert_eq!(total, &json!(names.len()), "{query}");
    }
}

#[test]
fn a_tags_filter_that_the_tenant_lacks_shows_everything() {
    let mut desk = filled();
    desk.settings().tags_filter = TagsFilter::Ignored;
    assert_eq!(desk.names("/projects/3/cases?tags=nothing").len(), 3);
}

#[test]
fn a_tags_filter_may_mean_all_of_them_or_find_new_cases_late() {
    let mut desk = filled();
    desk.settings().tags_filter = TagsFilter::All;
    assert_eq!(desk.names("/projects/3/cases?tags=x"), ["c", "a"]);
    assert_eq!(desk.names("/projects/3/cases?tags=x,y"), ["c"]);
    assert!(desk.names("/projects/3/cases?tags=x,nothing").is_empty());
    // The last case of this project is a minute old.
    desk.settings().tags_filter = TagsFilter::Late(60_001);
    assert_eq!(desk.names("/projects/3/cases?tags=x"), ["a"]);
    desk.now = desk.now.plus(1);
    assert_eq!(desk.names("/projects/3/cases?tags=x"), ["c", "a"]);
}

#[test]
fn newer_filters_can_be_switched_on() {
    let mut desk = filled();
    desk.settings().name_filter = true;
    desk.settings().recursive_filter = true;
    assert_eq!(desk.names("/projects/3/cases?name=B"), ["b"]);
    assert_eq!(desk.names("/projects/3/cases?folder_id=10&recursive=1"), ["b", "a"]);
}

#[test]
fn lists_are_sorted_by_the_wished_column() {
    let mut desk = filled();
    for (sort, names) in [
        ("name&order=asc", ["a", "b", "c"]),
        ("created_at", ["c", "b", "a"]),
        ("template_id&order=asc", ["b", "a", "c"]),
        ("state_id&order=desc", ["c", "a", "b"]),
        ("folder_id", ["c", "b", "a"]),
        ("display_order&order=asc", ["a", "b", "c"]),
    ] {
        assert_eq!(desk.names(&format!("/projects/3/cases?sort=repository_cases:{sort}")), names, "{sort}");
        assert_eq!(desk.names(&format!("/projects/3/cases?sort={sort}")), names, "bare {sort}");
    }
}

#[test]
fn a_list_can_ignore_what_order_is_asked_for() {
    let mut desk = desk();
    desk.create_named(&["b", "a"]);
    desk.settings().ignores_case_sort = true;
    for query in ["sort=name&order=asc", "sort=repository_cases:colour", "order=asc"] {
        assert_eq!(desk.names(&format!("/projects/3/cases?{query}")), ["a", "b"], "{query}");
    }
}

#[test]
fn a_clock_that_goes_back_is_sorted_by_time_all_the_same() {
    let mut desk = filled();
    desk.token = "write";
    desk.now = Time(0);
    desk.create_named(&["old"]);
    assert_eq!(desk.names("/projects/3/cases"), ["c", "b", "a", "old"]);
    assert_eq!(desk.names("/projects/3/cases?sort=repository_cases:id")[0], "old");
    let young = "/projects/3/cases?sort=repository_cases:id&created_after=2026-01-01T00:00:00Z";
    assert_eq!(desk.names(young), ["c", "b", "a"]);
}

#[test]
fn relations_are_absent_unless_expanded_and_tags_are_bare_ids() {
    let mut desk = filled();
    let plain = desk.get("/projects/3/cases").value();
    for key in ["tags", "issues", "automation_links", "comments", "history"] {
        assert_eq!(plain["result"][0].get(key), None, "{key}");
    }
    assert_eq!(plain["expands"], json!([]));
    let all = "tags,folders,users,templates,automation_links,comments,history,invented";
    let full = desk.get(&format!("/projects/3/cases?folder_id=12&expands={all}")).value();
    assert_eq!(full["result"][0]["tags"], json!([1, 2]));
    assert_eq!(full["result"][0].get("issues"), None);
    let expands = &full["expands"];
    assert_eq!(expands["tags"], json!([{ "id": 1, "name": "x" }, { "id": 2, "name": "y" }]));
    assert_eq!(expands["folders"][0]["name"], "Shop");
    assert_eq!(expands["users"], json!([{ "id": 2, "name": "write bot" }]));
    assert_eq!(expands["templates"], json!([{ "id": 2, "name": "Case (steps)" }]));
    for key in ["automation_links", "comments", "history"] {
        assert_eq!((&full["result"][0][key], &expands[key]), (&json!([]), &json!([])), "{key}");
    }
    assert_eq!(expands.get("invented"), None::<&Value>);
}

#[test]
fn a_case_is_in_the_list_right_after_it_was_made() {
    let mut desk = desk();
    desk.create_named(&["a"]);
    assert_eq!(desk.names("/projects/3/cases"), ["a"]);
}
