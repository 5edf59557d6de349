//! `shelf show`: what is known of an entry, and what does its message say?

use clap::Args;
use serde_json::{Value, json};
use testmo_courier::store::shelf::{RAW_HEADERS, Shelved};
use testmo_courier::store::{Store, StoreHealth};

use super::super::failure::Failure;
use super::super::moment::both;
use super::super::out::{Out, visible};
use super::super::table::facts;
use super::selection::{Which, named};
use super::{due, list, name};

/// So many bytes of headers that could not be read are shown.
const MOST_RAW_BYTES: usize = 1_000;

const EXAMPLES: &str = "\
Examples:
  testmo-courier shelf show 0000001a
  testmo-courier shelf show acme/shop-142-1
  testmo-courier shelf show 0000001a --body > batch.json";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The entries: ids as `shelf list` prints them, or batches as TENANT/BATCH
    #[arg(required = true, value_name = "ID")]
    names: Vec<Which>,
    /// Print the message's bytes as they came, and nothing else; of one entry only
    #[arg(long, conflicts_with = "json")]
    body: bool,
    /// Print JSON, for programs: an object, or a list of several
    #[arg(long)]
    json: bool,
}

pub(crate) async fn execute(arguments: &Arguments, store: &Store, out: &mut Out) -> Result<(), Failure> {
    let mut entries = Vec::new();
    for id in named(&arguments.names, store).await? {
        entries.extend(store.shelved(id).await?);
    }
    let now = store.now();
    match entries.as_slice() {
        [entry] if arguments.body => out.bytes(&entry.content.body),
        _ if arguments.body => {
            let ids: Vec<String> = entries.iter().map(|entry| entry.id.to_string()).collect();
            Err(Failure::usage(format!("these are several entries: {}", ids.join(", ")), "give the id of one of them"))
        }
        [entry] if arguments.json => out.json(&object(entry, now)),
        several if arguments.json => out.json(&several.iter().map(|entry| object(entry, now)).collect()),
        several => {
            let texts: Vec<String> = several.iter().map(|entry| described(entry, now)).collect();
            out.text(&texts.join("\n"))
        }
    }
}

fn object(entry: &Shelved, now: i64) -> Value {
    let mut value = list::object(entry, now);
    value["headers"] = json!(entry.content.headers);
    value["body"] = serde_json::from_slice(&entry.content.body)
        .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&entry.content.body)));
    value
}

fn described(entry: &Shelved, now: i64) -> String {
    let content = &entry.content;
    let mut told = vec![
        ("id", entry.id.to_string()),
        ("batch", name(entry)),
        ("state", entry.state.name().into()),
        ("reason", content.reason.to_string()),
        ("cause", content.reason.cause().into()),
        ("remedy", content.reason.remedy().into()),
    ];
    told.extend(content.detail.clone().map(|detail| ("detail", detail)));
    told.extend(content.account.clone().map(|account| ("account", account)));
    told.push(("arrived", both(content.arrived_at, now)));
    told.push(("shelved", both(entry.shelved_at, now)));
    told.push(("comes back", due(entry, now)));
    if content.parks > 0 {
        told.push(("parked", format!("{} times", content.parks)));
    }
    told.extend(content.failing_since.map(|since| ("failing", both(since, now))));
    let mut text = facts(&told);
    if !content.headers.is_empty() {
        let headers = content.headers.iter().map(|(name, value)| header(name, value));
        let headers: Vec<_> = headers.collect();
        text.push_str("\nheaders\n");
        text.extend(facts(&headers).lines().map(|line| format!("  {line}\n")));
    }
    text + "\nmessage\n" + &readable(&content.body)
}

/// A header as people can read it. One that could not be read is shown with its odd bytes written out.
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
    ("as they came", text)
}

fn byte(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// A message as people can read it: JSON set out in lines, anything else with its odd bytes written out.
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
    fn headers_that_could_not_be_read_are_shown_as_far_as_people_can_bear() {
        assert_eq!(header("traceparent", "00-1"), ("traceparent", "00-1".into()));
        assert_eq!(header(RAW_HEADERS, "03782dff1b"), ("as they came", "\\x03x-\\xff\\x1b".into()));
        let (_, long) = header(RAW_HEADERS, &"78".repeat(1_234));
        assert!(long.starts_with("xxx") && long.contains("… and 234 bytes more"), "{long}");
    }

    #[test]
    fn a_message_is_shown_so_that_it_cannot_do_harm() {
        assert_eq!(readable(br#"{"a":["\u001b[2J"]}"#), "{\n  \"a\": [\n    \"\\u001b[2J\"\n  ]\n}\n");
        assert_eq!(readable(b"{\x1b[2J"), "{\\x1b[2J\n");
    }
}
