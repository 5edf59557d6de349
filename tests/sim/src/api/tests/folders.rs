//! Checks the routes of folders.

use serde_json::json;

use super::{column, desk, fault_keys};
use crate::model::{FolderList, FolderNames, FolderSort};

#[test]
fn folders_are_a_flat_list_with_parents_and_depths() {
    let answer = desk().get("/projects/3/folders");
    assert_eq!(
        answer.value()["result"][1],
        json!({ "id": 11, "project_id": 3, "repo_id": 3, "name": "Codes", "parent_id": 10,
                "depth": 1, "docs": null, "display_order": 11 })
    );
    assert_eq!(column(&answer, "depth"), ["0", "1", "0"]);
}

#[test]
fn the_folder_list_can_take_few_columns_or_none() {
    let mut desk = desk();
    assert_eq!(desk.names("/projects/3/folders?sort=name"), ["Codes", "Login", "Shop"]);
    desk.settings().folder_sort = FolderSort::DocumentedOnly;
    assert_eq!(desk.names("/projects/3/folders?sort=repository_folders:name"), ["Codes", "Login", "Shop"]);
    assert_eq!(desk.get("/projects/3/folders?sort=repository_folders:id").status, 422);
    desk.settings().folder_sort = FolderSort::Ignored;
    let by_place = desk.names("/projects/3/folders");
    assert_eq!(desk.names("/projects/3/folders?sort=repository_folders:name&order=desc"), by_place);
}

#[test]
fn folders_are_filtered_and_sorted() {
    let mut desk = desk();
    for (query, names) in [
        ("parent_id=10", &["Codes"][..]),
        ("parent_id=10,12", &["Codes"]),
        ("parent_id=12", &[]),
        ("name=o", &["Login", "Codes", "Shop"]),
        ("name=LOG", &["Login"]),
        ("sort=repository_folders:name", &["Codes", "Login", "Shop"]),
        ("sort=repository_folders:id&order=desc", &["Shop", "Codes", "Login"]),
        ("sort=repository_folders:depth", &["Login", "Shop", "Codes"]),
        ("invented=1", &["Login", "Codes", "Shop"]),
    ] {
        assert_eq!(desk.names(&format!("/projects/3/folders?{query}")), names, "{query}");
    }
    let expands = desk.get("/projects/3/folders?parent_id=10&expands=folders").value();
    assert_eq!(expands["expands"]["folders"][0]["name"], "Login");
}

#[test]
fn folders_are_made_from_a_list_or_from_an_object_of_indices() {
    let mut desk = desk();
    let made = desk.post(
        "/projects/3/folders",
        json!({ "folders": [
        { "name": " AI drafts ", "parent_id": 11, "docs": "<p>a & b</p>", "display_order": 1 } ] }),
    );
    assert_eq!(made.status, 201);
    assert_eq!(
        made.value(),
        json!({ "result": [{ "id": 21, "project_id": 3, "repo_id": 3, "name": "AI drafts", "parent_id": 11,
                             "depth": 2, "docs": "<p>a &amp; b</p>", "display_order": 1 }] })
    );
    let twins = json!({ "folders": { "0": { "name": "Twin" }, "1": { "name": "Twin" } } });
    let made = desk.post("/projects/3/folders", twins);
    assert_eq!((made.status, made.created), (201, vec![22, 23]));
}

#[test]
fn new_folders_can_be_listed_late_or_never_with_folded_names_and_without_their_parent() {
    let mut desk = desk();
    let wish = json!({ "folders": [{ "name": "A  B", "parent_id": 12 }] });
    desk.settings().folder_list = FolderList::Late(2_000);
    desk.settings().folder_names = FolderNames::Folded;
    desk.settings().echoes_folder_parents = false;
    let made = desk.post("/projects/3/folders", wish).value();
    assert_eq!((&made["result"][0]["name"], &made["result"][0]["parent_id"]), (&json!("A B"), &json!(null)));
    assert_eq!(desk.names("/projects/3/folders?parent_id=12"), [""; 0]);
    desk.now = desk.now.plus(2_000);
    assert_eq!(desk.names("/projects/3/folders?parent_id=12"), ["A B"]);
    desk.settings().folder_list = FolderList::Never;
    assert_eq!(desk.names("/projects/3/folders"), ["Login", "Codes", "Shop"]);
}

#[test]
fn a_folder_that_is_wrong_refuses_all() {
    let mut desk = desk();
    for (folder, key) in [
        (json!({}), "folders.1.name"),
        (json!({ "name": "  " }), "folders.1.name"),
        (json!({ "name": null }), "folders.1.name"),
        (json!({ "name": 7 }), "folders.1.name"),
        (json!({ "name": "a", "parent_id": 99 }), "folders.1.parent_id"),
        (json!({ "name": "a", "parent_id": 20 }), "folders.1.parent_id"),
        (json!({ "name": "a", "parent_id": "10" }), "folders.1.parent_id"),
        (json!({ "name": "a", "display_order": "1" }), "folders.1.display_order"),
        (json!("a"), "folders.1"),
    ] {
        let refusal = desk.post("/projects/3/folders", json!({ "folders": [{ "name": "fine" }, folder] }));
        assert_eq!((refusal.status, fault_keys(&refusal)), (422, vec![key.to_owned()]));
    }
    assert_eq!(desk.post("/projects/3/folders", json!({ "name": "bare" })).status, 422);
    assert_eq!(desk.names("/projects/3/folders").len(), 3);
}

#[test]
fn folders_are_renamed_and_moved() {
    let mut desk = desk();
    let moved = desk.patch("/projects/3/folders", json!({ "ids": [11], "name": "Moved", "parent_id": null }));
    let shown = json!({ "result": [{ "id": 11, "name": "Moved", "parent_id": null, "docs": null }] });
    assert_eq!((moved.status, moved.value()), (200, shown));
    for body in [
        json!({ "ids": [10], "parent_id": 10 }),
        json!({ "ids": [99], "name": "x" }),
        json!({ "name": "x" }),
        json!({ "ids": [20], "name": "x" }),
    ] {
        assert_eq!(desk.patch("/projects/3/folders", body.clone()).status, 422, "{body}");
    }
}

#[test]
fn a_deleted_folder_takes_its_folders_and_cases_along_and_its_id_is_not_used_again() {
    let mut desk = desk();
    desk.create(json!([{ "name": "a", "folder_id": 11 }, { "name": "b", "folder_id": 12 }]));
    let gone = desk.delete("/projects/3/folders", json!({ "ids": [10] }));
    assert_eq!((gone.status, gone.body.len()), (204, 0));
    assert_eq!(desk.names("/projects/3/folders"), ["Shop"]);
    assert_eq!(desk.names("/projects/3/cases"), ["b"]);
    desk.delete("/projects/3/folders", json!({ "ids": [12] }));
    let made = desk.post("/projects/3/folders", json!({ "folders": [{ "name": "new" }] }));
    assert_eq!(made.created, [21]);
}
