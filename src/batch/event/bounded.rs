//! Cuts the details of an event, so that an event of any batch fits into one message.

use super::LONGEST_TEXT;
use crate::batch::message::text::excerpt;
use crate::batch::render::left_out::LeftOut;
use crate::batch::verdict::answer::FieldRefusal;

/// The most bytes of Testmo's words in one event. All cases that were refused share them equally.
const WORDS: usize = 1_000_000;
/// The most bytes about what was left out of cases. The first cases get them.
const LEFT_OUT: usize = 500_000;

/// Cuts what Testmo reported about each refused case to what fits into an event, and returns whether anything was left
/// out. Each case keeps at least the beginning of its first text.
pub(super) fn cut_said(of_cases: Vec<&mut Vec<FieldRefusal>>) -> bool {
    let share = WORDS / of_cases.len().max(1);
    of_cases.into_iter().map(|said| cut_to(said, share)).filter(|is_cut| *is_cut).count() > 0
}

/// Cuts what was left out of each case to what fits into an event, and returns whether anything is missing.
pub(super) fn cut_left_out<'a>(of_cases: impl Iterator<Item = &'a mut Vec<LeftOut>>) -> bool {
    let (mut used, mut is_cut) = (0, false);
    for left_out in of_cases {
        left_out.retain(|one| {
            used += one.what.len() + one.why.len() + one.value.as_ref().map_or(0, String::len);
            used <= LEFT_OUT
        });
        is_cut |= used > LEFT_OUT;
    }
    is_cut
}

fn cut_to(said: &mut Vec<FieldRefusal>, share: usize) -> bool {
    let (all, mut kept, mut used) = (std::mem::take(said), Vec::new(), 0);
    let mut is_cut = false;
    for one in all {
        let (field, message) = (excerpt(&one.field, LONGEST_TEXT), excerpt(&one.message, LONGEST_TEXT));
        is_cut |= [&one.field, &one.message].iter().any(|text| text.chars().nth(LONGEST_TEXT).is_some());
        let fitting = FieldRefusal { field, message };
        let bytes = fitting.field.len() + fitting.message.len();
        if used + bytes <= share {
            used += bytes;
            kept.push(fitting);
            continue;
        }
        is_cut = true;
        if kept.is_empty() {
            // A character has at most four bytes, so each text takes at most half of the share.
            let characters = share / 8;
            kept.push(FieldRefusal {
                field: excerpt(&fitting.field, characters),
                message: excerpt(&fitting.message, characters),
            });
        }
        break;
    }
    *said = kept;
    is_cut
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::batch::event::{EventInput, of_settlement};
    use crate::batch::ledger::{BatchRecord, OpenPush, Refusal, Target};
    use crate::batch::message::{MAX_CASES, Source};
    use crate::batch::verdict::answer::FieldRefusal;
    use crate::batch::verdict::reason::Reason;

    /// Returns the event of a batch whose cases are all refused, with so many texts of so many characters each.
    fn refused(cases: usize, texts: usize, characters: usize) -> String {
        let keys = (0..cases).map(|n| format!("{n}{}", "k".repeat(250)));
        let mut record = BatchRecord::fresh("acme/b-1".parse().unwrap(), "1:x".into(), keys);
        let push = OpenPush { id: "p".into(), connection: "v".into(), batch_tag: None, committed: false };
        let target = Target { account: "https://acme.testmo.net".into(), project: 3, folder: 428 };
        record.claim(&(0..cases).collect::<Vec<_>>(), push, &target);
        let text = FieldRefusal { field: "tags".into(), message: "ü".repeat(characters) };
        let refusal = Refusal { reason: Reason::CaseRefused, said: vec![text; texts] };
        record.not_created((0..cases).map(|index| (index, refusal.clone())).collect());
        record.state = record.outcome().unwrap();
        let input = EventInput {
            source: &Source::default(),
            cases: &[],
            now: 0,
            reason: Some(Reason::CaseRefused),
            detail: None,
            replay: None,
        };
        of_settlement(&record, &input).unwrap().body
    }

    #[test]
    fn an_event_fits_however_much_testmo_reports_and_says_that_it_was_cut() {
        for (cases, texts) in [(MAX_CASES, 100), (1, 30_000), (50, 1_000)] {
            let body = refused(cases, texts, 900);
            assert!(body.len() < 3_000_000, "{cases} cases with {texts} texts: {} bytes", body.len());
            let event: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(event["data"]["details_cut"], true);
            let all = event["data"]["cases"].as_array().unwrap();
            assert_eq!(all.len(), cases);
            assert!(all.iter().all(|case| case["said"][0]["message"].as_str().unwrap().starts_with('ü')));
        }
    }

    #[test]
    fn texts_are_kept_as_long_as_they_fit_together_and_one_that_is_too_long_is_cut() {
        let text = |field: &str, message: &str| FieldRefusal { field: field.into(), message: message.into() };
        let two = vec![text("ab", "cde"), text("f", "ghij")];
        for (share, kept, is_cut) in [(10, 2, false), (9, 1, true), (5, 1, true)] {
            let mut said = two.clone();
            assert_eq!(super::cut_to(&mut said, share), is_cut, "{share} bytes");
            assert_eq!(said, two[..kept]);
        }
        let mut said = vec![text(&"a".repeat(40), "b")];
        assert!(super::cut_to(&mut said, 40));
        assert!(said[0].field.starts_with("aaa") && said[0].field.len() < 10, "of the first the beginning is kept");
        let long = "x".repeat(super::LONGEST_TEXT + 1);
        let mut said = vec![text("a", "b"), text(&long, "c")];
        assert!(super::cut_to(&mut said, 1_000_000), "one of several texts is cut");
        assert_eq!(said.len(), 2);
    }

    #[test]
    fn an_event_that_is_whole_does_not_mention_it() {
        let event: Value = serde_json::from_str(&refused(20, 3, 100)).unwrap();
        assert_eq!(event["data"].get("details_cut"), None);
        assert_eq!(event["data"]["cases"][19]["said"].as_array().unwrap().len(), 3);
    }
}
