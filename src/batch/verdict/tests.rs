//! Checks what each answer of Testmo leads to, in tables.

use super::*;
use crate::batch::verdict::answer::Refusals;

#[test]
fn every_end_has_its_next() {
    let field = |field: &str| FieldRefusal { field: field.into(), message: "m".into() };
    let entries = |list: &[(usize, &str)]| {
        let entries = list.iter().map(|(i, f)| (*i, vec![field(f)])).collect();
        Refusals { entries, whole: vec![] }
    };
    let blame = |cases: &[(usize, &str)], connection: &[(usize, &str)]| {
        let (cases, connection) = (entries(cases).entries, entries(connection).entries);
        Verdict::Attribute(Blame { cases, connection, lost: Default::default() })
    };
    let whole = Refusals { whole: vec![field("cases")], ..Refusals::default() };
    let wait = Some(Duration::from_secs(7));
    let table: Vec<(CreateResult, Verdict)> = vec![
        (Ok(vec![Some(1)]), Verdict::Created),
        (Err(ApiError::Invalid(entries(&[(1, "odd")]))), blame(&[(1, "odd")], &[])),
        (Err(ApiError::Invalid(entries(&[(0, "template_id")]))), blame(&[], &[(0, "template_id")])),
        (Err(ApiError::Invalid(entries(&[(0, "odd"), (1, "state_id")]))), blame(&[(0, "odd")], &[(1, "state_id")])),
        (
            Err(ApiError::Invalid(whole.clone())),
            Verdict::Halve { reason: Reason::CaseRefused, said: whole.whole.clone() },
        ),
        (
            Err(ApiError::Invalid(entries(&[(3, "tags"), (usize::MAX, "tags")]))),
            Verdict::Halve { reason: Reason::CaseRefused, said: vec![field("tags"), field("tags")] },
        ),
        (Err(ApiError::Invalid(entries(&[(2, "odd"), (3, "odd")]))), blame(&[(2, "odd")], &[])),
        (Err(ApiError::TooLarge), Verdict::Halve { reason: Reason::CaseTooLarge, said: vec![] }),
        (Err(ApiError::Rejected { status: 400 }), Verdict::RefuseAll(Reason::Rejected)),
        (Err(ApiError::Throttled { retry_after: wait }), Verdict::Throttle(wait)),
        (Err(ApiError::KeyRefused), Verdict::Park(Reason::KeyRefused)),
        (Err(ApiError::Forbidden), Verdict::Park(Reason::Forbidden)),
        (Err(ApiError::Missing), Verdict::Park(Reason::TargetMissing)),
        (Err(ApiError::NotTestmo { status: 301 }), Verdict::Park(Reason::NotTestmo)),
        (Err(ApiError::NotTestmo { status: 308 }), Verdict::Park(Reason::NotTestmo)),
        (Err(ApiError::NotTestmo { status: 302 }), Verdict::ParkUnclear(Reason::NotTestmo)),
        (Err(ApiError::NotTestmo { status: 303 }), Verdict::ParkUnclear(Reason::NotTestmo)),
        (Err(ApiError::NotProcessed { status: 421 }), Verdict::Retry(Reason::ServerError)),
        (Err(ApiError::NotProcessed { status: 425 }), Verdict::Retry(Reason::ServerError)),
        (Err(ApiError::Inconclusive { status: 402 }), Verdict::ParkUnclear(Reason::UnexpectedStatus)),
        (Err(ApiError::Inconclusive { status: 403 }), Verdict::FindCause { status: 403 }),
        (Err(ApiError::Inconclusive { status: 404 }), Verdict::FindCause { status: 404 }),
        (Err(ApiError::Inconclusive { status: 408 }), Verdict::FindCause { status: 408 }),
        (Err(ApiError::Inconclusive { status: 101 }), Verdict::FindCause { status: 101 }),
        (Err(ApiError::Inconclusive { status: 999 }), Verdict::FindCause { status: 999 }),
        (Err(ApiError::NotTestmo { status: 200 }), Verdict::ParkUnclear(Reason::NotTestmo)),
        (Err(ApiError::AddressRefused(String::new())), Verdict::Park(Reason::AddressRefused)),
        (Err(ApiError::UnknownHost), Verdict::Retry(Reason::Unreachable)),
        (Err(ApiError::Unreachable(String::new())), Verdict::Retry(Reason::Unreachable)),
        (Err(ApiError::NoSocket(String::new())), Verdict::AwaitSocket),
        (Err(ApiError::Tls(String::new())), Verdict::Retry(Reason::Unreachable)),
        (Err(ApiError::Untrusted(String::new())), Verdict::Retry(Reason::Unreachable)),
        (Err(ApiError::Server { status: 503 }), Verdict::Reconcile),
        (Err(ApiError::TimedOut), Verdict::Reconcile),
        (Err(ApiError::Broken(String::new())), Verdict::Reconcile),
        (Err(ApiError::Unreadable(String::new())), Verdict::Reconcile),
    ];
    let case = RenderedCase {
        key: "k".into(),
        name: "n".into(),
        entry: r#"{"name":"n"}"#.into(),
        provenance: Default::default(),
    };
    for (end, next) in table {
        assert_eq!(after_push(&end, &[&case; 3], &Known::default()), next, "{end:?}");
    }
}

#[test]
fn every_request_that_may_have_committed_is_reconciled_and_no_other() {
    let page = |status| ApiError::NotTestmo { status };
    for error in [
        ApiError::TimedOut,
        ApiError::KeyRefused,
        ApiError::TooLarge,
        ApiError::Server { status: 500 },
        page(200),
        page(302),
        page(307),
        ApiError::NotProcessed { status: 425 },
        ApiError::Inconclusive { status: 402 },
        ApiError::Inconclusive { status: 404 },
        ApiError::Inconclusive { status: 408 },
    ] {
        let next = after_push(&Err(error.clone()), &[], &Known::default());
        let reconciles = matches!(next, Verdict::Reconcile | Verdict::FindCause { .. } | Verdict::ParkUnclear(_));
        assert_eq!(reconciles, error.may_have_committed(), "{error}");
    }
}

#[test]
fn a_refused_read_never_speaks_of_cases() {
    let refused = ApiError::Invalid(Refusals::default());
    for error in [refused, ApiError::TooLarge, ApiError::Rejected { status: 400 }, ApiError::Unreadable("x".into())] {
        assert_eq!(after_failed_read(&error), Verdict::Retry(Reason::ReadFailed), "{error}");
        assert_eq!(verification_failure(&error), Reason::ReadFailed, "{error}");
        assert_ne!(after_failed_folder(&error), Verdict::Retry(Reason::ReadFailed), "creating is no read: {error}");
    }
    assert!(reverify_after(Reason::ReadFailed, 0).is_some());
    assert_eq!(verification_failure(&ApiError::TimedOut), Reason::NoAnswer);
}

#[test]
fn a_status_that_tells_nothing_counts_as_a_failure_of_the_account_and_gives_no_batch_up() {
    for status in [101, 402, 403, 404, 408, 999] {
        let error = ApiError::Inconclusive { status };
        assert_eq!(signal_of(Some(&error)), Some(Signal::Failed), "{status}");
        assert!(!is_given_up(reason_of(&error)) && reverify_after(reason_of(&error), 0).is_some(), "{status}");
        assert!(matches!(after_failed_read(&error), Verdict::Retry(_)), "{status}");
    }
    assert_eq!(signal_of(Some(&ApiError::NotProcessed { status: 425 })), Some(Signal::Failed));
    assert!(is_given_up(Reason::ServerError));
}

#[test]
fn what_is_fixed_inside_testmo_is_verified_again_but_a_refused_key_is_not() {
    let minutes = |reason, times| reverify_after(reason, times).map(|wait| wait.as_secs() / 60);
    for (times, expected) in [(0, 5), (1, 10), (6, 320), (7, 360), (60, 360)] {
        assert_eq!(minutes(Reason::Forbidden, times), Some(expected));
    }
    assert_eq!(minutes(Reason::KeyRefused, 0), None);
}
