//! Checks the light of a connection and its sentence.

use super::super::super::fixture::connection;
use super::*;
use crate::store::connections::{Assumption, Finding, Found, Interruption, Probe, Refusal, Seen, Successor};

const NOW: i64 = 1_800_000_000_000;
const HOUR: i64 = 3_600_000;

fn proven() -> ConnectionRow {
    ConnectionRow { last_success_at: Some(NOW - 1), ..connection() }
}

fn status(row: &ConnectionRow, around: &Circumstances) -> (StatusLight, String) {
    let status = Status::of(row, around, NOW);
    (status.light, status.note())
}

fn alone(row: &ConnectionRow) -> (StatusLight, String) {
    status(row, &Circumstances::default())
}

fn forbidden() -> Refusal {
    Refusal { reason: Reason::Forbidden, detail: "403 Forbidden".into(), at: NOW - 2 * HOUR }
}

#[test]
fn a_connection_that_created_cases_and_has_no_trouble_is_green_without_a_word() {
    assert_eq!(alone(&proven()), (StatusLight::Green, String::new()));
}

#[test]
fn a_connection_that_was_only_verified_says_what_was_not_tried() {
    let (light, note) = alone(&connection());
    assert_eq!(light, StatusLight::Green);
    assert!(note.contains("no batch yet") && note.contains("Edit repository"), "{note}");
}

#[test]
fn after_a_refused_request_the_light_is_amber_until_a_case_arrives() {
    let (light, note) = alone(&ConnectionRow { refusal: Some(forbidden()), ..proven() });
    assert_eq!(light, StatusLight::Amber);
    assert!(note.contains("forbidden, 2 h ago): 403 Forbidden") && !note.contains("no batch yet"), "{note}");
}

fn probed(version: &str, probe: Probe) -> ConnectionRow {
    ConnectionRow { probe: Some(Box::new(Probe { version: version.into(), at: NOW, ..probe })), ..connection() }
}

#[test]
fn what_a_probe_of_this_version_tried_is_not_called_untried() {
    let created = Probe { created_at: Some(NOW - HOUR), ..Probe::default() };
    let (light, note) = alone(&probed("v1", created.clone()));
    assert_eq!(light, StatusLight::Green);
    assert!(note.contains("was tried by a probe, 60 min ago") && !note.contains("not been tried"), "{note}");
    for row in [probed("v0", created.clone()), probed("v1", Probe::default())] {
        let (_, note) = alone(&row);
        assert!(note.contains("not been tried; `testmo-courier tenants probe acme --write FOLDER`"), "{note}");
    }
    for (version, reason, light) in [
        ("v1", Reason::Forbidden, StatusLight::Green),
        ("v0", Reason::Forbidden, StatusLight::Amber),
        ("v1", Reason::ConnectionRejected, StatusLight::Amber),
    ] {
        let refusal = Some(Refusal { reason, ..forbidden() });
        let row = ConnectionRow { refusal, ..probed(version, created.clone()) };
        assert_eq!(alone(&row).0, light, "{version} {reason}: a case of a probe shows only the right to create");
    }
}

#[test]
fn what_a_probe_left_is_amber_and_what_is_not_as_assumed_is_named() {
    let left = |case| LeftCase { project: 1, folder: 7, case, name: "testmo-courier probe 1a".into(), why: "x".into() };
    for (case, part) in [(Some(9), "left case 9 in folder 7"), (None, "may have left a case in folder 7")] {
        let (light, note) = alone(&probed("v0", Probe { left: Some(left(case)), ..Probe::default() }));
        assert_eq!(light, StatusLight::Amber, "also of another version");
        assert!(note.contains(part) && note.contains("tenants probe acme"), "{note}");
    }
    let found = |assumption, result| Finding { assumption, result, observed: "o".into() };
    let findings = vec![
        found(Assumption::CreatedAtUtc, Found::DoesNotHold),
        found(Assumption::ListOrder, Found::Holds),
        found(Assumption::TagCase, Found::NotSeen),
    ];
    let (light, note) = alone(&probed("v1", Probe { findings, ..Probe::default() }));
    assert_eq!(light, StatusLight::Green);
    assert!(note.contains("not as assumed (created_at_utc)"), "{note}");
}

#[test]
fn the_days_until_the_key_expires_change_the_light() {
    // The moment is in 2027-01-15.
    for (day, light) in [
        ("2028-01-15", StatusLight::Green),
        ("2027-01-30", StatusLight::Green),
        ("2027-01-29", StatusLight::Amber),
        ("2027-01-15", StatusLight::Amber),
        ("2027-01-14", StatusLight::Red),
    ] {
        assert_eq!(alone(&ConnectionRow { expires_on: Some(day.into()), ..proven() }).0, light, "{day}");
    }
}

#[test]
fn a_connection_that_is_not_verified_is_red_whatever_else_is_known() {
    let finding = Some(Verification::Fails { reason: Reason::KeyRefused, detail: "401".into() });
    let row = ConnectionRow { verified_version: None, finding, refusal: Some(forbidden()), ..proven() };
    let waiting = Waiting { batches: 3, since: Some(NOW - HOUR), ..Waiting::default() };
    let paused = Some(LaneSelector::Tenant(row.tenant.clone()));
    let (light, note) = status(&row, &Circumstances { waiting, paused, ..Circumstances::default() });
    assert_eq!(light, StatusLight::Red);
    for part in ["key_refused: 401; ", "lanes resume acme", "3 batches wait, the oldest arrived 60 min ago"] {
        assert!(note.contains(part), "{note}");
    }
}

#[test]
fn what_keeps_batches_from_being_sent_is_amber() {
    let paused = |lane| Circumstances { paused: Some(lane), ..Circumstances::default() };
    let throttle = |throttle| Circumstances { throttle, ..Circumstances::default() };
    let limited = |ms| throttle(Throttle { rate_limited_until: NOW + ms, ..Throttle::default() });
    let waits = |ms| {
        let waiting = Waiting { batches: 1, since: Some(NOW - ms), ..Waiting::default() };
        Circumstances { waiting, ..Circumstances::default() }
    };
    let many = Waiting { batches: 10_000, is_more: true, since: Some(NOW - 60_000) };
    for (around, light, part) in [
        (paused(LaneSelector::Account("https://acme.testmo.net".into())), StatusLight::Amber, "resume https://acme"),
        (limited(40_000), StatusLight::Green, "rate limit; it ends in 40 s"),
        (limited(600_000), StatusLight::Amber, "rate limit; it ends in 10 min"),
        (limited(-1), StatusLight::Green, ""),
        (
            throttle(Throttle { breaker_until: Some(NOW + 60_000), ..Throttle::default() }),
            StatusLight::Amber,
            "Testmo failed repeatedly; it is tried again in 60 s",
        ),
        (waits(60_000), StatusLight::Green, "1 batch waits to be sent automatically, the oldest arrived 60 s ago"),
        (waits(2 * HOUR), StatusLight::Amber, "shelf list --tenant acme"),
        (
            Circumstances { waiting: many, ..Circumstances::default() },
            StatusLight::Green,
            "more than 10000 batches wait to be sent automatically, the oldest arrived 60 s ago",
        ),
    ] {
        let (found, note) = status(&proven(), &around);
        assert_eq!(found, light, "{note}");
        assert!(note.contains(part), "{note}");
    }
}

#[test]
fn what_waits_for_a_person_under_a_connection_that_works_is_amber_and_named() {
    let held =
        vec![Held { reason: Reason::FolderMissing, batches: 1 }, Held { reason: Reason::TargetMissing, batches: 3 }];
    let around = Circumstances { held, ..Circumstances::default() };
    let (light, note) = status(&proven(), &around);
    assert_eq!(light, StatusLight::Amber);
    let said = "(1 batch for folder_missing, 3 batches for target_missing): `testmo-courier shelf list --tenant acme --reason folder_missing`";
    assert!(note.contains(said), "{note}");
    let (_, note) = status(&ConnectionRow { verified_version: None, ..proven() }, &around);
    assert!(!note.contains("folder_missing"), "the connection itself comes first: {note}");
}

#[test]
fn what_the_project_does_not_have_is_amber_and_named_at_once() {
    let not_there = vec!["`state`: the project has no state 9".to_owned(), "`steps`: no such column".to_owned()];
    let finding = Verification::Works { user: "u".into(), project: "p".into(), folder: "f".into(), not_there };
    let (light, note) = alone(&ConnectionRow { finding: Some(finding), ..proven() });
    assert_eq!(light, StatusLight::Amber);
    assert!(note.contains("has no state 9; `steps`: no such column"), "{note}");
}

#[test]
fn what_a_verification_met_is_amber_until_one_is_completed_or_a_case_arrives() {
    let met = |reason, at| {
        let interruption = Some(Interruption { reason, detail: "reading project 1: 503.".into(), at });
        ConnectionRow { seen: Seen { interruption, ..Seen::default() }, ..proven() }
    };
    for reason in [Reason::ServerError, Reason::Throttled, Reason::Unreachable, Reason::NoAnswer] {
        let (light, note) = alone(&met(reason, NOW));
        assert_eq!(light, StatusLight::Amber, "{reason}");
        let said = format!("was not completed ({reason}, now): reading project 1: 503; batches are still sent");
        assert!(note.contains(&said) && note.contains("tenants verify acme"), "{note}");
    }
    assert_eq!(alone(&met(Reason::ServerError, NOW - HOUR)).0, StatusLight::Green, "a case has arrived since");
    let throttle = Throttle { rate_limited_until: NOW + 600_000, ..Throttle::default() };
    let (light, note) = status(&met(Reason::Throttled, NOW), &Circumstances { throttle, ..Circumstances::default() });
    assert_eq!(light, StatusLight::Amber);
    assert!(note.contains("rate limit") && !note.contains("not completed"), "{note}");
}

#[test]
fn a_change_that_is_not_in_force_is_amber_beside_the_connection_that_works() {
    let finding = Verification::Fails { reason: Reason::TargetMissing, detail: "no folder 7".into() };
    let next = Successor::of(ConnectionRow { version: "v2".into(), ..proven() }, &proven(), finding, NOW);
    let (light, note) = alone(&ConnectionRow { successor: Some(next.into()), ..proven() });
    assert_eq!(light, StatusLight::Amber);
    assert!(note.contains("not in force") && note.contains("no folder 7"), "{note}");
}
