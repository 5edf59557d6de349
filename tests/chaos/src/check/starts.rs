//! Checks that nothing was sent of a batch that had an outcome, unless a replay started it, or a person restored it, in between.

use serde_json::Value;
use testmo_courier::app::audit::{self, AuditAction, AuditFilter};
use testmo_courier::store::replays::ReplayItem;
use testmo_sim::Method;

use crate::drain::{Drained, is_terminal, time_of};
use crate::plan::TENANTS;
use crate::replays::Replays;
use crate::stage::Stage;

/// How far the stand-in's clock and those of the workers, which follow the store's, may be apart, in milliseconds.
const APART_MS: i64 = 1_000;

pub(super) async fn check(stage: &Stage, drained: &Drained, replays: &Replays) -> anyhow::Result<Vec<String>> {
    let filter = AuditFilter { action: Some(AuditAction::RestoreEntry), ..AuditFilter::default() };
    let restored = audit::list(&stage.store, &filter, None, 0).await?.entries;
    let mut broken = Vec::new();
    for (subject, about) in &drained.heard {
        let outcomes: Vec<&Value> = about.iter().filter(|event| is_terminal(event)).collect();
        let starts = replays.starts(subject);
        broken.extend(outcomes.iter().filter_map(|event| wrong_replay(subject, event, &starts)));
        let restores = restored.iter().filter(|item| {
            let part = |part: &Option<String>| part.clone().unwrap_or_default();
            format!("{}/{}", part(&item.row.tenant), part(&item.row.batch)) == *subject
        });
        let mut begins: Vec<i64> = restores.map(|item| item.row.at).collect();
        begins.extend(starts.iter().filter_map(|(_, item)| item.started_at));
        let ends: Vec<i64> = outcomes.iter().filter_map(|event| time_of(event)).collect();
        for at in sent(stage, subject) {
            let Some(ended) = ends.iter().filter(|ended| **ended + APART_MS < at).max() else { continue };
            if !begins.iter().any(|begin| (ended - APART_MS..=at + APART_MS).contains(begin)) {
                broken.push(format!("{subject} had an outcome, and was sent {} ms later without a replay", at - ended));
            }
        }
    }
    Ok(broken)
}

/// Checks that the replay that an outcome names has started the batch before.
fn wrong_replay(subject: &str, event: &Value, starts: &[(i64, &ReplayItem)]) -> Option<String> {
    let (replay, at) = (event["data"]["replay"].as_i64()?, time_of(event)?);
    let is_start = |(id, item): &(i64, &ReplayItem)| *id == replay && item.started_at.is_some_and(|start| start <= at);
    let is_right = starts.iter().any(is_start);
    (!is_right).then(|| format!("an outcome of {subject} names replay {replay}, which did not start it"))
}

/// Returns when create requests with cases of a batch arrived.
fn sent(stage: &Stage, subject: &str) -> Vec<i64> {
    let Some((tenant, batch)) = subject.split_once('/').filter(|(tenant, _)| TENANTS.contains(tenant)) else {
        return Vec::new();
    };
    let is_of_batch = |name: &String| name.split(' ').next() == Some(batch);
    let requests = stage.testmo.account(tenant).requests();
    let creating = requests.iter().filter(|request| request.method == Method::Post);
    creating.filter(|request| request.case_names.iter().any(is_of_batch)).map(|request| request.received_at.0).collect()
}
