//! Builds the event about cases that are in Testmo twice.

use schemars::JsonSchema;
use serde::Serialize;

use crate::batch::event::batch::label;
use crate::batch::event::{DUPLICATED, Event, event, event_id, link};
use crate::batch::ledger::BatchRecord;
use crate::batch::message::key_by_position;

const CAUSE: &str = "Testmo carried out a request late: the worker had reconciled, had not found its cases, and had sent \
                     them again.";
const REMEDY: &str = "Compare the two cases in Testmo, and keep the one that people have worked on. If you keep the \
                      duplicate, update every place that uses the id of the first one.";

/// The most cases that one event lists, so that it fits into a message.
const MOST_CASES: usize = 2_000;

/// The event data of cases that are in Testmo twice.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Duplicated {
    /// The tenant that the batch belongs to.
    pub tenant_id: String,
    /// The id of the batch within the tenant.
    pub batch_id: String,
    /// What happened, as a text for people.
    pub cause: &'static str,
    /// What to do, as a text for people.
    pub remedy: &'static str,
    /// The cases that were found twice, at most 2,000; a case that was found three times is listed twice.
    pub cases: Vec<DuplicatedCase>,
    /// Whether more cases were found than `cases` lists; absent if it lists all.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(default)]
    pub details_cut: bool,
}

/// A case that is in Testmo twice.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DuplicatedCase {
    /// The position of the case in the batch, from 1.
    pub position: usize,
    /// What people call the case: its `external_id` or, without one, `#` and its position; at most 64 characters.
    pub label: String,
    /// The generator's own id of the case, if the generator gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The id of the case in Testmo, as reported when the batch was delivered.
    pub testmo_id: u64,
    /// The address of the case in Testmo's web pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The id of the duplicate in Testmo.
    pub duplicate_id: u64,
    /// The address of the duplicate in Testmo's web pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_link: Option<String>,
}

/// Returns the event of rows that duplicate cases, by position; equal rows give an equal event id. `now` is in
/// milliseconds since 1970-01-01 UTC.
pub fn duplicated(record: &BatchRecord, duplicates: &[(usize, u64)], now: i64) -> Event {
    let (tenant, batch) = (&record.key.tenant, &record.key.batch);
    let arrived: Vec<(usize, u64)> = record.arrived().collect();
    let case = |&(index, duplicate): &(usize, u64)| {
        let (_, id) = *arrived.iter().find(|(position, _)| *position == index)?;
        Some(DuplicatedCase {
            position: index + 1,
            label: label(&record.cases[index].key),
            external_id: Some(record.cases[index].key.clone()).filter(|key| *key != key_by_position(index)),
            testmo_id: id,
            link: link(record, index, id),
            duplicate_id: duplicate,
            duplicate_link: link(record, index, duplicate),
        })
    };
    let data = Duplicated {
        tenant_id: tenant.to_string(),
        batch_id: batch.to_string(),
        cause: CAUSE,
        remedy: REMEDY,
        cases: duplicates.iter().filter_map(case).take(MOST_CASES).collect(),
        details_cut: duplicates.len() > MOST_CASES,
    };
    let mut ids: Vec<String> = duplicates.iter().map(|(_, id)| id.to_string()).collect();
    ids.sort();
    let id = event_id(&[tenant.as_str(), batch.as_str(), &ids.join(" "), DUPLICATED]);
    event(id, DUPLICATED, Some(tenant), Some(batch), record.trace.as_ref(), data, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::ledger::{OpenPush, Target};

    fn delivered() -> BatchRecord {
        let keys = ["TC-1".to_owned(), "#2".to_owned()];
        let mut record = BatchRecord::fresh("acme/b-1".parse().unwrap(), "1:x".into(), keys);
        let push = OpenPush { id: "p".into(), connection: "v".into(), batch_tag: None, committed: false };
        let target = Target { account: "https://acme.testmo.net".into(), project: 3, folder: 428 };
        record.claim(&[0, 1], push, &target);
        record.created(&[(0, 10), (1, 11)]);
        record
    }

    #[test]
    fn an_event_of_duplicates_reads_like_this() {
        let event = duplicated(&delivered(), &[(0, 20), (1, 21)], 0);
        let body: serde_json::Value = serde_json::from_str(&event.body).unwrap();
        insta::assert_snapshot!(format!("{body:#}"));
    }

    #[test]
    fn an_event_says_whether_it_lists_every_duplicate() {
        for (count, is_cut) in [(1, false), (MOST_CASES, false), (MOST_CASES + 1, true)] {
            let rows: Vec<(usize, u64)> = (0..count).map(|n| (0, n as u64 + 100)).collect();
            let body: serde_json::Value = serde_json::from_str(&duplicated(&delivered(), &rows, 0).body).unwrap();
            assert_eq!(body["data"]["cases"].as_array().unwrap().len(), count.min(MOST_CASES));
            assert_eq!(body["data"]["details_cut"] == true, is_cut, "{count} rows");
        }
    }

    #[test]
    fn the_same_rows_are_told_under_the_same_id() {
        let id = |duplicates: &[(usize, u64)], now| duplicated(&delivered(), duplicates, now).id;
        let first = id(&[(0, 20), (1, 21)], 0);
        assert_eq!(id(&[(1, 21), (0, 20)], 9), first);
        assert_ne!(id(&[(0, 20)], 0), first);
    }
}
