//! Checks properties of every request and every list.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::desk;
use crate::request::{Method, Request};

/// Returns values that are sometimes right and often wrong.
fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!([])),
        Just(json!({})),
        (-1i64..130).prop_map(Value::from),
        "[a-c &]{0,3}".prop_map(Value::from),
        proptest::collection::vec("[a-c ]{1,2}", 0..3).prop_map(Value::from),
        (0i64..130).prop_map(|id| json!([id])),
    ]
}

fn any_entry() -> impl Strategy<Value = Value> {
    let keys = prop_oneof![
        Just("name"),
        Just("folder_id"),
        Just("template_id"),
        Just("state_id"),
        Just("tags"),
        Just("parent_id"),
        Just("custom_priority"),
        Just("custom_steps"),
        Just("ids"),
        Just("invented"),
    ];
    let members = proptest::collection::vec((keys, any_value()), 0..5);
    members.prop_map(|members| members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
}

fn any_write() -> impl Strategy<Value = Request> {
    let method = prop_oneof![Just(Method::Post), Just(Method::Patch), Just(Method::Delete)];
    let list = prop_oneof![Just("cases"), Just("folders")];
    let body = (proptest::collection::vec(any_entry(), 0..3), any_entry());
    (method, list, body).prop_map(|(method, list, (entries, mut body))| {
        if method == Method::Post {
            body[list] = entries.into();
        }
        Request::with_json(method, &format!("/projects/3/{list}"), &body)
    })
}

proptest! {
    #[test]
    fn a_refused_request_changes_nothing(write in any_write()) {
        let mut desk = desk();
        desk.create_named(&["a", "b"]);
        let shown = |desk: &super::Desk| format!("{:?}", desk.world);
        let before = shown(&desk);
        let answer = desk.send(write);
        prop_assert_eq!(answer.status >= 400, !answer.committed);
        if answer.status >= 400 {
            prop_assert_eq!(before, shown(&desk));
        }
    }

    #[test]
    fn paging_to_the_end_returns_each_row_once(
        folders in proptest::collection::vec(10u64..13, 0..60),
        per_page in prop_oneof![Just(15), Just(25)],
        query in prop_oneof![
            Just("sort=repository_cases:id&order=asc"),
            Just("folder_id=10,11"),
            Just("folder_id=12"),
            Just("sort=repository_cases:name"),
            Just("state_id=4&order=asc"),
        ],
    ) {
        let mut desk = desk();
        for folder in &folders {
            desk.create(json!([{ "name": folder.to_string(), "folder_id": folder }]));
        }
        let mut seen = Vec::new();
        let mut page = Some(1);
        let mut total = 0;
        while let Some(number) = page {
            let answer = desk.get(&format!("/projects/3/cases?{query}&per_page={per_page}&page={number}"));
            let value = answer.value();
            seen.extend(super::column(&answer, "id"));
            page = value["next_page"].as_u64();
            total = value["total"].as_u64().unwrap();
        }
        let wanted = |folder: &&u64| match query {
            "folder_id=10,11" => **folder < 12,
            "folder_id=12" => **folder == 12,
            _ => true,
        };
        prop_assert_eq!(seen.len(), folders.iter().filter(wanted).count());
        prop_assert_eq!(seen.len() as u64, total);
        seen.sort();
        seen.dedup();
        prop_assert_eq!(seen.len() as u64, total);
    }
}
