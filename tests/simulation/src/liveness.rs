//! Watches a run for slowness that loses nothing: a lane that stays paused although its account is open, an event that is
//! not published, a permit that nobody uses, a replay that stands still, and a healthy tenant that waits for another one.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use serde_json::Value;
use testmo_courier::store::replays::{ReplayId, ReplayState};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::broker::Heard;
use crate::budget::{longest_wait, set_back};
use crate::plan::flood::HEALTHY;
use crate::plan::{Kind, Plan};
use crate::stage::Stage;
use crate::store::replays::Replay;
use crate::store::tables::Tables;

/// How often a run is looked at.
const STEP: Duration = Duration::from_millis(500);
/// The longest time for which a lane may be paused while the store says that its account is open.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// The longest time until an event is published that a queue is bound for, in milliseconds.
const LONGEST_UNSENT_MS: i64 = 2_000;
/// The longest time after the healing until an event is published that a crash, an outage or a refusal of the broker left,
/// in milliseconds: a refused event is tried again after 30 s, and the store is searched every 5 s.
const LONGEST_LEFT_OVER_MS: i64 = 37_000;
/// How long after everything is healed no call and no request is under way any more that began before.
const IN_FLIGHT: Duration = Duration::from_secs(8);
/// The longest time until a batch of a healthy tenant is delivered, whatever other tenants do. Here a store call takes up
/// to 80 ms, and a delivery needs about ten of them.
const LONGEST_DELIVERY: Duration = Duration::from_secs(3);

/// The longest time in which a running replay starts nothing and counts nothing, beyond the waits that no worker can shorten:
/// its worker may be gone, so that its lease ends first, and then its batch is polled and sent; the rate that a person set may
/// allow one batch in six seconds.
const LONGEST_STANDSTILL: Duration = Duration::from_secs(40);

/// Watches the workers from the moment at which everything is healed; never ends. A message that stops every worker
/// leaves time for nothing else.
pub(crate) async fn watch(stage: &Stage, plan: &Plan) -> Infallible {
    if plan.kind == Kind::Poison {
        return std::future::pending().await;
    }
    let (healed, healed_at) = (Instant::now(), stage.diary.now());
    // Events keep the times that they got before the store's clock was set back.
    let set_back = i64::try_from(set_back(plan).as_millis()).unwrap_or(i64::MAX);
    let mut paused: BTreeMap<(u64, String), Instant> = BTreeMap::new();
    let mut replays: BTreeMap<ReplayId, (u64, Instant)> = BTreeMap::new();
    loop {
        sleep(STEP).await;
        if healed.elapsed() < IN_FLIGHT {
            continue;
        }
        let late = stage.store.at_once(|tables, now| late_events(tables, healed_at, now - set_back));
        late.into_iter().for_each(|subject| stage.complain_once(format!("an event of {subject} is not published")));
        let unused = stage.store.at_once(|tables, now| unused_permits(tables, healed_at, now));
        unused.into_iter().for_each(|batch| stage.complain_once(format!("a permit for {batch} is not used")));
        let now = Instant::now();
        let waits_until = now + longest_wait(stage, plan);
        for (replay, progress) in stage.store.at_once(|tables, _| running(tables)) {
            let (before, until) = replays.entry(replay).or_insert((progress, waits_until + LONGEST_STANDSTILL));
            if *before != progress {
                (*before, *until) = (progress, waits_until + LONGEST_STANDSTILL);
            } else if now > *until {
                stage.complain_once(format!("replay {replay} stands still"));
            }
            *until = waits_until.max(*until);
        }
        let still: Vec<(u64, String)> = paused_lanes(stage).await;
        paused.retain(|lane, _| still.contains(lane));
        for lane in still {
            let since = *paused.entry(lane.clone()).or_insert(now);
            if now - since > LONGEST_PAUSE {
                stage.complain_once(format!("w{} pauses {}, which is open", lane.0, lane.1));
            }
        }
    }
}

/// Returns the running replays, each with a number that grows with whatever happens to it.
fn running(tables: &Tables) -> Vec<(ReplayId, u64)> {
    let runs = tables.replays.iter().filter(|(_, replay)| replay.state == ReplayState::Running);
    let progress = |replay: &Replay| {
        let parts = replay.parts.values().map(|part| part.started + part.counted + part.passed);
        parts.sum::<u64>() + replay.epoch.unsigned_abs()
    };
    runs.map(|(id, replay)| (*id, progress(replay))).collect()
}

/// Returns the subjects of events that are due for too long, and of those from before the healing that are still there.
/// After a crash, an event waits for its owner for a while first.
fn late_events(tables: &Tables, healed_at: i64, now: i64) -> Vec<String> {
    let is_late = |created_at: i64, due_at: i64| match created_at > healed_at {
        true => due_at.max(created_at) + LONGEST_UNSENT_MS < now,
        false => healed_at + LONGEST_LEFT_OVER_MS < now,
    };
    let rows = tables.outbox.values().filter(|row| !row.sent && row.aside_at.is_none());
    rows.filter(|row| is_late(row.event.created_at, row.event.due_at)).map(|row| row.event.subject.clone()).collect()
}

/// Returns the batches of pushes from before the healing that hold a permit although their request was never sent, and whose worker
/// is not gone.
fn unused_permits(tables: &Tables, healed_at: i64, now: i64) -> Vec<String> {
    let is_open = |push: &String| tables.pushes.get(push).is_some_and(|push| !push.ended && push.lease_until > now);
    let unused = tables.grants.iter().filter(|grant| !grant.used && grant.at < healed_at && is_open(&grant.push));
    let unused = unused.filter(|grant| tables.is_alive(grant.to));
    unused.flat_map(|grant| grant.shares.iter().map(|share| share.batch.to_string())).collect()
}

/// Returns the lanes that pause although the store says that their account is open.
async fn paused_lanes(stage: &Stage) -> Vec<(u64, String)> {
    let mut paused = Vec::new();
    for (worker, views) in stage.views() {
        let (view, viewed) = oneshot::channel();
        let asked = views.send(view).await.is_ok();
        let Some(lanes) = viewed.await.ok().filter(|_| asked) else { continue };
        let lanes = lanes["lanes"].as_array().cloned().unwrap_or_default();
        for lane in lanes.iter().filter(|lane| lane["state"] == "backing_off") {
            let account = lane["account"].as_str().unwrap_or_default();
            if stage.store.at_once(|tables, now| tables.throttle(account).pause(now).is_none()) {
                paused.push((worker, account.to_owned()));
            }
        }
    }
    paused
}

/// Returns the batches of a healthy tenant that were delivered late although nothing but another tenant was in trouble.
pub(crate) fn late_deliveries(plan: &Plan, heard: &[Heard]) -> Vec<String> {
    if plan.kind != Kind::Flood {
        return Vec::new();
    }
    let delivered: BTreeMap<String, Duration> = heard
        .iter()
        .filter(|event| event.kind.contains(".batch.delivered."))
        .filter_map(|event| {
            let body: Value = serde_json::from_slice(&event.body).ok()?;
            Some((body["subject"].as_str()?.to_owned(), event.at))
        })
        .rev()
        .collect();
    let healthy = plan.batches.iter().filter(|batch| batch.tenant == HEALTHY);
    let late = healthy.filter_map(|batch| {
        let key = plan.key_of(batch).to_string();
        let took = delivered.get(&key)?.saturating_sub(batch.at[0]);
        (took > LONGEST_DELIVERY).then(|| format!("{key} took {took:?}, held up by another tenant"))
    });
    late.collect()
}
