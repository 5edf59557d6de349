//! Checks replays: they begin with a few batches, stop when these fail, and account for each batch once.

use serde_json::{Value, json};
use testmo_courier::store::replays::{ItemFilter, ReplayId, ReplayState};
use testmo_courier::store::shelf::{ShelfState, Shelved};

use crate::replay::{courier, says};
use crate::support::batches::{batch, key_of};
use crate::support::postgres::Postgres;
use crate::support::process::Process;
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::until;

/// Returns a batch of one case whose name is longer than [`strict`] allows.
fn long(tenant: &str, id: &str) -> Value {
    let mut long = batch(tenant, id, 1);
    long["cases"][0]["name"] = json!(format!("{id} has a name of more than twenty characters"));
    long
}

/// Has an account refuse long names, or take them again.
pub(crate) fn strict(stage: &Stage, tenant: &str, strict: bool) {
    stage.account(tenant).change_settings(|settings| settings.name_max_chars = if strict { 20 } else { 200 });
}

/// Publishes batches that are refused, and waits until all are dead.
async fn refused(stage: &mut Stage, batches: usize) {
    strict(stage, "acme", true);
    for n in 1..=batches {
        stage.publish(&long("acme", &format!("b-{n}"))).await;
    }
    let dead = |shelf: &[Shelved]| shelf.iter().filter(|row| row.state == ShelfState::Dead).count() == batches;
    stage.shelf_until(dead).await;
}

/// Waits until a replay is in a state, and returns why it is.
pub(crate) async fn until_is(stage: &Stage, id: i64, state: ReplayState) -> Option<String> {
    let replay = async || stage.store.replay(ReplayId(id)).await.expect("a store").expect("a replay");
    until(async || replay().await.state == Some(state)).await;
    replay().await.why
}

async fn outcomes(stage: &Stage, id: i64) -> Vec<(String, u64)> {
    stage.store.replay_outcomes(ReplayId(id)).await.expect("a store")
}

fn counted(outcomes: &[(&str, u64)]) -> Vec<(String, u64)> {
    outcomes.iter().map(|(outcome, count)| ((*outcome).to_owned(), *count)).collect()
}

async fn what_was_not_fixed_is_tried_once_and_the_rest_after_the_fix(mut stage: Stage) {
    stage.start_worker();
    refused(&mut stage, 8).await;
    let before = stage.account("acme").requests().len();
    says(
        courier(&stage, &["replay", "--state", "dead", "--unchanged", "--yes"]).await,
        0,
        &["8 batches of 8 selected"],
    );
    let why = until_is(&stage, 1, ReplayState::Paused).await.expect("a reason");
    assert!(why.contains("one of the first batches") && why.contains("failed again (all_refused)"), "{why}");
    assert_eq!(stage.account("acme").requests().len() - before, 1, "one batch was sent");
    assert_eq!(outcomes(&stage, 1).await, counted(&[("failed", 1)]));

    strict(&stage, "acme", false);
    says(courier(&stage, &["replays", "resume", "1"]).await, 0, &["Replay 1 goes on"]);
    until_is(&stage, 1, ReplayState::Done).await;
    assert_eq!(outcomes(&stage, 1).await, counted(&[("delivered", 7), ("failed", 1)]));
    assert_eq!(stage.account("acme").case_names().len(), 7);
    says(courier(&stage, &["replays", "show", "1", "--outcome", "failed"]).await, 0, &["acme/b-", "all_refused"]);
    says(courier(&stage, &["replays", "resume", "1"]).await, 1, &["replay 1 is done, so it cannot be resumed"]);
    // What failed is free to be replayed again.
    says(courier(&stage, &["replay", "--state", "dead", "--unchanged", "--yes"]).await, 0, &["1 batch of 1 selected"]);
    until_is(&stage, 2, ReplayState::Done).await;
    assert_eq!(stage.account("acme").case_names().len(), 8);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_fixed_is_tried_once_and_the_rest_after_the_fix_on_sqlite() {
    what_was_not_fixed_is_tried_once_and_the_rest_after_the_fix(Stage::with_tenants(&["acme"]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_fixed_is_tried_once_and_the_rest_after_the_fix_on_postgresql() {
    let stage = Stage::on_postgres(Postgres::shared(), &["acme"], &[]).await;
    what_was_not_fixed_is_tried_once_and_the_rest_after_the_fix(stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_changes_after_the_plan_is_left_alone_and_reported() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    refused(&mut stage, 3).await;
    strict(&stage, "acme", false);
    says(courier(&stage, &["replay", "--state", "dead", "--unchanged", "--plan"]).await, 0, &["replays start 1"]);
    assert!(stage.account("acme").case_names().is_empty(), "a plan sends nothing");
    let discard = ["shelf", "discard", "acme/b-1", "--because", "withdrawn", "--yes"];
    says(courier(&stage, &discard).await, 0, &["Discarded 1 entry"]);
    // What comes later is not part of what was planned.
    strict(&stage, "acme", true);
    stage.publish(&long("acme", "later")).await;
    stage.shelf_until(|shelf| shelf.len() == 3).await;
    strict(&stage, "acme", false);
    says(courier(&stage, &["replays", "start", "1", "--because", "fixed"]).await, 0, &["Replay 1 is started"]);
    until_is(&stage, 1, ReplayState::Done).await;
    assert_eq!(outcomes(&stage, 1).await, counted(&[("changed", 1), ("delivered", 2)]));
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert!(shelf[0].content.identity.to_string().starts_with("acme/later/"), "{shelf:?}");
    let (_, audit) = courier(&stage, &["audit", "--subject", "replay 1"]).await;
    for action in ["replay.plan", "replay.start", "replay.end"] {
        assert!(audit.contains(action), "{audit}");
    }
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_replay_leaves_what_it_has_not_started_as_it_was() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    refused(&mut stage, 4).await;
    strict(&stage, "acme", false);
    let before = stage.shelf().await;
    let slow = ["replay", "--state", "dead", "--unchanged", "--rate", "1", "--yes"];
    says(courier(&stage, &slow).await, 0, &["in 4 min"]);
    until(async || outcomes(&stage, 1).await == counted(&[("delivered", 1)])).await;
    says(courier(&stage, &["replays", "pause", "1", "--because", "lunch"]).await, 0, &["Replay 1 is paused"]);
    says(courier(&stage, &["replays", "show", "1"]).await, 0, &["paused: paused by", "lunch", "left", "3"]);
    says(courier(&stage, &["replays", "pause", "1"]).await, 1, &["replay 1 is paused, so it cannot be paused"]);
    // Its batches are part of it until it ends.
    let other = courier(&stage, &["replay", "--state", "dead", "--unchanged", "--yes"]).await;
    says(other, 1, &["3 batches: impossible", "replay 1 has it"]);
    says(courier(&stage, &["replays", "cancel", "1"]).await, 0, &["what was not started stays as it is"]);
    let after = stage.shelf().await;
    assert_eq!(after.len(), 3);
    for row in &after {
        let same = before.iter().find(|of| of.id == row.id).expect("the entry");
        assert_eq!((row.generation, row.person_epoch, row.state), (same.generation, same.person_epoch, same.state));
    }
    says(courier(&stage, &["replays", "start", "99"]).await, 1, &["there is no replay 99"]);
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_goes_on_after_its_worker_was_killed() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    refused(&mut stage, 12).await;
    stage.stop_worker().await;
    strict(&stage, "acme", false);
    says(courier(&stage, &["replay", "--state", "dead", "--unchanged", "--yes"]).await, 0, &["12 batches of 12"]);
    let process = Process::start(&stage).await;
    until(async || !outcomes(&stage, 1).await.is_empty()).await;
    process.kill();
    let process = Process::start(&stage).await;
    until_is(&stage, 1, ReplayState::Done).await;
    stage.all_sent().await;
    process.stop().await;
    assert_eq!(outcomes(&stage, 1).await, counted(&[("delivered", 12)]));
    let mut there = stage.account("acme").case_names();
    there.sort();
    there.dedup();
    assert_eq!((there.len(), stage.account("acme").case_names().len()), (12, 12), "each case once");
    let items = stage.store.replay_items(ReplayId(1), &ItemFilter::default(), 100).await.unwrap();
    assert!(items.iter().all(|item| item.started_at.is_some() && item.ended_at.is_some()), "{items:?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_yet_is_passed_over_and_says_why() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    refused(&mut stage, 2).await;
    stage.account("acme").revoke(1);
    assert!(!stage.connect("acme", "acme", &key_of("acme")).await);
    let plan = ["replay", "--state", "dead", "--unchanged", "--yes"];
    says(courier(&stage, &plan).await, 0, &["2 batches: not yet"]);
    until_is(&stage, 1, ReplayState::Done).await;
    assert_eq!(outcomes(&stage, 1).await, counted(&[("skipped", 2)]));
    let shown = courier(&stage, &["replays", "show", "1", "--batches"]).await;
    says(shown, 0, &["the connection of acme does not work yet"]);
    assert_eq!(stage.shelf().await.len(), 2);
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}
