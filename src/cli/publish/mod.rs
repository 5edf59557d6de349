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

use super::desk::configuration;
use super::events::{duration, pattern};
use super::failure::Failure;
use super::letter::{self, Letter};
use super::lint::tell;
use super::out::Out;
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

pub(super) async fn execute(arguments: Arguments, files: &[PathBuf], out: &mut Out) -> Result<(), Failure> {
    let config = configuration(files)?;
    let letters = letter::read_all(&arguments.files)?;
    if !arguments.raw {
        refuse_faulty(&letters, out)?;
    }
    if !arguments.wait {
        // The publisher tries for long and says little; this tells at once what is wrong with the broker.
        amqp::connect_once(&config.amqp, "publish").await?.close().await;
        return send_all(&config.amqp, &letters, out).await;
    }
    let mut tail = Tail::open(&config.amqp, &pattern(letter::only_tenant(&letters, arguments.raw))).await?;
    send_all(&config.amqp, &letters, out).await?;
    let end = wait::outcomes(&mut tail, &letters, arguments.timeout, out).await;
    tail.close().await;
    end
}

fn refuse_faulty(letters: &[Letter], out: &mut Out) -> Result<(), Failure> {
    let faulty: Vec<_> = letters.iter().filter(|letter| !letter.faults.is_empty()).collect();
    for letter in &faulty {
        tell(letter, out)?;
    }
    if faulty.is_empty() {
        return Ok(());
    }
    Err(Failure::finding(
        format!("nothing was published: {} cannot be read as batches", counted(faulty.len(), "file", "files")),
        "mend them; --raw publishes the bytes as they are, which then wait on the shelf",
    ))
}

async fn send_all(config: &Amqp, letters: &[Letter], out: &mut Out) -> Result<(), Failure> {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let publisher = Publisher::start(config, &tasks, stop.clone());
    tasks.close();
    let end = send_each(&publisher, config, letters, out).await;
    stop.cancel();
    tasks.wait().await;
    end
}

/// One after the other, so that batches keep the order in which they were named.
async fn send_each(publisher: &Publisher, config: &Amqp, letters: &[Letter], out: &mut Out) -> Result<(), Failure> {
    let bar = wait::bar(letters.len(), "published");
    for letter in letters {
        let now = Clock::system().now();
        publisher.publish(letter.outgoing(&config.cases_exchange, ROUTING_KEY, now)).await?;
        bar.inc(1);
        bar.suspend(|| out.line(format_args!("published   {letter}")))?;
    }
    bar.finish_and_clear();
    Ok(())
}
