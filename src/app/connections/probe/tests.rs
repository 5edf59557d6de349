//! Checks which findings follow from what was observed.

use std::time::Duration;

use serde_json::{Value, json};

use super::ask::{Miss, Seen};
use super::findings::{of_reads, retry_after};
use super::reads::{ReadSeen, Tagged};
use super::sent::{MARKUP, ProbeCase, TAG, TagRule};
use super::write_findings::{joined, of_writes};
use super::writes::WriteSeen;
use super::{Assumption, Finding, Found};
use crate::batch::ledger::reconcile::Row;
use crate::batch::verdict::answer::{ApiError, FieldRefusal, Refusals};
use crate::store::connections::LeftCase;
use crate::testmo::{CasePage, SeenField, Written};

const NOW: i64 = 1_800_000_000_000;
const HOUR: i64 = 3_600_000;

fn row(id: u64) -> Row {
    let tags = if id == 3 { vec!["login".into()] } else { Vec::new() };
    Row { id, name: "n".into(), folder: if id == 4 { 9 } else { 1 }, tags, created_at: NOW - HOUR + id as i64 }
}

fn page(ids: &[u64]) -> Seen<CasePage> {
    let rows: Vec<Row> = ids.iter().map(|id| row(*id)).collect();
    Ok(CasePage { rows, next_page: None, total: None, skew: Some(0), server_time: Some(NOW) })
}

fn refused(field: &str) -> Miss {
    let refusal = FieldRefusal { field: field.into(), message: "s3cret words of Testmo".into() };
    Miss::Failed(ApiError::Invalid(Refusals { whole: vec![refusal], ..Refusals::default() }))
}

/// What the reads show of a Testmo that is as assumed.
fn reads() -> ReadSeen {
    let first: Vec<u64> = (26..=40).rev().collect();
    let second: Vec<u64> = (11..=25).rev().collect();
    let newest: Vec<u64> = (1..=40).rev().collect();
    let mut first = page(&first).unwrap();
    first.next_page = Some(2);
    let field = SeenField { has_column: true, kind: Some("2".into()), says_required: false };
    ReadSeen {
        newest: page(&newest),
        unsorted: None,
        oldest: page(&[1, 2, 3]),
        pages: Some([Ok(first), page(&second)]),
        folder: (1, page(&[3, 2, 1])),
        no_tag: page(&[]),
        tagged: Some(Tagged { id: 3, tag: "login".into(), alone: page(&[3]), any: page(&[3]) }),
        templates: Ok(3),
        states: Ok(5),
        fields: Ok(vec![field.clone(), SeenField { kind: Some("10".into()), ..field }]),
    }
}

fn found(findings: &[Finding], assumption: Assumption) -> (Found, &str) {
    let finding = findings.iter().find(|finding| finding.assumption == assumption).expect("a finding");
    (finding.result, &finding.observed)
}

#[test]
fn a_testmo_that_reads_as_assumed_holds_everywhere_but_the_zone() {
    for finding in of_reads(&reads()) {
        let expected = if finding.assumption == Assumption::CreatedAtUtc { Found::NotSeen } else { Found::Holds };
        assert_eq!(finding.result, expected, "{finding:?}");
    }
}

/// A change of what the reads show, and what it has to be found by.
type Violation = (fn(&mut ReadSeen), Assumption, Found, &'static str);

#[test]
fn each_read_assumption_that_is_violated_is_found_alone() {
    fn newest(seen: &mut ReadSeen) -> &mut CasePage {
        seen.newest.as_mut().unwrap()
    }
    let violations: [Violation; 22] = [
        (|s| newest(s).skew = None, Assumption::DateHeader, Found::DoesNotHold, "no `Date`"),
        (|s| newest(s).skew = Some(-2 * HOUR), Assumption::DateHeader, Found::DoesNotHold, "-120 min"),
        (
            |s| newest(s).server_time = Some(NOW - 3 * HOUR),
            Assumption::CreatedAtUtc,
            Found::DoesNotHold,
            "120 min after",
        ),
        (
            |s| s.unsorted = Some("refused with 422: sort".into()),
            Assumption::SortAccepted,
            Found::DoesNotHold,
            "422: sort",
        ),
        (|s| s.oldest = page(&[3, 2, 1]), Assumption::ListOrder, Found::DoesNotHold, "not obeyed"),
        (|s| newest(s).rows.reverse(), Assumption::ListOrder, Found::DoesNotHold, "newest first by id"),
        (|s| s.oldest = Err(refused("order")), Assumption::ListOrder, Found::NotSeen, "order"),
        (|s| s.pages = Some([page(&[5, 4]), page(&[3])]), Assumption::ListPages, Found::DoesNotHold, "had 2 rows"),
        (
            |s| {
                let again = s.pages.as_ref().unwrap()[0].clone();
                s.pages.as_mut().unwrap()[1] = again;
            },
            Assumption::ListPages,
            Found::DoesNotHold,
            "15 cases are on the first page and on the second",
        ),
        (|s| s.pages = None, Assumption::ListPages, Found::NotSeen, "no more than 15"),
        (|s| s.folder.1 = page(&[4, 3]), Assumption::FolderFilter, Found::DoesNotHold, "1 case is of another folder"),
        (|s| s.no_tag = page(&[2]), Assumption::TagFilter, Found::DoesNotHold, "ignored"),
        (|s| s.no_tag = Err(refused("tags")), Assumption::TagFilter, Found::DoesNotHold, "422: tags"),
        (
            |s| s.tagged.as_mut().unwrap().alone = page(&[3, 2]),
            Assumption::TagFilter,
            Found::DoesNotHold,
            "do not have it",
        ),
        (|s| s.tagged.as_mut().unwrap().alone = page(&[]), Assumption::TagFilter, Found::DoesNotHold, "does not list"),
        (|s| s.tagged.as_mut().unwrap().any = page(&[]), Assumption::TagFilterAny, Found::DoesNotHold, "only one"),
        (
            |s| newest(s).rows.iter_mut().for_each(|row| row.tags.clear()),
            Assumption::TagsListed,
            Found::NotSeen,
            "--write",
        ),
        (|s| newest(s).rows[5].created_at = 0, Assumption::IdsAscend, Found::DoesNotHold, "1 case has the higher id"),
        (
            |s| s.templates = Err(Miss::Failed(ApiError::Missing)),
            Assumption::TemplatesListed,
            Found::DoesNotHold,
            "404",
        ),
        (|s| s.states = Ok(0), Assumption::StatesListed, Found::DoesNotHold, "empty"),
        (
            |s| s.states = Err(Miss::Failed(ApiError::Server { status: 503 })),
            Assumption::StatesListed,
            Found::NotSeen,
            "answered with 503",
        ),
        (
            |s| s.fields.as_mut().unwrap()[1].has_column = false,
            Assumption::FieldKinds,
            Found::DoesNotHold,
            "2 fields of the kinds 2, 10; none says whether it is required; 1 has no column",
        ),
    ];
    // A filter that does not work leaves open what depends on it.
    let follows = [(Assumption::TagFilter, Assumption::TagFilterAny)];
    for (violate, assumption, result, part) in violations {
        let mut seen = reads();
        violate(&mut seen);
        let findings = of_reads(&seen);
        let (is, observed) = found(&findings, assumption);
        assert_eq!(is, result, "{assumption:?}: {observed}");
        assert!(observed.contains(part), "{assumption:?}: {observed}");
        assert!(!observed.contains("s3cret"), "{observed}");
        for other in findings.iter().filter(|other| other.assumption != assumption) {
            let is_open =
                other.assumption == Assumption::CreatedAtUtc || follows.contains(&(assumption, other.assumption));
            assert!(is_open || other.result == Found::Holds, "{assumption:?} also changes {other:?}");
        }
    }
}

#[test]
fn a_429_is_judged_only_where_one_was_received() {
    for (pauses, result, part) in [
        (vec![], Found::NotSeen, "no 429"),
        (vec![Some(Duration::from_secs(7))], Found::Holds, "7 s"),
        (vec![Some(Duration::from_secs(7)), None], Found::DoesNotHold, "no `Retry-After`"),
    ] {
        let finding = retry_after(&pauses);
        assert_eq!(finding.result, result);
        assert!(finding.observed.contains(part), "{finding:?}");
    }
}

fn written(text: &str, tags: &[&str]) -> Seen<Written> {
    let tags: Vec<Value> = tags.iter().map(|name| json!({"tag_id": 1, "name": name})).collect();
    let values = json!({"custom_steps": [{"text1": text}], "tags": tags});
    Ok(Written { id: Some(41), offset: Some(300), values: values.as_object().unwrap().clone() })
}

/// What writing shows of a Testmo that is as assumed.
fn writes() -> WriteSeen {
    let case = ProbeCase::new(&"acme".parse().unwrap(), &Default::default(), "1a2b");
    let listed = Row { name: case.name.clone(), tags: vec![TAG.into()], ..row(41) };
    let tags = TagRule::ALL.map(|rule| match rule {
        TagRule::Length | TagRule::Case => (rule, written("", &[TAG, &rule.tag().to_lowercase()])),
        TagRule::Blank | TagRule::Dot => (rule, Err(refused("tags"))),
    });
    WriteSeen {
        create: written("<p>a &amp; b &lt; c &gt; d \"e\" é</p>", &[TAG]),
        listed: Some((listed, 1)),
        tags: tags.into(),
        markup: Some(written(&MARKUP.replace("a &", "a &amp;"), &[TAG])),
        delete: Some(Ok(())),
        left: None,
        case,
    }
}

#[test]
fn a_testmo_that_writes_as_assumed_holds_everywhere() {
    let findings = of_writes(Some(&writes()), Some(40));
    assert!(findings.iter().all(|finding| finding.result == Found::Holds), "{findings:?}");
    let findings = of_writes(None, Some(40));
    assert!(findings.iter().all(|finding| finding.result == Found::NotSeen), "{findings:?}");
}

#[test]
fn each_write_assumption_that_is_violated_is_found() {
    type Violate = fn(&mut WriteSeen);
    fn name(seen: &mut WriteSeen) -> &mut String {
        &mut seen.listed.as_mut().unwrap().0.name
    }
    let violations: [(Violate, Assumption, Found, &str); 19] = [
        (|s| s.create = Err(Miss::Failed(ApiError::Forbidden)), Assumption::RightToCreate, Found::DoesNotHold, "403"),
        (|s| s.create = Err(refused("custom_x")), Assumption::RightToCreate, Found::DoesNotHold, "422: custom_x"),
        (|s| s.create = Err(Miss::Failed(ApiError::TimedOut)), Assumption::RightToCreate, Found::NotSeen, "in time"),
        (|s| s.listed.as_mut().unwrap().1 = 3, Assumption::ListedAtOnce, Found::DoesNotHold, "list 3"),
        (|s| *name(s) = name(s).to_lowercase(), Assumption::NamesKept, Found::DoesNotHold, "small letters"),
        (|s| *name(s) = name(s).replace("  ", " "), Assumption::NamesKept, Found::DoesNotHold, "became one"),
        (|s| *name(s) = name(s).replace('&', "&amp;"), Assumption::NamesKept, Found::DoesNotHold, "encoded"),
        (|s| name(s).truncate(30), Assumption::NamesKept, Found::DoesNotHold, "cut"),
        (|s| name(s).push(' '), Assumption::NameEndsTrimmed, Found::DoesNotHold, "came back"),
        (|s| s.create = written("<p>a &amp;amp; b</p>", &[]), Assumption::TextKept, Found::DoesNotHold, "another text"),
        (
            |s| s.markup = Some(written("<p>a &amp; b <b>c</b> </p>", &[])),
            Assumption::MarkupKept,
            Found::DoesNotHold,
            "`&` encoded, `<b>` kept, `<script>` removed",
        ),
        (|s| s.tags[0].1 = Err(refused("tags")), Assumption::TagLength, Found::DoesNotHold, "422: tags"),
        (|s| s.tags[1].1 = written("", &[TagRule::Case.tag()]), Assumption::TagCase, Found::DoesNotHold, "came back"),
        (|s| s.tags[3].1 = written("", &[]), Assumption::TagCharacters, Found::DoesNotHold, "a dot is accepted"),
        (|s| s.tags.truncate(2), Assumption::TagCharacters, Found::NotSeen, "not tried"),
        (
            |s| {
                s.tags = vec![(TagRule::Length, Err(Miss::Failed(ApiError::Forbidden)))];
                s.markup = None;
            },
            Assumption::RightToEdit,
            Found::DoesNotHold,
            "403",
        ),
        (
            |s| {
                s.delete = Some(Err(Miss::Failed(ApiError::Forbidden)));
                let (name, why) = ("n".into(), "w".into());
                s.left = Some(LeftCase { project: 1, folder: 1, case: Some(41), name, why });
            },
            Assumption::RightToDelete,
            Found::DoesNotHold,
            "403",
        ),
        (
            |s| s.create.as_mut().unwrap().offset = Some(-2 * HOUR),
            Assumption::CreatedAtUtc,
            Found::DoesNotHold,
            "-120 min",
        ),
        (|s| s.listed.as_mut().unwrap().0.id = 7, Assumption::IdsAscend, Found::DoesNotHold, "lower id"),
    ];
    for (violate, assumption, result, part) in violations {
        let mut seen = writes();
        violate(&mut seen);
        let findings = of_writes(Some(&seen), Some(40));
        let (is, observed) = found(&findings, assumption);
        assert_eq!(is, result, "{assumption:?}: {observed}");
        assert!(observed.contains(part) && !observed.contains("s3cret"), "{assumption:?}: {observed}");
    }
}

#[test]
fn what_does_not_hold_is_not_taken_back_by_what_was_not_seen() {
    let one = |result| Finding { assumption: Assumption::IdsAscend, result, observed: format!("{result:?}") };
    for (read, wrote, expected) in [
        (Found::NotSeen, Found::Holds, Found::Holds),
        (Found::Holds, Found::NotSeen, Found::Holds),
        (Found::Holds, Found::DoesNotHold, Found::DoesNotHold),
        (Found::DoesNotHold, Found::Holds, Found::DoesNotHold),
        (Found::NotSeen, Found::NotSeen, Found::NotSeen),
    ] {
        let both = joined(vec![one(read)], vec![one(wrote)]);
        assert_eq!((both.len(), both[0].result), (1, expected), "{read:?} {wrote:?}");
    }
}
