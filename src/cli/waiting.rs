//! `lanes waiting`: shows what waits, why and until when, over all workers.

use clap::Args;
use testmo_courier::app::Store;
use testmo_courier::app::time::relative;
use testmo_courier::app::view::{WaitsView, sent_when};
use testmo_courier::app::waits::{self, MOST_READ, Waits};

use super::failure::Failure;
use super::output::Output;
use super::table::{Form, List, note};

/// How many groups are shown unless told otherwise.
pub(super) const GROUPS: usize = 100;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The maximum number of groups of tenant and reason; 0 for all
    #[arg(long, value_name = "N", default_value_t = GROUPS)]
    limit: usize,
    #[command(flatten)]
    form: Form,
}

pub(super) async fn execute(arguments: &Arguments, store: &Store, out: &mut Output) -> Result<(), Failure> {
    let waits = waits::read(store, arguments.limit).await?;
    if arguments.form.json {
        return out.json(&WaitsView::of(&waits));
    }
    write(&waits, arguments.form.plain, out)
}

/// Writes what waits on the shelf; for people, also the requests that are under way.
pub(super) fn write(waits: &Waits, plain: bool, out: &mut Output) -> Result<(), Failure> {
    on_shelf(waits).write(out, plain, "Nothing waits on the shelf to be retried.")?;
    if waits.is_more {
        note(&format!("{} tenants and reasons are shown, --limit 0 for all", waits.groups.len()))?;
    }
    if plain {
        return Ok(());
    }
    paused(waits).iter().try_for_each(|line| out.line(line))?;
    if waits.requests.is_empty() {
        return Ok(());
    }
    out.line("")?;
    under_way(waits).write(out, plain, "")
}

/// Names the lanes that a person has paused: without batches no other list shows them.
fn paused(waits: &Waits) -> Vec<String> {
    let paused = |name: &str| format!("{name} is paused: `lanes resume {name}` resumes it.");
    waits.paused.iter().map(|lane| paused(lane.name())).collect()
}

fn on_shelf(waits: &Waits) -> List {
    let mut list = List::new(&["tenant", "account", "reason", "batches", "oldest", "is sent"]);
    for waiting in &waits.groups {
        let group = &waiting.group;
        let count = if group.count < MOST_READ { group.count.to_string() } else { format!(">{}", MOST_READ - 1) };
        list.add(vec![
            group.tenant.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            waiting.account.clone().unwrap_or_else(|| "-".into()),
            group.reason.map_or("unknown", |reason| reason.code()).to_owned(),
            count,
            relative(group.oldest, waits.now),
            sent_when(&waiting.wait, waits.now),
        ]);
    }
    list
}

fn under_way(waits: &Waits) -> List {
    let mut list = List::new(&["create requests to", "tenant", "requests", "cases", "end at the latest"]);
    for open in &waits.requests {
        let end = relative(open.lease_until, waits.now);
        list.add(vec![
            open.account.clone(),
            open.tenant.clone(),
            open.requests.to_string(),
            open.cases.to_string(),
            end,
        ]);
    }
    list
}

#[cfg(test)]
mod tests {
    use testmo_courier::app::Reason;
    use testmo_courier::app::lanes::LaneSelector;
    use testmo_courier::app::waits::{OpenRequests, Wait, Waiting, WaitingGroup};

    use super::*;

    #[test]
    fn what_waits_reads_like_this() {
        const NOW: i64 = 1_800_000_000_000;
        let waiting = |tenant: Option<&str>, reason, count, wait| Waiting {
            group: WaitingGroup {
                tenant: tenant.map(|tenant| tenant.parse().unwrap()),
                reason: Some(reason),
                count,
                oldest: NOW - 7_200_000,
                due_at: None,
                leased: 0,
                lease_until: None,
            },
            account: tenant.map(|tenant| format!("https://{tenant}.testmo.net")),
            wait,
        };
        let lane = LaneSelector::Tenant("globex".parse().unwrap());
        let waits = Waits {
            groups: vec![
                waiting(None, Reason::Suspect, 1, Wait::Time(NOW + 30_000)),
                waiting(Some("acme"), Reason::NoRoom, 1_001, Wait::RateLimit(NOW + 86_000_000)),
                waiting(Some("acme"), Reason::FolderMissing, 3, Wait::Connection),
                waiting(Some("globex"), Reason::Paused, 7, Wait::Person(lane)),
                waiting(Some("initech"), Reason::ServerError, 40, Wait::Testmo(NOW + 250_000)),
                waiting(Some("umbrella"), Reason::NoRoom, 2, Wait::Worker(NOW + 300_000)),
                waiting(Some("umbrella"), Reason::NoRoom, 9, Wait::Room),
            ],
            is_more: false,
            paused: vec![LaneSelector::Tenant("globex".parse().unwrap())],
            requests: vec![OpenRequests {
                account: "https://umbrella.testmo.net".into(),
                tenant: "umbrella".into(),
                requests: 2,
                cases: 164,
                lease_until: NOW + 149_000,
            }],
            now: NOW,
        };
        let lines = [on_shelf(&waits).columns(), paused(&waits), under_way(&waits).columns()].concat();
        insta::assert_snapshot!(lines.join("\n"));
        insta::assert_snapshot!(serde_json::to_string_pretty(&WaitsView::of(&waits)).unwrap());
    }
}
