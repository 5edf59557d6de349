//! What became of the batches that were published? Waits for the event of each.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use testmo_courier::amqp::Tail;
use tokio::time::{Instant, timeout_at};

use super::super::event_view::EventView;
use super::super::failure::Failure;
use super::super::message_file::MessageFile;
use super::super::output::Output;
use super::super::table::counted;

/// Prints the outcome of each message as it comes.
pub(super) async fn outcomes(
    tail: &mut Tail,
    messages: &[MessageFile],
    limit: Duration,
    out: &mut Output,
) -> Result<(), Failure> {
    let until = Instant::now() + limit;
    let mut open = distinct(messages);
    let bar = bar(open.len(), "settled");
    let mut all_delivered = true;
    while !open.is_empty() {
        let Ok(message) = timeout_at(until, tail.next()).await else {
            bar.finish_and_clear();
            return Err(overdue(&open, limit, out)?);
        };
        let Some(outcome) = EventView::read(&message?.body) else { continue };
        if !outcome.is_final() {
            if open.iter().any(|message| speaks_of(&outcome, message)) {
                bar.suspend(|| outcome.lines(out).iter().try_for_each(|line| out.line(line)))?;
            }
            continue;
        }
        let waited_for = open.len();
        open.retain(|message| !speaks_of(&outcome, message));
        if open.len() < waited_for {
            bar.inc((waited_for - open.len()) as u64);
            all_delivered &= outcome.is_delivered();
            bar.suspend(|| outcome.lines(out).iter().try_for_each(|line| out.line(line)))?;
        }
    }
    bar.finish_and_clear();
    if all_delivered { Ok(()) } else { Err(Failure::Told) }
}

/// The messages, each content once: of a batch that was published twice there may be one event only.
fn distinct(messages: &[MessageFile]) -> Vec<&MessageFile> {
    let mut open: Vec<&MessageFile> = Vec::new();
    for message in messages {
        if !open.iter().any(|other| other.hash == message.hash) {
            open.push(message);
        }
    }
    open
}

/// An event names its batch, and the message's hash where the message is no batch, or not the one it claims to be.
fn speaks_of(outcome: &EventView, message: &MessageFile) -> bool {
    match &outcome.message_hash {
        Some(hash) => *hash == message.hash,
        None => outcome.key().is_some() && outcome.key() == message.key,
    }
}

fn overdue(open: &[&MessageFile], limit: Duration, out: &mut Output) -> Result<Failure, Failure> {
    for message in open {
        out.line(format_args!("open        {message}"))?;
    }
    Ok(Failure::finding(
        format!("after {limit:?}, {} not settled", counted(open.len(), "batch is", "batches are")),
        "nothing is lost: `testmo-courier shelf list` shows what waits and for what, `events tail` what is settled later",
    ))
}

/// A bar on standard error, if that is a terminal.
pub(super) fn bar(all: usize, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}  {elapsed}");
    let bar = ProgressBar::with_draw_target(Some(all as u64), ProgressDrawTarget::stderr()).with_message(what);
    style.map(|style| bar.clone().with_style(style)).unwrap_or(bar)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcome(data: serde_json::Value) -> EventView {
        EventView::read(json!({"type": "x", "data": data}).to_string().as_bytes()).unwrap()
    }

    #[test]
    fn an_event_is_matched_by_hash_where_it_has_one_and_by_batch_otherwise() {
        let broken = MessageFile::new("f".into(), br#"{"tenant_id":"acme","batch_id":"b-1"}"#.to_vec());
        assert!(broken.key.is_some());
        assert!(speaks_of(&outcome(json!({"tenant_id": "acme", "batch_id": "b-1"})), &broken));
        assert!(!speaks_of(&outcome(json!({"tenant_id": "acme", "batch_id": "b-2"})), &broken));
        assert!(speaks_of(&outcome(json!({"message_hash": broken.hash})), &broken));
        let other = json!({"tenant_id": "acme", "batch_id": "b-1", "message_hash": "0"});
        assert!(!speaks_of(&outcome(other), &broken));
        assert!(!speaks_of(&outcome(json!({})), &MessageFile::new("f".into(), b"{".to_vec())));
    }

    #[test]
    fn a_batch_that_was_published_twice_is_waited_for_once() {
        let messages = [b"a", b"b", b"a"].map(|body| MessageFile::new("f".into(), body.to_vec()));
        assert_eq!(distinct(&messages).len(), 2);
    }
}
