//! Says to a customer, without words of our own, what became of test cases that are not on the shelf.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{BatchDetails, links, testmo_id};
use crate::app::plural::counted;
use crate::app::shelf::CustomerText;
use crate::app::shelf::customer::{MOST_CASES, said, shortened, shown, with_answer};
use crate::batch::ledger::{BatchRecord, BatchState, CaseState};
use crate::batch::message::key_by_position;
use crate::store::history::EventRow;

/// What follows for test cases that have not arrived.
const IF_NEEDED: &str = "Let us know if you still need them, and we send them again.";
/// What follows while test cases are sent.
const AUTOMATIC: &str = "You do not have to do anything.";

impl BatchDetails {
    /// Returns what can be said to a customer about the batch; nothing if it is on the shelf, where each entry has its own text.
    pub fn for_customer(&self) -> Option<CustomerText> {
        self.shelf.is_empty().then(|| match self.record() {
            Some(record) => written(record, &names(&self.history.events)),
            None => CustomerText {
                text: format!(
                    "These test cases have reached us and are sent to your Testmo automatically. {AUTOMATIC}"
                ),
                cases: Vec::new(),
                links: Vec::new(),
            },
        })
    }
}

fn written(record: &BatchRecord, names: &BTreeMap<usize, String>) -> CustomerText {
    let is_there = |at: &usize| testmo_id(&record.cases[*at]).is_some();
    let (there, missing): (Vec<usize>, Vec<usize>) = (0..record.cases.len()).partition(is_there);
    let name = |at: &usize| {
        let case = &record.cases[*at];
        let key = Some(&case.key).filter(|key| **key != key_by_position(*at));
        let name = names.get(at).or(key).map_or_else(|| format!("Test case {}", at + 1), |name| shown(name));
        match &case.state {
            CaseState::Refused(refusal) => with_answer(name, &said(refusal)),
            CaseState::Waiting
            | CaseState::Claimed
            | CaseState::Created(_)
            | CaseState::Adopted(_)
            | CaseState::Repeated(_)
            | CaseState::Lost => name,
        }
    };
    let names_missing = matches!(record.state, BatchState::Partial | BatchState::Failed | BatchState::Discarded);
    let is_pages_address = |link: &String| link.starts_with("https://") || link.starts_with("http://");
    let links = links(record).filter(is_pages_address).take(MOST_CASES);
    CustomerText {
        text: sentences(record.state, there.len(), record.cases.len()),
        cases: if names_missing { shortened(missing.iter().map(name).collect()) } else { Vec::new() },
        links: if record.state == BatchState::Undone { Vec::new() } else { links.collect() },
    }
}

/// Returns what happened and what follows, with how many of all test cases are in Testmo; details of old ones are not kept.
fn sentences(state: BatchState, there: usize, all: usize) -> String {
    let of_all = format!("{there} of {}", counted(all, "test case", "test cases"));
    match state {
        BatchState::Open if all == 0 => format!("These test cases are being sent to your Testmo. {AUTOMATIC}"),
        BatchState::Open => {
            format!("These test cases are being sent to your Testmo: {of_all} arrived so far. {AUTOMATIC}")
        }
        BatchState::Delivered if all == 1 => format!("The test case is in your Testmo. {AUTOMATIC}"),
        BatchState::Delivered if all > 1 && there == all => {
            format!("All {all} test cases are in your Testmo. {AUTOMATIC}")
        }
        BatchState::Delivered => format!("These test cases were delivered to your Testmo. {AUTOMATIC}"),
        BatchState::Partial if all == 0 => {
            format!("Some of these test cases have not arrived in your Testmo. {IF_NEEDED}")
        }
        BatchState::Partial => {
            format!("In your Testmo there are {of_all}. The others have not arrived; they are named below. {IF_NEEDED}")
        }
        BatchState::Failed => format!("These test cases have not arrived in your Testmo. {IF_NEEDED}"),
        BatchState::Discarded if there > 0 => {
            format!("We have stopped sending these test cases: in your Testmo there are {of_all}. {IF_NEEDED}")
        }
        BatchState::Discarded => format!("We have stopped sending these test cases. {IF_NEEDED}"),
        BatchState::Undone => format!("We have taken these test cases back out of your Testmo. {IF_NEEDED}"),
    }
}

/// Returns the names of cases by their places, as the latest event that has them says.
fn names(events: &[EventRow]) -> BTreeMap<usize, String> {
    let cases = |event: &EventRow| -> Option<Vec<Value>> {
        let body: Value = serde_json::from_str(&event.body).ok()?;
        body.get("data")?.get("cases")?.as_array().cloned()
    };
    let name = |case: Value| {
        let position = usize::try_from(case.get("position")?.as_u64()?).ok()?;
        Some((position.checked_sub(1)?, case.get("name")?.as_str()?.to_owned()))
    };
    events.iter().filter_map(cases).flatten().filter_map(name).collect()
}

#[cfg(test)]
mod tests;
