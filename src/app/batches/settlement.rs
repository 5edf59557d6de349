//! Reads the outcomes of a batch from the events that announced them.

use serde_json::Value;

use crate::store::history::EventRow;

/// An outcome of a batch, as its event says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Which outcome of the batch it is, from 1.
    pub revision: u64,
    /// The word for it.
    pub outcome: String,
    /// How many cases had which outcome, in the order in which these occur.
    pub cases: Vec<(String, usize)>,
    /// When the event was stored, in milliseconds since 1970.
    pub settled_at: i64,
    /// The id of the event.
    pub event: String,
}

/// Returns the outcomes that are among some events, in their order.
pub fn settlements(events: &[EventRow]) -> impl Iterator<Item = Settlement> {
    events.iter().filter_map(settlement)
}

fn settlement(event: &EventRow) -> Option<Settlement> {
    let body: Value = serde_json::from_str(&event.body).ok()?;
    let data = body.get("data")?;
    Some(Settlement {
        revision: data.get("revision")?.as_u64()?,
        outcome: data.get("outcome")?.as_str()?.to_owned(),
        cases: tally(data),
        settled_at: event.created_at,
        event: event.id.clone(),
    })
}

fn tally(data: &Value) -> Vec<(String, usize)> {
    let mut tally: Vec<(String, usize)> = Vec::new();
    for outcome in data["cases"].as_array().into_iter().flatten().filter_map(|case| case["outcome"].as_str()) {
        match tally.iter_mut().find(|(word, _)| word == outcome) {
            Some((_, count)) => *count += 1,
            None => tally.push((outcome.to_owned(), 1)),
        }
    }
    tally
}
