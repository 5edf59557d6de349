//! Prints the outcomes of published batches as they come.

use std::time::Duration;

use testmo_courier::app::events::{ReceivedEvent, Tail};
use testmo_courier::app::messages::{Awaited, Message, WaitEnd};

use super::super::event_view::lines;
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::progress::bar;
use super::super::table::counted;

/// Prints the outcome of each message as it comes.
pub(super) async fn outcomes(
    tail: &mut Tail,
    messages: &[&Message],
    limit: Duration,
    out: &mut Output,
) -> Result<(), Failure> {
    let awaited = Awaited::of(messages.iter().copied());
    let bar = bar(awaited.count() as u64, "finished");
    let report = |event: &ReceivedEvent, finished: usize| {
        bar.inc(finished as u64);
        let mut lines = lines(event, out);
        lines.extend(person(event));
        bar.suspend(|| lines.iter().try_for_each(|line| out.line(line)))
    };
    let end = awaited.outcomes(tail, limit, report).await?;
    bar.finish_and_clear();
    match end {
        WaitEnd::Delivered => Ok(()),
        WaitEnd::NotDelivered => Err(Failure::Printed),
        WaitEnd::Overdue(open) => Err(overdue(&open, limit, out)?),
    }
}

/// Says that waiting any longer does not help, where only a person can go on.
fn person(event: &ReceivedEvent) -> Option<String> {
    let key = event.key().filter(|_| event.awaits_person())?;
    Some(format!(
        "            The batch waits for a person and is then sent automatically: `testmo-courier shelf show {key}` names \
         the command."
    ))
}

fn overdue(open: &[&Message], limit: Duration, out: &mut Output) -> Result<Failure, Failure> {
    for message in open {
        out.line(format_args!("open        {message}"))?;
    }
    Ok(Failure::finding(
        format!("after {limit:?}, {} not finished", counted(open.len(), "batch is", "batches are")),
        "no batch is lost: `testmo-courier shelf list` shows the batches that wait and their reasons, `events tail` \
         later outcomes",
    ))
}
