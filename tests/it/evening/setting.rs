//! Checks that a field that is set in many entries is tried with one of them first.

use serde_json::json;
use testmo_courier::store::replays::ReplayState;
use testmo_courier::store::shelf::ShelfState;
use testmo_sim::Method;

use crate::replay::{courier, says};
use crate::replays::until_is;
use crate::support::batches::batch;
use crate::support::stage::Stage;

const BATCHES: usize = 8;

/// Publishes batches whose names are longer than their Testmo takes, and waits until all are dead.
async fn with_long_names(stage: &mut Stage) {
    stage.account("acme").change_settings(|settings| settings.name_max_chars = 20);
    stage.start_worker();
    for n in 1..=BATCHES {
        let mut long = batch("acme", &format!("b-{n}"), 1);
        long["cases"][0]["name"] = json!(format!("b-{n} has a name of more than twenty characters"));
        stage.publish(&long).await;
    }
    stage.shelf_until(|shelf| shelf.iter().filter(|row| row.state == ShelfState::Dead).count() == BATCHES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_value_is_sent_with_one_batch_only_and_the_right_one_with_all() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    with_long_names(&mut stage).await;
    let sent = |stage: &Stage| -> Vec<usize> {
        let requests = stage.account("acme").requests();
        requests
            .iter()
            .filter(|request| request.method == Method::Post)
            .map(|request| request.case_names.len())
            .collect()
    };
    let before = sent(&stage).len();
    let set = |name: &'static str| ["shelf", "edit", "--state", "dead", "--set", name, "--replay", "--yes"];
    let wrong = courier(&stage, &set("name=Still a name of more than twenty characters")).await;
    says(wrong, 0, &["Edited 8 entries.", "Replay 1 sends 8 batches; `testmo-courier replays watch 1`"]);
    until_is(&stage, 1, ReplayState::Paused).await;
    assert_eq!(sent(&stage)[before..], [1], "one case was sent");
    let watched = courier(&stage, &["replays", "watch", "1"]).await;
    let remedy = "Correct the cause, then `testmo-courier replays resume 1`. To edit or discard its batches, cancel it first: \
                  `testmo-courier replays cancel 1`.";
    says(watched, 1, &["1 failed, 7 left", "one of the first batches", "(all_refused)", "replay 1 is paused", remedy]);

    // What is edited while the replay is paused is stored, but the other replay has the batches.
    let early = courier(&stage, &set("name=Short")).await;
    says(early, 1, &["Replay 2: 1 batch of 8", "cancel that one", "Replay 2 sends 1 batch"]);
    until_is(&stage, 2, ReplayState::Done).await;
    let none = courier(&stage, &set("name=Shorter")).await;
    let stored = "The edited message is stored, but nothing was sent.";
    says(none, 1, &["Edited 7 entries.", stored, "`testmo-courier replays show 3 --batches` says why"]);
    says(courier(&stage, &["replays", "cancel", "1"]).await, 0, &["Replay 1 is cancelled"]);
    says(
        courier(&stage, &["replay", "--state", "dead", "--yes"]).await,
        0,
        &["7 batches of 7 selected", "7 batches: ready"],
    );
    until_is(&stage, 4, ReplayState::Done).await;
    stage.shelf_until(<[_]>::is_empty).await;
    let mut names = stage.account("acme").case_names();
    names.sort();
    assert_eq!(names, [&["Short"][..], &["Shorter"; BATCHES - 1][..]].concat());
    stage.end().await;
}
