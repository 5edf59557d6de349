//! Checks that only what the generator changed is written, and that what people edited stays.

use serde_json::{Value, json};
use testmo_sim::Method;

use super::{both, changes, count, generation, rename, row_of};
use crate::support::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_generation_updates_what_changed_and_keeps_what_people_edited() {
    for stage in both().await {
        updates(stage).await;
    }
}

async fn updates(mut stage: Stage) {
    stage.start_worker();
    stage.publish(&generation(1, 6, "update")).await;
    let first = stage.delivered("acme/g-1").await;
    assert_eq!(changes(&first), ["created"; 6]);
    let acme = stage.account("acme");
    let id = |case: usize| row_of(&acme, &first, case).id;
    acme.change_case(id(2), |case| case.name = "mine".into());
    acme.change_case(id(3), |case| case.state_id = 4);
    acme.delete_case(id(5));
    let moved = acme.create_folder(1, 1, "elsewhere");
    acme.change_case(id(6), |case| case.folder_id = moved);

    let mut second = generation(2, 7, "update");
    for (case, name) in [(1, "new 1"), (2, "new 2"), (5, "new 5"), (6, "new 6")] {
        rename(&mut second, case, name);
    }
    second["cases"][2]["steps"] = json!([{"action": "Close the page"}]);
    second["cases"][0]["tags"] = json!(["smoke"]);
    stage.publish(&second).await;
    let event = stage.delivered("acme/g-2").await;
    assert_eq!(changes(&event), ["updated", "kept", "updated", "unchanged", "not_found", "updated", "created"]);
    let case = |n: usize| &event["data"]["cases"][n - 1];
    assert_eq!(case(1)["fields_written"], json!(["name", "tags"]));
    assert_eq!(case(2)["fields_kept"], json!([{"field": "name", "generated": "new 2", "shown": "mine"}]));
    assert_eq!((&case(2)["kept_because"], &case(2)["testmo_id"]), (&json!("edited"), &json!(id(2))));
    assert_eq!(case(3)["fields_written"], json!(["custom_steps"]));
    assert_eq!(case(1)["previous"]["batch_id"], "g-1");

    let names: Vec<String> = [1, 2, 3, 4, 6].map(|n| row_of(&acme, &event, n).name).into();
    assert_eq!(names, ["new 1", "mine", "g-1 case 3", "g-1 case 4", "new 6"]);
    assert_eq!(acme.cases().len(), 6, "nothing is there twice, and what was deleted is not created again");
    assert_eq!((row_of(&acme, &event, 3).state_id, row_of(&acme, &event, 6).folder_id), (4, moved));
    assert!(row_of(&acme, &event, 1).tags.contains(&"smoke".to_owned()));
    assert_eq!(count(&acme, Method::Patch), 3);

    // The same again changes nothing, and what a person has edited is still theirs.
    let mut third = second.clone();
    third["batch_id"] = json!("g-3");
    third["generated_at"] = json!("2026-11-03T09:30:00Z");
    stage.publish(&third).await;
    let event = stage.delivered("acme/g-3").await;
    let expected = ["unchanged", "kept", "unchanged", "unchanged", "not_found", "unchanged", "unchanged"];
    assert_eq!(changes(&event), expected);
    assert_eq!((count(&acme, Method::Patch), acme.cases().len()), (3, 6));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_may_have_edits_overwritten_by_the_mapping() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let mapping: Value = json!({"on_repeat": "update", "edits": "overwrite"});
    let origin = stage.testmo.origin("acme");
    stage.connect_with("acme", &origin, serde_json::from_value(mapping).expect("a mapping")).await;
    stage.start_worker();
    let without_choice = |n: usize| {
        let mut batch = generation(n, 2, "update");
        batch.as_object_mut().expect("an object").remove("on_repeat");
        batch
    };
    stage.publish(&without_choice(1)).await;
    let first = stage.delivered("acme/g-1").await;
    let acme = stage.account("acme");
    for case in [1, 2] {
        acme.change_case(row_of(&acme, &first, case).id, |row| row.name = "mine".into());
    }
    let mut second = without_choice(2);
    rename(&mut second, 1, "new 1");
    stage.publish(&second).await;
    let event = stage.delivered("acme/g-2").await;
    assert_eq!(changes(&event), ["updated", "unchanged"], "what the generator did not change stays");
    assert_eq!([1, 2].map(|n| row_of(&acme, &event, n).name), ["new 1", "mine"]);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_values_go_in_one_request_and_tags_of_people_stay() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    stage.publish(&generation(1, 30, "update")).await;
    stage.delivered("acme/g-1").await;
    let acme = stage.account("acme");
    let mut second = generation(2, 30, "update");
    for case in second["cases"].as_array_mut().expect("cases") {
        case["steps"] = json!([{"action": "Close the page"}]);
    }
    stage.publish(&second).await;
    let event = stage.delivered("acme/g-2").await;
    assert_eq!(changes(&event), ["updated"; 30]);
    assert_eq!(count(&acme, Method::Patch), 1);
    stage.end().await;
}
