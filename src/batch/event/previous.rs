//! Describes a case that an earlier batch wrote, and addresses of cases in Testmo's web pages.

use schemars::JsonSchema;
use serde::Serialize;

use crate::batch::ledger::{BatchRecord, PreviousCase, Target};

/// A case in Testmo that an earlier batch wrote. A person may have deleted it since.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Previous {
    /// The id of the batch that wrote the case; absent if the worker does not know it any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<String>,
    /// The id of the case in Testmo.
    pub testmo_id: u64,
    /// The address of the case in Testmo's web pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

impl Previous {
    /// Describes what an earlier batch wrote for a case.
    pub(super) fn of(record: &BatchRecord, index: usize, previous: &PreviousCase) -> Self {
        let target = record.targets.get(record.cases[index].target);
        let PreviousCase { batch, id, folder } = previous;
        Self { batch_id: batch.clone(), testmo_id: *id, link: target.map(|target| address(target, *folder, *id)) }
    }
}

/// Returns the address of a case in Testmo's web pages; its form is known from third-party clients.
pub fn address(Target { account, project, .. }: &Target, folder: u64, id: u64) -> String {
    format!("{account}/repositories/{project}?group_id={folder}&case_id={id}")
}

#[cfg(test)]
mod tests {
    use crate::batch::event::{EventInput, of_settlement};
    use crate::batch::ledger::{BatchRecord, OpenPush, PreviousCase, Target};
    use crate::batch::message::{MAX_CASES, Source};

    fn event(cases: usize, previous: &PreviousCase) -> String {
        let mut record =
            BatchRecord::fresh("acme/b-2".parse().unwrap(), "1:x".into(), (0..cases).map(|n| format!("TC-{n}")));
        let push = OpenPush { id: "p".into(), connection: "v".into(), batch_tag: None, committed: false };
        let target = Target { account: "https://acme.testmo.net".into(), project: 3, folder: 428 };
        record.claim(&(0..cases).collect::<Vec<_>>(), push, &target);
        record.created(&(0..cases).map(|at| (at, at as u64 + 10)).collect::<Vec<_>>());
        record.cases.iter_mut().skip(1).for_each(|case| case.previous = Some(Box::new(previous.clone())));
        record.state = record.outcome().unwrap();
        let input =
            EventInput { source: &Source::default(), cases: &[], now: 0, reason: None, detail: None, replay: None };
        of_settlement(&record, &input).unwrap().body
    }

    #[test]
    fn a_case_that_was_written_before_names_its_batch_id_and_link() {
        let previous = PreviousCase { batch: Some("b-1".into()), id: 7, folder: 5 };
        let event: serde_json::Value = serde_json::from_str(&event(2, &previous)).unwrap();
        let cases = &event["data"]["cases"];
        assert_eq!(cases[0].get("previous"), None);
        let link = "https://acme.testmo.net/repositories/3?group_id=5&case_id=7";
        assert_eq!(cases[1]["previous"], serde_json::json!({"batch_id": "b-1", "testmo_id": 7, "link": link}));
    }

    #[test]
    fn an_event_with_a_previous_case_for_each_case_stays_small() {
        let previous = PreviousCase { batch: Some("b".repeat(128)), id: 1 << 53, folder: 1 << 53 };
        assert!(event(MAX_CASES, &previous).len() < 600_000);
    }
}
