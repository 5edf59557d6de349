//! Checks how lists are divided into pages.

use serde_json::{Value, json};

use super::{column, desk};

#[test]
fn only_four_page_sizes_are_taken() {
    let mut desk = desk();
    for size in ["15", "25", "50", "100"] {
        assert_eq!(desk.get(&format!("/projects/3/cases?per_page={size}")).status, 200, "{size}");
    }
    let words = "The selected page rows is invalid.";
    let body = json!({ "message": words, "errors": { "per_page": [words] } });
    for size in ["0", "1", "10", "101", "250", "all", ""] {
        for list in ["/projects", "/projects/3/cases", "/projects/3/folders", "/projects/3/tags"] {
            let refusal = desk.get(&format!("{list}?per_page={size}"));
            assert_eq!((refusal.status, refusal.value()), (422, body.clone()), "{list} {size}");
        }
    }
}

#[test]
fn an_empty_set_has_null_page_numbers_and_a_list_for_expands() {
    let empty = desk().get("/projects/3/cases").value();
    assert_eq!(
        empty,
        json!({ "page": null, "prev_page": null, "next_page": null, "last_page": null,
                "per_page": 100, "total": 0, "result": [], "expands": [] })
    );
}

#[test]
fn pages_name_their_neighbours_and_one_beyond_the_last_is_empty() {
    let mut desk = desk();
    let names: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    desk.create_named(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for (page, neighbours, rows) in [
        (1, json!([1, null, 2, 3]), 15),
        (2, json!([2, 1, 3, 3]), 15),
        (3, json!([3, 2, null, 3]), 10),
        (4, json!([4, 3, null, 3]), 0),
        (9, json!([9, 3, null, 3]), 0),
    ] {
        let answer = desk.get(&format!("/projects/3/cases?per_page=15&page={page}"));
        let value = answer.value();
        let numbers = ["page", "prev_page", "next_page", "last_page"].map(|key| value[key].clone());
        assert_eq!(Value::from(numbers.to_vec()), neighbours, "page {page}");
        assert_eq!((column(&answer, "id").len(), &value["total"]), (rows, &json!(40)));
    }
}

#[test]
fn pages_orders_and_sorts_that_make_no_sense_are_422() {
    let mut desk = desk();
    for query in [
        "page=0",
        "page=-1",
        "page=x",
        "order=down",
        "sort=colour",
        "sort=repository_folders:name",
        "sort=repository_cases:colour",
        "folder_id=ten",
        "created_after=yesterday",
        "has_automation=maybe",
    ] {
        assert_eq!(desk.get(&format!("/projects/3/cases?{query}")).status, 422, "{query}");
    }
}
