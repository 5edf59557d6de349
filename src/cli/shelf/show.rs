//! `shelf show`: shows entries of the shelf with their messages.

use clap::Args;
use serde_json::Value;
use testmo_courier::app::plan::batch_label;
use testmo_courier::app::shelf::{self, CauseNote, EntryName, Pauses, RAW_HEADERS, ShelfIdentity, Shelved};
use testmo_courier::app::time::relative;
use testmo_courier::app::view::{ShelvedMessageView, due};
use testmo_courier::app::{Store, store_now};

use super::super::failure::Failure;
use super::super::output::{Output, visible};
use super::super::table::{counted, facts};
use super::super::time_format::both;

/// How many bytes of headers that could not be read are shown.
const MOST_RAW_BYTES: usize = 1_000;

const EXAMPLES: &str = "\
Examples:
  testmo-courier shelf show 0000001a
  testmo-courier shelf show acme/shop-142-1
  testmo-courier shelf show --message-id shop-142-1
  testmo-courier shelf show 0000001a --body > batch.json
  testmo-courier shelf show 0000001a --for-customer";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The entries: ids as `shelf list` prints them, batches as TENANT/BATCH, or the first 12 digits of a message's hash
    #[arg(required_unless_present = "message_id", value_name = "ID")]
    names: Vec<EntryName>,
    /// The entries whose message was published with this message_id
    #[arg(long, value_name = "ID", conflicts_with = "names")]
    message_id: Option<String>,
    /// Print only the message's original bytes; for one entry
    #[arg(long, conflicts_with = "json")]
    body: bool,
    /// Print what can be said to the customer, without words of our own
    #[arg(long, conflicts_with = "body")]
    for_customer: bool,
    /// Print JSON, for programs: an object, or a list of several
    #[arg(long)]
    json: bool,
}

pub(crate) async fn execute(arguments: &Arguments, store: &Store, out: &mut Output) -> Result<(), Failure> {
    let entries = match &arguments.message_id {
        None => shelf::show(store, &arguments.names).await?,
        Some(id) => shelf::show_published_as(store, id).await?,
    };
    if arguments.for_customer {
        return say_to_customer(&entries, arguments.json, store, out).await;
    }
    let (pauses, now) = (Pauses::read(store).await?, store_now(store));
    let notes = shelf::notes_of(store, &entries).await?;
    let noted = || entries.iter().zip(&notes);
    let view = |(entry, note): (&Shelved, &Option<CauseNote>)| {
        ShelvedMessageView::of(entry, &pauses, now).noted(note.as_ref())
    };
    match entries.as_slice() {
        [entry] if arguments.body => out.bytes(&entry.content.body),
        _ if arguments.body => {
            let ids: Vec<String> = entries.iter().map(|entry| entry.id.to_string()).collect();
            Err(Failure::usage(
                format!("the batch has several entries: {}", ids.join(", ")),
                "give the id of one of them",
            ))
        }
        [_] if arguments.json => noted().try_for_each(|entry| out.json(&view(entry))),
        _ if arguments.json => out.json(&noted().map(view).collect::<Vec<_>>()),
        _ => {
            let texts: Vec<String> =
                noted().map(|(entry, note)| described(entry, note.as_ref(), &pauses, now)).collect();
            out.text(&texts.join("\n"))
        }
    }
}

/// Prints what can be said to the customer about each entry.
async fn say_to_customer(entries: &[Shelved], json: bool, store: &Store, out: &mut Output) -> Result<(), Failure> {
    let mut texts = Vec::new();
    for entry in entries {
        texts.push(shelf::for_customer(store, entry).await?);
    }
    match texts.as_slice() {
        [text] if json => out.json(text),
        several if json => out.json(&several),
        several => {
            let texts: Vec<String> = several.iter().map(ToString::to_string).collect();
            let lines: String = texts.join("\n").lines().map(|line| format!("{}\n", visible(line))).collect();
            out.text(&lines)
        }
    }
}

fn described(entry: &Shelved, note: Option<&CauseNote>, pauses: &Pauses, now: i64) -> String {
    let content = &entry.content;
    let mut lines = vec![
        ("id", entry.id.to_string()),
        ("batch", batch_label(entry)),
        ("state", entry.state.name().into()),
        ("reason", format!("{} ({})", content.reason.title(), content.reason)),
        ("cause", content.reason.cause().into()),
        ("remedy", content.reason.remedy().into()),
    ];
    let more = shelf::story(entry).into_iter().chain(shelf::text_for_customer(entry));
    let commands = shelf::commands(entry, pauses).into_iter().chain(more);
    lines.extend(commands.map(|command| ("command", format!("{}  # {}", command.line, command.purpose))));
    lines.push(("group", shelf::group_of(entry).to_string()));
    lines.extend(note.map(|note| ("note", format!("{} (by {}, {})", note.text, note.actor, relative(note.at, now)))));
    lines.extend(content.detail.clone().map(|detail| ("detail", detail)));
    lines.extend(message_hash(entry).map(|hash| ("hash", format!("{hash}  # `lint` names the message so"))));
    lines.extend(content.account.clone().map(|account| ("account", account)));
    lines.extend(content.published_at.map(|at| ("published", both(at, now))));
    lines.push(("arrived", both(content.arrived_at, now)));
    lines.push(("shelved", both(entry.shelved_at, now)));
    lines.push(("next retry", due(entry, pauses, now)));
    if content.parks > 0 {
        lines.push(("parked", counted(usize::try_from(content.parks).unwrap_or(usize::MAX), "time", "times")));
    }
    lines.extend(content.failing_since.map(|since| ("failing", both(since, now))));
    let mut text = facts(&lines);
    if !content.headers.is_empty() {
        let headers = content.headers.iter().map(|(name, value)| header(name, value));
        let headers: Vec<_> = headers.collect();
        text.push_str("\nheaders\n");
        text.extend(facts(&headers).lines().map(|line| format!("  {line}\n")));
    }
    text + "\nmessage\n" + &readable(&content.body)
}

/// Returns the hash of a message that is no batch.
fn message_hash(entry: &Shelved) -> Option<&str> {
    match &entry.content.identity {
        ShelfIdentity::Raw(hash, ..) => Some(hash),
        ShelfIdentity::Batch(..) => None,
    }
}

/// Writes a header for people; one that could not be read is shown with its unprintable bytes escaped.
fn header<'a>(name: &'a str, value: &str) -> (&'a str, String) {
    if name != RAW_HEADERS {
        return (name, value.to_owned());
    }
    let bytes: Vec<u8> = value.as_bytes().chunks(2).filter_map(byte).collect();
    let start = bytes.get(..MOST_RAW_BYTES).unwrap_or(&bytes).escape_ascii().to_string();
    let text = match bytes.len().saturating_sub(MOST_RAW_BYTES) {
        0 => start,
        more => format!("{start}… and {more} bytes more; --json prints all of them as {RAW_HEADERS}"),
    };
    ("original bytes", text)
}

fn byte(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Writes a message for people: JSON indented, anything else with its unprintable bytes escaped.
fn readable(body: &[u8]) -> String {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => format!("{value:#}").lines().map(|line| format!("{}\n", visible(line))).collect(),
        Err(_) => format!("{}\n", body.escape_ascii()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_could_not_be_read_are_shown_up_to_a_limit() {
        assert_eq!(header("traceparent", "00-1"), ("traceparent", "00-1".into()));
        assert_eq!(header(RAW_HEADERS, "03782dff1b"), ("original bytes", "\\x03x-\\xff\\x1b".into()));
        let (_, long) = header(RAW_HEADERS, &"78".repeat(1_234));
        assert!(long.starts_with("xxx") && long.contains("… and 234 bytes more"), "{long}");
    }

    #[test]
    fn a_message_is_shown_without_control_characters() {
        assert_eq!(readable(br#"{"a":["\u001b[2J"]}"#), "{\n  \"a\": [\n    \"\\u001b[2J\"\n  ]\n}\n");
        assert_eq!(readable(b"{\x1b[2J"), "{\\x1b[2J\n");
    }
}
