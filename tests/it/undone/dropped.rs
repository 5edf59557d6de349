//! Checks that cases which a batch retired, as it did not have them, come back when the batch is taken back.

use serde_json::{Value, json};
use testmo_sim::Time;

use super::{DEPRECATED, both, case, changes, done, remembered, retires};
use crate::support::stage::Stage;

/// The state that cases get when they are created.
const ACTIVE: u64 = 4;

fn generation(n: usize, cases: &[usize]) -> Value {
    let mut batch = remembered("g-1", 4);
    batch["batch_id"] = json!(format!("g-{n}"));
    batch["generated_at"] = json!(format!("2026-11-{n:02}T09:30:00Z"));
    batch["on_repeat"] = json!("update");
    let all = batch["cases"].as_array().expect("cases").clone();
    batch["cases"] = cases.iter().map(|at| all[at - 1].clone()).collect();
    batch
}

fn dropped(event: &Value) -> Vec<&str> {
    let list = event["data"]["dropped"].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|entry| entry["change"].as_str().expect("a word")).collect()
}

/// Returns the state of each case.
fn states(stage: &Stage) -> [u64; 4] {
    [1, 2, 3, 4].map(|n| case(stage, &format!("g-1 case {n}")).state_id)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bad_generation_retired_comes_back_unless_a_person_touched_it() {
    for mut stage in both().await {
        let mapping = json!({"dropped": "retire", "state_id": ACTIVE, "retired": {"state_id": DEPRECATED}});
        retires(&stage, mapping).await;
        stage.start_worker();
        stage.publish(&generation(1, &[1, 2, 3, 4])).await;
        stage.delivered("acme/g-1").await;
        stage.publish(&generation(2, &[1])).await;
        assert_eq!(dropped(&stage.delivered("acme/g-2").await), ["retired"; 3]);
        let id = case(&stage, "g-1 case 3").id;
        stage.account("acme").change_case(id, |case| {
            case.state_id = 2;
            case.updated_at = Some(Time(1_893_456_000_000));
        });
        let undone = done(&stage, "undo", "acme/g-2", &[]);
        assert_eq!(changes(&undone), ["restored", "left", "restored"], "{undone}");
        assert_eq!(states(&stage), [ACTIVE, ACTIVE, 2, ACTIVE]);
        let event = stage.event_of("acme/g-2").await;
        let entry = &event["data"]["cases"][0];
        assert_eq!(
            (&entry["dropped"], entry.get("position"), &entry["change"]),
            (&json!(true), None, &json!("restored"))
        );

        // They are known as before: they can be retired again, and this can be taken back again.
        done(&stage, "restore", "acme/g-2", &[]);
        stage.event_of("acme/g-2").await;
        assert_eq!(states(&stage), [ACTIVE, DEPRECATED, 2, DEPRECATED]);
        done(&stage, "undo", "acme/g-2", &[]);
        stage.event_of("acme/g-2").await;
        stage.publish(&generation(3, &[1, 2])).await;
        assert_eq!(
            dropped(&stage.delivered("acme/g-3").await),
            ["retired"],
            "what was retired once and edited since is left alone"
        );
        assert_eq!(states(&stage), [ACTIVE, ACTIVE, 2, DEPRECATED]);
        stage.end().await;
    }
}
