//! `publish`: publishes batches from files, and waits for their outcomes if that is wanted.

mod wait;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use testmo_courier::app::actor::Actor;
use testmo_courier::app::events::follow;
use testmo_courier::app::messages::{Message, check_broker, only_tenant, publish};
use testmo_courier::app::open_store;
use testmo_courier::app::time::duration;
use testmo_courier::config::Config;

use super::failure::Failure;
use super::lint::print;
use super::message_file::{MessageFile, read_all};
use super::open::configuration;
use super::output::Output;
use super::progress::bar;
use super::table::{counted, note};

const EXAMPLES: &str = "\
With --wait, the exit code is 0 if all batches are delivered and 1 otherwise. The wait for a batch also ends when the batch
waits for a person, such as one whose connection does not work or whose lane is paused: nothing is lost, and the output
says what to do.

Unless --raw is given, each file is checked first, as `lint` does. If one of them has a fault, nothing is published.

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
    /// How long to wait for all outcomes
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration, requires = "wait")]
    timeout: Duration,
    /// Publish the bytes unchanged and without checks
    #[arg(long)]
    raw: bool,
}

pub(super) async fn execute(
    arguments: Arguments,
    files: &[PathBuf],
    actor: &Actor,
    out: &mut Output,
) -> Result<(), Failure> {
    let config = configuration(files)?;
    let files = read_all(&arguments.files)?;
    if !arguments.raw {
        refuse_faulty(&files, out)?;
    }
    refuse_large(&files, config.amqp.max_message_bytes)?;
    let messages: Vec<&Message> = files.iter().map(|file| &file.message).collect();
    if !arguments.wait {
        check_broker(&config.amqp).await?;
        return publish_all(&config, actor, &messages, out).await;
    }
    let tenant = only_tenant(messages.iter().copied(), arguments.raw);
    let mut tail = follow(&config.amqp, tenant).await?;
    publish_all(&config, actor, &messages, out).await?;
    let end = wait::outcomes(&mut tail, &messages, arguments.timeout, out).await;
    tail.close().await;
    end
}

fn refuse_faulty(files: &[MessageFile], out: &mut Output) -> Result<(), Failure> {
    let faulty: Vec<_> = files.iter().filter(|file| !file.message.faults.is_empty()).collect();
    for file in &faulty {
        print(file, out)?;
    }
    if faulty.is_empty() {
        return Ok(());
    }
    Err(Failure::finding(
        format!("nothing was published: {}", counted(faulty.len(), "file has faults", "files have faults")),
        "fix the faults; --raw publishes the bytes unchanged, and the worker then shelves the messages",
    ))
}

/// Refuses to publish any file if one is larger than a worker takes.
fn refuse_large(files: &[MessageFile], most: usize) -> Result<(), Failure> {
    let Some(large) = files.iter().find(|file| file.message.size() > most) else { return Ok(()) };
    let (name, bytes) = (&large.name, large.message.size());
    Err(Failure::finding(
        format!("nothing was published: {name} has {bytes} bytes; at most {most} are allowed"),
        "publish the cases in several smaller batches, each with its own batch_id",
    ))
}

/// Publishes messages and prints each. The broker is enough for that: where the store cannot be opened, the audit has no entry.
async fn publish_all(config: &Config, actor: &Actor, messages: &[&Message], out: &mut Output) -> Result<(), Failure> {
    let store = open_store(config).await;
    if let Err(error) = &store {
        note(&format!("note: the audit has no entry of this, as the store cannot be opened ({error})"))?;
    }
    let bar = bar(messages.len() as u64, "published");
    let published = |message: &Message| {
        bar.inc(1);
        bar.suspend(|| out.line(format_args!("published   {message}")))
    };
    publish(store.as_ref().ok(), actor, &config.amqp, messages.iter().copied(), published).await?;
    bar.finish_and_clear();
    Ok(())
}
