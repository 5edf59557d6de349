//! `lanes`: shows what waits for which Testmo account in a running worker, and pauses or limits lanes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;
use testmo_courier::app::actor::Actor;
use testmo_courier::app::connections::batches_wait;
use testmo_courier::app::lanes::{self, Closure, LaneOrder, LaneOverride, Ordered, Waiting};
use testmo_courier::app::observed::get;
use testmo_courier::app::store_now;
use testmo_courier::app::time::relative;
use testmo_courier::app::view::{LaneOverridesView, WaitsView};
use testmo_courier::app::waits;
use url::Url;

use super::failure::Failure;
use super::health::address_of;
use super::open::{configuration, store};
use super::output::Output;
use super::table::{Form, List};
use super::time_format::{absolute, both};
use super::waiting;

const EXAMPLES: &str = "\
A lane is the queue of one Testmo account in one worker; the tenants of an account take turns in it. Without a command,
the lanes of the worker on this machine are listed, and below them what waits in the store, over all workers; with --url or
--plain only the lanes. An override applies to all workers until it is changed.

Examples:
  testmo-courier lanes --watch
  testmo-courier lanes waiting --json
  testmo-courier lanes pause acme --because 'maintenance of their Testmo'
  testmo-courier lanes resume acme
  testmo-courier lanes resume acme --now
  testmo-courier lanes limit https://acme.testmo.net 2
  testmo-courier lanes limit acme none";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Repeat the list every two seconds, until interrupted
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    /// The URL to read instead of /lanes at observe.listen
    #[arg(long)]
    url: Option<Url>,
    #[command(flatten)]
    form: Form,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Pause a tenant or an account: its batches wait on the shelf
    Pause(Lane),
    /// Resume a tenant or an account, and say what else keeps it from sending
    Resume {
        #[command(flatten)]
        lane: Lane,
        /// End a pause that Testmo asked for, too, and try an account that fails at once: one request goes first
        #[arg(long)]
        now: bool,
    },
    /// Limit the concurrent requests of all workers together
    Limit {
        #[command(flatten)]
        lane: Lane,
        /// The maximum number of concurrent requests, at least 1, or `none`
        #[arg(value_parser = most)]
        most: Most,
    },
    /// List what waits for a retry, why and until when, over all workers
    Waiting(waiting::Arguments),
    /// List the overrides in force
    Overrides(Form),
}

#[derive(Args, Debug)]
struct Lane {
    /// A tenant, or the base URL of an account
    #[arg(value_name = "TENANT|URL")]
    lane: String,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct Most(Option<u32>);

fn most(text: &str) -> Result<Most, String> {
    match text {
        "none" => Ok(Most(None)),
        _ => match text.parse::<u32>() {
            Ok(most) if most > 0 => Ok(Most(Some(most))),
            Ok(_) | Err(_) => Err("write a number of at least 1, or `none`; to send nothing, use `lanes pause`".into()),
        },
    }
}

/// How often a watched list is printed again.
const WATCH: Duration = Duration::from_secs(2);

pub(super) async fn execute(
    arguments: Arguments,
    files: &[PathBuf],
    actor: &Actor,
    out: &mut Output,
) -> Result<(), Failure> {
    let Some(command) = arguments.command else { return show(&arguments, files, out).await };
    let config = configuration(files)?;
    let store = store(&config).await?;
    let (lane, order) = match command {
        Command::Waiting(arguments) => return waiting::execute(&arguments, &store, out).await,
        Command::Overrides(form) => return list(&lanes::overrides(&store).await?, form, out),
        Command::Pause(lane) => (lane, LaneOrder::Pause),
        Command::Resume { lane, now } => (lane, LaneOrder::Resume { now }),
        Command::Limit { lane, most } => (lane, LaneOrder::Limit(most.0)),
    };
    let ordered = lanes::order(&store, actor, &config.testmo, &lane.lane, order, lane.because.as_deref()).await?;
    answer(&ordered, store_now(&store)).iter().try_for_each(|line| out.line(line))
}

/// Says what was ordered, and what keeps the lane from sending all the same.
fn answer(Ordered { order, opened, waiting, closed }: &Ordered, now: i64) -> Vec<String> {
    let name = order.lane.name();
    let mut lines = vec![described(order)];
    lines.extend(opened.then(|| "Its Testmo account is tried again at once: one request goes first.".to_owned()));
    lines.extend(waiting.map(|waiting| behind(waiting, closed.is_empty(), now)));
    let describe = |closure: &Closure| match closure {
        Closure::RateLimited(account, until) => format!(
            "Nothing is sent to {account} yet: Testmo asked for a pause until {} ({}). `testmo-courier lanes resume {name} --now` ends it.",
            absolute(*until),
            relative(*until, now)
        ),
        Closure::Failing(account, until) => format!(
            "Nothing is sent to {account} yet: it fails, and is tried again {}. `testmo-courier lanes resume {name} --now` tries it at once.",
            both((*until).max(now), now)
        ),
        Closure::Paused(other) => {
            format!("{0} is still paused: `testmo-courier lanes resume {0}` resumes it.", other.name())
        }
        Closure::Unverified(tenant) => {
            format!("The connection of {tenant} does not work: `testmo-courier tenants verify {tenant}` says why.")
        }
    };
    lines.extend(closed.iter().map(describe));
    lines
}

/// Says how much waits for a lane that was resumed.
fn behind(waiting: Waiting, is_open: bool, now: i64) -> String {
    let Some(since) = waiting.since else {
        return "No batch of this lane waits on the shelf to be sent automatically.".into();
    };
    let batches = batches_wait(&waiting);
    let then = if is_open { "; a running worker sends what is due as it has room" } else { "" };
    format!("{batches} for it on the shelf, the oldest since {}{then}.", both(since, now))
}

fn described(order: &LaneOverride) -> String {
    let name = order.lane.name();
    let limit = order.most.map(|most| format!("at most {most} concurrent requests"));
    match (order.paused, limit) {
        (true, limit) => {
            let limit = limit.map(|limit| format!(", then {limit}")).unwrap_or_default();
            format!("{name} is paused: its batches wait on the shelf until `testmo-courier lanes resume {name}`{limit}")
        }
        (false, Some(limit)) => format!("{name} is not paused by a person; its limit is {limit}."),
        (false, None) => {
            format!("{name} is not paused by a person; its limit is as configured.")
        }
    }
}

fn list(orders: &[LaneOverride], form: Form, out: &mut Output) -> Result<(), Failure> {
    if form.json {
        return out.json(&LaneOverridesView::of(orders));
    }
    let mut list = List::new(&["lane", "paused", "limit"]);
    for order in orders {
        let limit = order.most.map_or_else(|| "-".to_owned(), |most| most.to_string());
        list.add(vec![order.lane.name().to_owned(), if order.paused { "yes" } else { "no" }.into(), limit]);
    }
    list.write(out, form.plain, "No overrides: every lane works as configured.")
}

async fn show(arguments: &Arguments, files: &[PathBuf], out: &mut Output) -> Result<(), Failure> {
    let url = match &arguments.url {
        Some(url) => url.clone(),
        None => address_of(configuration(files)?.observe.listen, "/lanes")?,
    };
    let is_local = arguments.url.is_none();
    loop {
        let lanes = lanes_at(&url);
        if arguments.form.json {
            return out.json(&with_waits(lanes?, is_local, files).await?);
        }
        if arguments.watch {
            // Clears the terminal and begins at its top.
            out.text("\u{1b}[2J\u{1b}[H")?;
        }
        if let Ok(lanes) = &lanes {
            table(lanes).write(out, arguments.form.plain, "No batch is in a lane of this worker.")?;
        }
        if is_local && !arguments.form.plain {
            out.line("")?;
            waiting::write(&waits::read(&store(&configuration(files)?).await?, waiting::GROUPS).await?, false, out)?;
        }
        lanes?;
        if !arguments.watch {
            return Ok(());
        }
        tokio::time::sleep(WATCH).await;
    }
}

/// Adds what waits in the store, unless another worker's lanes were asked for.
async fn with_waits(mut lanes: Value, is_local: bool, files: &[PathBuf]) -> Result<Value, Failure> {
    if is_local {
        let waits = waits::read(&store(&configuration(files)?).await?, waiting::GROUPS).await?;
        let waits = serde_json::to_value(WaitsView::of(&waits)).unwrap_or_default();
        if let (Value::Object(lanes), Value::Object(waits)) = (&mut lanes, waits) {
            lanes.extend(waits);
        }
    }
    Ok(lanes)
}

fn lanes_at(url: &Url) -> Result<Value, Failure> {
    let unreachable = |why: String| {
        Failure::unreachable(
            format!("{url} cannot be read ({why})"),
            "start the worker with `testmo-courier run`, or check observe.listen",
        )
    };
    let (status, body) = get(url).map_err(|error| unreachable(error.to_string()))?;
    if status != 200 {
        return Err(unreachable(format!("status {status}")));
    }
    serde_json::from_str(&body).map_err(|_| unreachable("the response does not come from a worker".into()))
}

fn table(lanes: &Value) -> List {
    let mut list =
        List::new(&["account", "state", "in flight", "tenant", "batches", "cases", "on shelf", "drained in"]);
    for lane in lanes["lanes"].as_array().into_iter().flatten() {
        let state = match lane["backoff_seconds"].as_f64() {
            Some(seconds) => format!("backing off {}", time(seconds)),
            None => lane["state"].as_str().unwrap_or("?").to_owned(),
        };
        let at_once = format!("{}/{}", lane["in_flight"], lane["limit"]);
        let account = lane["account"].as_str().unwrap_or("?").to_owned();
        let tenants = lane["tenants"].as_array().map_or(0, Vec::len);
        // Batches that failed in this worker and are soon retried are in no tenant's queue.
        if let Some(pausing) = lane["pausing"].as_u64().filter(|pausing| tenants == 0 && *pausing > 0) {
            let dash = || "-".to_owned();
            list.add(vec![
                account.clone(),
                state.clone(),
                at_once.clone(),
                dash(),
                pausing.to_string(),
                dash(),
                dash(),
                dash(),
            ]);
        }
        for tenant in lane["tenants"].as_array().into_iter().flatten() {
            list.add(vec![
                account.clone(),
                state.clone(),
                at_once.clone(),
                tenant["tenant_id"].as_str().unwrap_or("?").to_owned(),
                tenant["batches"].to_string(),
                tenant["cases"].to_string(),
                tenant["on_shelf"].to_string(),
                time(tenant["backlog_drain_seconds"].as_f64().unwrap_or(0.0)),
            ]);
        }
    }
    list
}

fn time(seconds: f64) -> String {
    if seconds < 1.0 {
        return if seconds > 0.0 { "<1s" } else { "0s" }.to_owned();
    }
    let whole = Duration::from_secs_f64(seconds.min(1e9)).as_secs();
    humantime_serde::re::humantime::format_duration(Duration::from_secs(whole)).to_string().replace(' ', "")
}

#[cfg(test)]
mod tests {
    use testmo_courier::app::lanes::LaneSelector;

    use super::*;

    #[test]
    fn lanes_read_like_this() {
        let lanes = serde_json::json!({"lanes": [
            {"account": "https://acme.testmo.net", "state": "backing_off", "backoff_seconds": 61.4, "in_flight": 0, "limit": 1,
             "tenants": [{"tenant_id": "acme", "batches": 3, "cases": 15, "on_shelf": 4200, "backlog_drain_seconds": 4261.0}]},
            {"account": "https://birch.testmo.net", "state": "active", "backoff_seconds": null, "in_flight": 2, "limit": 4,
             "tenants": [{"tenant_id": "birch", "batches": 1, "cases": 5, "on_shelf": 0, "backlog_drain_seconds": 0.2}]}]});
        insta::assert_snapshot!(table(&lanes).columns().join("\n"));
    }

    #[test]
    fn batches_that_are_soon_retried_in_a_worker_are_no_empty_lane() {
        let lane = |pausing| {
            serde_json::json!({"lanes": [{"account": "https://a.testmo.net", "state": "active", "backoff_seconds": null,
                "in_flight": 0, "limit": 4, "pausing": pausing, "tenants": []}]})
        };
        assert!(table(&lane(0)).is_empty());
        let lines = table(&lane(3)).columns();
        assert!(lines.len() == 2 && lines[1].contains("https://a.testmo.net  active  0/4"), "{lines:?}");
    }

    #[test]
    fn an_order_is_answered_with_what_follows() {
        let order = |paused, most| {
            described(&LaneOverride { lane: LaneSelector::Account("https://a.testmo.net".into()), paused, most })
        };
        let said = [order(true, None), order(true, Some(2)), order(false, Some(2)), order(false, None)];
        insta::assert_snapshot!(said.join("\n"));
    }

    #[test]
    fn what_keeps_a_resumed_lane_closed_reads_like_this() {
        const NOW: i64 = 1_800_000_000_000;
        let account = || "https://a.testmo.net".to_owned();
        let lane = LaneSelector::Tenant("acme".parse().unwrap());
        let closed = vec![
            Closure::Paused(LaneSelector::Account(account())),
            Closure::RateLimited(account(), NOW + 86_000_000),
            Closure::Failing(account(), NOW - 5_000),
            Closure::Unverified("acme".parse().unwrap()),
        ];
        let order = || LaneOverride { lane: lane.clone(), paused: false, most: None };
        let waiting =
            |batches| Some(Waiting { batches, is_more: false, since: (batches > 0).then_some(NOW - 7_200_000) });
        let mut said = answer(&Ordered { order: order(), opened: false, waiting: waiting(1), closed }, NOW);
        said.extend(answer(&Ordered { order: order(), opened: true, waiting: waiting(7), closed: vec![] }, NOW));
        said.extend(answer(&Ordered { order: order(), opened: false, waiting: waiting(0), closed: vec![] }, NOW));
        insta::assert_snapshot!(said.join("\n"));
    }

    #[test]
    fn a_limit_is_a_number_or_the_word_none() {
        assert_eq!(most("3").map(|most| most.0), Ok(Some(3)));
        assert_eq!(most("none").map(|most| most.0), Ok(None));
        for wrong in ["0", "-1", "many", ""] {
            assert!(most(wrong).is_err(), "{wrong}");
        }
    }
}
