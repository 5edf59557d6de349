//! Checks that fields which a batch updated go back to what they were before.

use serde_json::{Value, json};
use testmo_sim::Time;

use super::{DEPRECATED, both, case, changes, done, remembered, run};
use crate::support::stage::Stage;

pub(super) fn generation(n: usize, names: [&str; 3]) -> Value {
    let mut batch = remembered("g-1", 3);
    batch["batch_id"] = json!(format!("g-{n}"));
    batch["generated_at"] = json!(format!("2026-11-{n:02}T09:30:00Z"));
    batch["on_repeat"] = json!("update");
    for (case, name) in batch["cases"].as_array_mut().expect("cases").iter_mut().zip(names) {
        case["name"] = json!(name);
    }
    batch
}

fn names(stage: &Stage) -> Vec<String> {
    let mut names = stage.account("acme").case_names();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_go_back_unless_a_person_edited_them_since_and_the_next_generation_takes_nothing_for_an_edit() {
    for mut stage in both().await {
        stage.start_worker();
        stage.publish(&generation(1, ["a", "b", "c"])).await;
        stage.delivered("acme/g-1").await;
        stage.publish(&generation(2, ["a2", "b2", "c"])).await;
        stage.delivered("acme/g-2").await;
        let id = case(&stage, "b2").id;
        stage.account("acme").change_case(id, |case| {
            case.name = "mine".into();
            case.updated_at = Some(Time(1_893_456_000_000));
        });
        let undone = done(&stage, "undo", "acme/g-2", &[]);
        assert_eq!(changes(&undone), ["restored", "left"], "{undone}");
        assert_eq!(names(&stage), ["a", "c", "mine"]);
        assert_eq!(undone["cases"][0]["fields_written"], json!(["name"]));
        stage.event_of("acme/g-2").await;

        // The undo is taken back, and done again.
        let restored = done(&stage, "restore", "acme/g-2", &[]);
        assert_eq!(
            (changes(&restored), names(&stage)),
            (vec!["restored".into()], vec!["a2".into(), "c".into(), "mine".into()])
        );
        stage.event_of("acme/g-2").await;
        done(&stage, "undo", "acme/g-2", &[]);
        stage.event_of("acme/g-2").await;
        assert_eq!(names(&stage), ["a", "c", "mine"]);

        stage.publish(&generation(3, ["a3", "b3", "c"])).await;
        let event = stage.delivered("acme/g-3").await;
        let change = |n: usize| event["data"]["cases"][n]["change"].clone();
        assert_eq!([change(0), change(1), change(2)], ["updated", "kept", "unchanged"], "{event}");
        assert_eq!(names(&stage), ["a3", "c", "mine"]);
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_later_batch_has_unchanged_is_left_until_that_one_is_taken_back() {
    for mut stage in both().await {
        stage.start_worker();
        for n in [1, 2] {
            stage.publish(&generation(n, ["a", "b", "c"])).await;
            stage.delivered(&format!("acme/g-{n}")).await;
        }
        let (code, said) = run(&stage, "undo", "acme/g-1", &[]);
        assert_eq!((code, changes(&said)), (Some(0), vec!["left".to_owned(); 3]), "{said}");
        assert_eq!(said["cases"][0]["left_because"], "later_batch");
        assert_eq!(changes(&done(&stage, "undo", "acme/g-2", &[])), Vec::<String>::new());
        stage.event_of("acme/g-2").await;
        assert_eq!(changes(&done(&stage, "undo", "acme/g-1", &[])), ["retired"; 3]);
        stage.event_of("acme/g-1").await;
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_is_repeated_for_what_it_left_and_taken_back_as_a_whole() {
    for mut stage in both().await {
        stage.start_worker();
        stage.publish(&generation(1, ["a", "b", "c"])).await;
        stage.delivered("acme/g-1").await;
        let mut second = generation(2, ["a2", "b", "c"]);
        second["cases"].as_array_mut().expect("cases").truncate(1);
        stage.publish(&second).await;
        stage.delivered("acme/g-2").await;

        let undone = done(&stage, "undo", "acme/g-1", &[]);
        assert_eq!(changes(&undone), ["left", "retired", "retired"], "{undone}");
        assert_eq!(undone["cases"][0]["left_because"], "later_batch");
        stage.event_of("acme/g-1").await;
        assert_eq!(changes(&run(&stage, "undo", "acme/g-1", &[]).1), ["left"], "nothing is changed yet");
        assert_eq!(changes(&done(&stage, "undo", "acme/g-2", &[])), ["restored"]);
        stage.event_of("acme/g-2").await;
        assert_eq!(changes(&done(&stage, "undo", "acme/g-1", &[])), ["retired"]);
        stage.event_of("acme/g-1").await;
        let states = |stage: &Stage| stage.account("acme").cases().iter().map(|case| case.state_id).collect::<Vec<_>>();
        assert_eq!(states(&stage), [DEPRECATED; 3]);
        let (code, said) = run(&stage, "undo", "acme/g-1", &[]);
        assert_eq!(code, Some(1), "nothing is left: {said}");

        assert_eq!(changes(&done(&stage, "restore", "acme/g-1", &[])), ["restored"; 3]);
        stage.event_of("acme/g-1").await;
        assert!(!states(&stage).contains(&DEPRECATED) && names(&stage) == ["a", "b", "c"]);
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_later_batch_wrote_is_left_until_that_one_is_taken_back() {
    for mut stage in both().await {
        stage.start_worker();
        for (n, names) in [(1, ["a", "b", "c"]), (2, ["a2", "b", "c"]), (3, ["a3", "b", "c"])] {
            stage.publish(&generation(n, names)).await;
            stage.delivered(&format!("acme/g-{n}")).await;
        }
        let undone = done(&stage, "undo", "acme/g-3", &[]);
        assert_eq!(
            (changes(&undone), names(&stage)),
            (vec!["restored".into()], vec!["a2".into(), "b".into(), "c".into()])
        );
        stage.event_of("acme/g-3").await;
        done(&stage, "undo", "acme/g-2", &[]);
        stage.event_of("acme/g-2").await;
        assert_eq!(names(&stage), ["a", "b", "c"]);
        stage.end().await;
    }
}
