//! Describes the lanes as JSON for `lanes`, and as metrics.

use std::time::Duration;

use serde_json::{Value, json};

use crate::batch::TenantId;
use crate::lane::{LaneView, TenantView};
use crate::metrics::{Metrics, OTHER_TENANTS};
use crate::worker::model::Backlog;

/// How many tenants have metrics of their own: those with the most work. All others share one.
const NAMED: usize = 10;

/// Returns the lanes as JSON: what waits where, and how long that takes at the present rate.
pub(super) fn of(lanes: &[LaneView], backlog: &Backlog) -> Value {
    let tenant = |lane: &LaneView, tenant: &TenantView| {
        json!({
            "tenant_id": tenant.tenant.as_str(),
            "batches": tenant.batches,
            "cases": tenant.cases,
            "in_flight": tenant.in_flight,
            "on_shelf": on_shelf(backlog, &tenant.tenant),
            "backlog_drain_seconds": drain_seconds(lane, tenant, on_shelf(backlog, &tenant.tenant), lane.requests_per_second),
        })
    };
    let lane = |lane: &LaneView| {
        json!({
            "account": &*lane.account,
            "state": state_of(lane),
            "backoff_seconds": lane.backing_off_for.map(|wait| wait.as_secs_f64()),
            "in_flight": lane.in_flight,
            "limit": lane.limit,
            "pausing": lane.pausing,
            "requests_per_second": lane.requests_per_second,
            "tenants": lane.tenants.iter().map(|of| tenant(lane, of)).collect::<Vec<_>>(),
        })
    };
    json!({"lanes": lanes.iter().map(lane).collect::<Vec<_>>()})
}

/// Sets the gauges of the lanes of a worker that sends up to `most_requests` requests at once.
pub(super) fn measure(lanes: &[LaneView], backlog: &Backlog, most_requests: usize, metrics: &Metrics) {
    for state in crate::metrics::LANE_STATES {
        let count = lanes.iter().filter(|lane| state_of(lane) == state).count();
        metrics.lanes.with_label_values(&[state]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    let drain = |lane: &LaneView, of: &TenantView| {
        drain_seconds(lane, of, on_shelf(backlog, &of.tenant), lane.requests_per_second)
    };
    let mut drains: Vec<(&TenantId, f64)> =
        lanes.iter().flat_map(|lane| lane.tenants.iter().map(move |of| (&of.tenant, drain(lane, of)))).collect();
    drains.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let (named, others) = drains.split_at(drains.len().min(NAMED));
    let longest = others.first().map_or(0.0, |(_, seconds)| *seconds);
    let named = named.iter().map(|(tenant, seconds)| (tenant.as_str(), *seconds));
    metrics.show_backlog_drains(&named.chain([(OTHER_TENANTS, longest)]).collect());
    metrics.runnable_drain_seconds.set(runnable_drain_seconds(lanes, backlog, most_requests));
}

/// Returns how long it takes to send what waits in memory and on the shelf for accounts that are open: as long as the account
/// that takes longest, and no less than the worker needs for all of them if they may have more requests at once than it sends.
fn runnable_drain_seconds(lanes: &[LaneView], backlog: &Backlog, most_requests: usize) -> f64 {
    let (mut longest, mut requests, mut rate, mut at_once) = (0.0_f64, 0.0_f64, 0.0_f64, 0_usize);
    for lane in lanes.iter().filter(|lane| lane.backing_off_for.is_none()) {
        let of_tenant = |tenant: &TenantView| requests_of(tenant, on_shelf(backlog, &tenant.tenant));
        let of_lane: f64 = lane.tenants.iter().map(of_tenant).sum();
        if of_lane > 0.0 {
            longest = longest.max(of_lane / lane.requests_per_second.max(1e-3));
            requests += of_lane;
            rate += lane.requests_per_second;
            at_once += lane.limit;
        }
    }
    let part = (most_requests as f64 / at_once.max(1) as f64).min(1.0);
    longest.max(requests / (rate * part).max(1e-3))
}

fn state_of(lane: &LaneView) -> &'static str {
    if lane.backing_off_for.is_some() { "backing_off" } else { "active" }
}

fn on_shelf(backlog: &Backlog, tenant: &TenantId) -> u64 {
    backlog.get(tenant).copied().unwrap_or(0)
}

/// Returns how long the batches of a tenant in memory and on the shelf will take at least. If none is in memory, it is
/// not known how many requests they take, so this is the rest of the rate-limit pause.
pub(super) fn drain(lane: &LaneView, tenant: &TenantId, on_shelf: u64) -> Duration {
    let seconds = match lane.tenants.iter().find(|of| of.tenant == *tenant) {
        Some(of) => drain_seconds(lane, of, on_shelf, lane.reported_rate),
        None => lane.backing_off_for.map_or(0.0, |wait| wait.as_secs_f64()),
    };
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// Returns how long it takes to send what waits in memory and on the shelf, at the tenant's share of a rate in requests
/// per second.
fn drain_seconds(lane: &LaneView, tenant: &TenantView, on_shelf: u64, rate: f64) -> f64 {
    let requests = requests_of(tenant, on_shelf);
    let share = rate / (lane.sharing.max(1) as f64);
    let backing_off = lane.backing_off_for.map_or(0.0, |wait| wait.as_secs_f64());
    if requests == 0.0 { 0.0 } else { backing_off + requests / share.max(1e-3) }
}

/// Returns how many requests a tenant's batches in memory and on the shelf take.
fn requests_of(tenant: &TenantView, on_shelf: u64) -> f64 {
    let batches_per_request = (tenant.batches.max(1) as f64) / (tenant.requests.max(1) as f64);
    tenant.requests as f64 + on_shelf as f64 / batches_per_request
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(account: &str, tenants: &[(&str, usize)]) -> LaneView {
        let tenant = |(name, requests): &(&str, usize)| TenantView {
            tenant: name.parse().unwrap(),
            batches: requests * 4,
            cases: requests * 100,
            in_flight: 1,
            requests: *requests,
        };
        LaneView {
            account: account.into(),
            in_flight: 1,
            limit: 4,
            backing_off_for: None,
            pausing: 0,
            requests_per_second: 10.0,
            reported_rate: 10.0,
            sharing: tenants.len(),
            tenants: tenants.iter().map(tenant).collect(),
        }
    }

    #[test]
    fn the_drain_time_follows_from_the_tenants_share_of_the_rate() {
        let mut lane = lane("https://a.testmo.net", &[("acme", 20), ("birch", 0)]);
        let backlog = Backlog::from([("acme".parse().unwrap(), 40)]);
        // 20 requests in memory and 10 on the shelf, at 5 a second.
        assert_eq!(of(&[lane.clone()], &backlog)["lanes"][0]["tenants"][0]["backlog_drain_seconds"], 6.0);
        lane.backing_off_for = Some(Duration::from_secs(60));
        let shown = of(&[lane], &backlog);
        assert_eq!(shown["lanes"][0]["state"], "backing_off");
        assert_eq!(shown["lanes"][0]["tenants"][0]["backlog_drain_seconds"], 66.0);
        assert_eq!(shown["lanes"][0]["tenants"][1]["backlog_drain_seconds"], 0.0);
    }

    #[test]
    fn a_batch_is_expected_behind_all_that_waits_before_it_and_after_the_rate_limit_pause() {
        let mut lane = lane("https://a.testmo.net", &[("acme", 20)]);
        let expected = |lane: &LaneView, tenant: &str, on_shelf| drain(lane, &tenant.parse().unwrap(), on_shelf);
        // 20 requests in memory, and 3,980 for 15,920 batches on the shelf, at 10 a second.
        assert_eq!(expected(&lane, "acme", 15_920), Duration::from_secs(400));
        assert_eq!(expected(&lane, "birch", 15_920), Duration::ZERO);
        lane.backing_off_for = Some(Duration::from_secs(3_600));
        assert_eq!(expected(&lane, "acme", 15_920), Duration::from_secs(4_000));
        assert_eq!(expected(&lane, "birch", 15_920), Duration::from_secs(3_600));
    }

    #[test]
    fn what_may_run_takes_as_long_as_its_slowest_account_or_as_the_worker_needs_for_all() {
        let backlog = Backlog::from([("acme".parse().unwrap(), 320), ("cedar".parse().unwrap(), 50_000)]);
        let mut lanes = vec![
            lane("https://a.testmo.net", &[("acme", 20), ("birch", 0)]),
            lane("https://b.testmo.net", &[("birch", 60)]),
            lane("https://c.testmo.net", &[("cedar", 20)]),
        ];
        lanes[2].backing_off_for = Some(Duration::from_secs(3_600));
        // 20 requests in memory and 80 on the shelf at 10 a second; up to 4 at once for each of two open accounts.
        assert_eq!(runnable_drain_seconds(&lanes, &backlog, 64), 10.0);
        assert_eq!(runnable_drain_seconds(&lanes, &backlog, 8), 10.0);
        assert_eq!(runnable_drain_seconds(&lanes, &backlog, 2), 32.0, "the worker is the narrowest place");
        lanes[2].backing_off_for = None;
        assert_eq!(runnable_drain_seconds(&lanes, &backlog, 64), 1_252.0, "it may run now");
        assert_eq!(runnable_drain_seconds(&[lane("https://a.testmo.net", &[("acme", 0)])], &Backlog::new(), 64), 0.0);
        assert_eq!(runnable_drain_seconds(&[], &backlog, 64), 0.0);
    }

    #[test]
    fn only_the_tenants_with_the_most_work_are_named() {
        let metrics = Metrics::new().unwrap();
        let names: Vec<String> = (0..15).map(|n| format!("t{n:02}")).collect();
        let tenants: Vec<(&str, usize)> = names.iter().enumerate().map(|(n, name)| (name.as_str(), n + 1)).collect();
        for _ in 0..2 {
            measure(&[lane("https://a.testmo.net", &tenants)], &Backlog::new(), 64, &metrics);
        }
        let text = metrics.render().unwrap();
        let named = text.lines().filter(|line| line.starts_with("testmo_courier_backlog_drain_seconds{")).count();
        assert_eq!(named, 11);
        assert!(text.contains("backlog_drain_seconds{tenant=\"t14\"}") && !text.contains("tenant=\"t04\""));
        measure(&[], &Backlog::new(), 64, &metrics);
        let text = metrics.render().unwrap();
        let drains: Vec<&str> = text.lines().filter(|line| line.contains("backlog_drain_seconds{")).collect();
        assert_eq!(drains, ["testmo_courier_backlog_drain_seconds{tenant=\"(others)\"} 0"]);
    }

    #[test]
    fn a_tenant_named_other_does_not_share_the_metric_of_all_others() {
        let metrics = Metrics::new().unwrap();
        measure(&[lane("https://a.testmo.net", &[("other", 20)])], &Backlog::new(), 64, &metrics);
        assert!(metrics.render().unwrap().contains("backlog_drain_seconds{tenant=\"other\"} 2\n"));
        assert!(crate::metrics::OTHER_TENANTS.parse::<TenantId>().is_err());
    }
}
