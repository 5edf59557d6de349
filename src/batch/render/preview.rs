//! Previews a batch: its cases as they would be sent, the parts that are changed or left out, and its requests.

use serde_json::{Map, Value};

use crate::batch::message::{Batch, Case};
use crate::batch::render::kinds::FieldKinds;
use crate::batch::render::left_out::{LeftOut, parts};
use crate::batch::render::mapping::Mapping;
use crate::batch::render::tag::sent_as;
use crate::batch::render::written::{WrittenText, changed_texts};
use crate::batch::render::{self, RenderedCase};
use crate::batch::{fitting, push_body, size_in_push};

/// A case as it would be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct CasePreview {
    /// The entry of the request, without the folder.
    pub sent: RenderedCase,
    /// The entry as a JSON value.
    pub entry: Map<String, Value>,
    /// The texts of the case that do not simply become one paragraph.
    pub texts: Vec<WrittenText>,
    /// The tags of the case that are sent changed, or not at all.
    pub tags: Vec<ChangedTag>,
    /// The parts of the case that are not sent.
    pub left_out: Vec<LeftOut>,
}

/// A tag that is not sent as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedTag {
    /// The tag as it was written.
    pub written: String,
    /// The tag as it is sent; `None` if it is left out.
    pub sent: Option<String>,
}

/// A request that would be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestSize {
    /// The number of cases in the request.
    pub cases: usize,
    /// The size of the request's body in bytes.
    pub bytes: usize,
}

/// Returns a preview of every case of a batch, in order, for a project with these fields.
pub fn preview(batch: &Batch, mapping: &Mapping, kinds: &FieldKinds) -> Vec<CasePreview> {
    let rendered = render::render(batch, mapping, kinds);
    let one = |(case, sent): (&Case, RenderedCase)| {
        let entry: Map<String, Value> = serde_json::from_str(&sent.entry).unwrap_or_default();
        let tags = changed_tags(case, mapping, &entry);
        let left_out = parts(case, mapping, &sent);
        CasePreview { sent, entry, texts: changed_texts(case, mapping), tags, left_out }
    };
    batch.cases.iter().zip(rendered).map(one).collect()
}

/// Returns the requests that would carry these cases, if no case is refused or too large for Testmo.
pub fn requests(folder: u64, cases: &[RenderedCase], most_cases: usize, most_bytes: usize) -> Vec<RequestSize> {
    let (mut sizes, mut rest) = (Vec::new(), cases);
    while !rest.is_empty() {
        let bytes: Vec<usize> = rest.iter().map(|case| size_in_push(folder, case)).collect();
        let (next, later) = rest.split_at(fitting(&bytes, most_cases, most_bytes, true));
        let body = push_body(next.iter().map(|case| (folder, case)));
        sizes.push(RequestSize { cases: next.len(), bytes: body.len() });
        rest = later;
    }
    sizes
}

fn changed_tags(case: &Case, mapping: &Mapping, entry: &Map<String, Value>) -> Vec<ChangedTag> {
    let is_sent = |tag: &String| {
        let tags = entry.get("tags").and_then(Value::as_array);
        tags.is_some_and(|tags| tags.iter().any(|sent| sent == tag.as_str()))
    };
    let changed = |written: &String| {
        let sent = sent_as(written, mapping).filter(is_sent);
        (sent.as_ref() != Some(written)).then(|| ChangedTag { written: written.clone(), sent })
    };
    case.tags.iter().filter_map(changed).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::message::decode::decode;

    fn batch(case: Value) -> Batch {
        let message = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
                             "generated_at": "2026-11-23T09:30:00Z", "cases": [case]});
        decode(message.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn what_is_changed_or_left_out_is_told_with_its_cause() {
        let case = json!({"name": "a", "description": "d", "preconditions": "p", "steps": [{"action": "s"}],
                          "priority": "low", "tags": ["Smoke Test", "auth", "→"], "issues": ["A-1"],
                          "estimate_seconds": 5, "fields": {"custom_risk": 3, "custom_type": 9}});
        let mut mapping = Mapping {
            steps: None,
            preconditions: None,
            description: None,
            fixed: json!({"custom_type": 4}).as_object().unwrap().clone(),
            ..Mapping::default()
        };
        mapping.priority.as_mut().unwrap().values.clear();
        let seen = &preview(&batch(case), &mapping, &FieldKinds::default())[0];
        let what: Vec<&str> = seen.left_out.iter().map(|left| left.what.as_str()).collect();
        assert_eq!(
            what,
            ["description", "preconditions", "steps", "priority", "issues", "estimate_seconds", "fields.custom_type"]
        );
        let tags: Vec<_> = seen.tags.iter().map(|tag| (tag.written.as_str(), tag.sent.as_deref())).collect();
        assert_eq!(tags, [("Smoke Test", Some("smoke-test")), ("→", None)]);
        assert_eq!(seen.entry["custom_risk"], 3);
    }

    #[test]
    fn nothing_is_left_out_of_what_the_mapping_knows() {
        let full = json!({"name": "a", "description": "d", "preconditions": "p", "steps": [{"action": "s"}],
                          "priority": "low", "tags": ["auth"], "issues": ["A-1"], "estimate_seconds": 5});
        let mapping = Mapping { estimate: true, integration_id: Some(1), ..Mapping::default() };
        let seen = &preview(&batch(full), &mapping, &FieldKinds::default())[0];
        assert_eq!((seen.left_out.as_slice(), seen.tags.as_slice()), (&[][..], &[][..]));
        let gherkin =
            &preview(&batch(json!({"name": "a", "gherkin": "Feature: x"})), &mapping, &FieldKinds::default())[0];
        assert_eq!(gherkin.left_out, []);
    }

    #[test]
    fn requests_are_cut_as_the_worker_cuts_them() {
        let entry = format!(r#"{{"name":"{}"}}"#, "x".repeat(80));
        let case = RenderedCase { key: "k".into(), name: "x".into(), entry, provenance: Default::default() };
        let cases = vec![case; 5];
        let sizes = requests(1, &cases, 2, 10_000);
        assert_eq!(sizes.iter().map(|size| size.cases).collect::<Vec<_>>(), [2, 2, 1]);
        assert_eq!(sizes[0].bytes, push_body(cases[..2].iter().map(|case| (1, case))).len());
        assert_eq!(requests(1, &cases, 100, 250).len(), 3);
        assert_eq!(requests(1, &[], 100, 250), []);
    }
}
