//! `publish`: how does a batch get from a file onto the queue, and what becomes of it?

mod wait;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use testmo_courier::amqp::{self, Publisher, Tail};
use testmo_courier::clock::Clock;
use testmo_courier::config::Amqp;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::events::{duration, pattern};
use super::failure::Failure;
use super::lint::tell;
use super::message_file::{self, MessageFile};
use super::open::configuration;
use super::output::Output;
use super::table::counted;

/// The routing key that the documentation gives to generators.
const ROUTING_KEY: &str = "batch";

const EXAMPLES: &str = "\
Every file is checked first, as `lint` does; when one of them has a fault, nothing is published.

Examples:
  testmo-courier publish batch.json
  testmo-courier publish --wait --timeout 2m batches/*.json
  generate | testmo-courier publish -";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Files with one batch each; - is the standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Wait for the outcome of each batch; the exit code is 1 unless all of them are delivered
    #[arg(long)]
    wait: bool,
    /// How long to wait for all of them
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration, requires = "wait")]
    timeout: Duration,
    /// Publish the bytes as they are, without checking them
    #[arg(long)]
    raw: bool,
}

pub(super) async fn execute(arguments: Arguments, files: &[PathBuf], out: &mut Output) -> Result<(), Failure> {
    let config = configuration(files)?;
    let messages = message_file::read_all(&arguments.files)?;
    if !arguments.raw {
        refuse_faulty(&messages, out)?;
    }
    if !arguments.wait {
        // The publisher tries for long and says little; this tells at once what is wrong with the broker.
        amqp::connect_once(&config.amqp, "publish").await?.close().await;
        return send_all(&config.amqp, &messages, out).await;
    }
    let mut tail = Tail::open(&config.amqp, &pattern(message_file::only_tenant(&messages, arguments.raw))).await?;
    send_all(&config.amqp, &messages, out).await?;
    let end = wait::outcomes(&mut tail, &messages, arguments.timeout, out).await;
    tail.close().await;
    end
}

fn refuse_faulty(messages: &[MessageFile], out: &mut Output) -> Result<(), Failure> {
    let faulty: Vec<_> = messages.iter().filter(|message| !message.faults.is_empty()).collect();
    for message in &faulty {
        tell(message, out)?;
    }
    if faulty.is_empty() {
        return Ok(());
    }
    Err(Failure::finding(
        format!("nothing was published: {} cannot be read as batches", counted(faulty.len(), "file", "files")),
        "mend them; --raw publishes the bytes as they are, which then wait on the shelf",
    ))
}

async fn send_all(config: &Amqp, messages: &[MessageFile], out: &mut Output) -> Result<(), Failure> {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let publisher = Publisher::start(config, &tasks, stop.clone());
    tasks.close();
    let end = send_each(&publisher, config, messages, out).await;
    stop.cancel();
    tasks.wait().await;
    end
}

/// One after the other, so that batches keep the order in which they were named.
async fn send_each(
    publisher: &Publisher,
    config: &Amqp,
    messages: &[MessageFile],
    out: &mut Output,
) -> Result<(), Failure> {
    let bar = wait::bar(messages.len(), "published");
    for message in messages {
        let now = Clock::system().now();
        publisher.publish(message.outgoing(&config.cases_exchange, ROUTING_KEY, now)).await?;
        bar.inc(1);
        bar.suspend(|| out.line(format_args!("published   {message}")))?;
    }
    bar.finish_and_clear();
    Ok(())
}
