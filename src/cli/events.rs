//! `events tail`: prints events as they are published.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;
use testmo_courier::app::events::{ReceivedEvent, follow};
use testmo_courier::app::time::{duration, now};
use testmo_courier::app::{TenantId, open_store};
use testmo_courier::config::Config;
use tokio::time::{Instant, sleep_until, timeout};

use super::event_view::lines;
use super::failure::Failure;
use super::open::configuration;
use super::output::{Output, visible};
use super::signals::Signals;
use super::tenant_hint::note_if_unknown;
use super::time_format::absolute;

/// Without a limit only a person ends the command; this is as good as never.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3_600);

/// How long the store is waited for, which only knows whether a tenant is mistyped.
const HINT: Duration = Duration::from_secs(2);

const TAIL_EXAMPLES: &str = "\
The command shows only events that are published after its start, and takes none from other consumers.

Examples:
  testmo-courier events tail --tenant acme
  testmo-courier events tail --json --count 1 --timeout 30s";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print events as they are published, until Ctrl-C
    Tail(TailArguments),
}

#[derive(Args, Debug)]
#[command(after_help = TAIL_EXAMPLES)]
pub(super) struct TailArguments {
    /// Only events of this tenant
    #[arg(long)]
    tenant: Option<TenantId>,
    /// End after N events
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// End after this time, such as 30s or 5m; an error if --count was not reached by then
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    /// Print each event as one line of JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn execute(command: Command, files: &[PathBuf], out: &mut Output) -> Result<(), Failure> {
    let Command::Tail(arguments) = command;
    let config = configuration(files)?;
    let mut signals = Signals::listen()?;
    let mut tail = tokio::select! {
        tail = follow(&config.amqp, arguments.tenant.as_ref()) => tail?,
        () = signals.next() => return Ok(()),
    };
    // The events are kept for the command meanwhile. A hint is no reason to fail where there is no store.
    drop(timeout(HINT, hint(&config, arguments.tenant.as_ref())).await);
    let until = Instant::now() + arguments.timeout.unwrap_or(NEVER);
    let mut seen = 0;
    let end = loop {
        if arguments.count == Some(seen) {
            break Ok(());
        }
        tokio::select! {
            () = signals.next() => break Ok(()),
            () = sleep_until(until) => break missed(arguments.count, seen),
            message = tail.next() => {
                print(&message?.body, arguments.json, out)?;
                seen += 1;
            }
        }
    };
    tail.close().await;
    end
}

/// Says which tenant was probably meant, if the store knows.
async fn hint(config: &Config, tenant: Option<&TenantId>) -> Result<(), Failure> {
    match tenant {
        Some(_) => note_if_unknown(&open_store(config).await?, tenant).await,
        None => Ok(()),
    }
}

fn missed(wanted: Option<u64>, seen: u64) -> Result<(), Failure> {
    match wanted {
        None => Ok(()),
        Some(wanted) => Err(Failure::finding(
            format!("{seen} of {wanted} events arrived in time"),
            "`testmo-courier shelf list` shows the batches that cannot be delivered now; `testmo-courier health` \
             checks the worker",
        )),
    }
}

fn print(body: &[u8], json: bool, out: &mut Output) -> Result<(), Failure> {
    if json {
        // Written again, so that it is on one line however it was published.
        let value = serde_json::from_slice(body).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(body)));
        return out.line(value);
    }
    let time = absolute(now());
    match ReceivedEvent::read(body) {
        Some(event) => {
            let mut lines = lines(&event, out).into_iter();
            out.line(format_args!("{time}  {}", lines.next().unwrap_or_default()))?;
            lines.try_for_each(|line| out.line(line))
        }
        None => out.line(format_args!("{time}  {}", visible(&String::from_utf8_lossy(body)))),
    }
}
