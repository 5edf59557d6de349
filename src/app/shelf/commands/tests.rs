//! Checks that every reason has the commands of its remedy.

use super::super::super::fixture;
use super::*;
use crate::store::accounts::LaneSelector;
use crate::store::shelf::ShelfIdentity;

fn lines(entry: &Shelved) -> Vec<String> {
    commands(entry, &Pauses::default()).into_iter().map(|command| command.line).collect()
}

#[test]
fn every_reason_for_which_a_person_decides_has_a_command_for_each_decision() {
    for reason in Reason::ALL {
        let dead = fixture::row(fixture::own().content.identity, *reason, fixture::message());
        let lines = lines(&dead);
        assert!(lines.iter().all(|line| line.starts_with("testmo-courier ") && !line.ends_with(' ')), "{lines:?}");
        if reason.remedy().contains("eplay the batch") || reason.remedy().contains("then replay") {
            assert!(lines.contains(&"testmo-courier replay 00000001".to_owned()), "{reason}: {lines:?}");
        }
        if reason.remedy().contains("erify the connection") {
            assert!(lines.contains(&"testmo-courier tenants verify acme".to_owned()), "{reason}: {lines:?}");
        }
        if reason.remedy().contains("iscard the ") {
            assert!(lines.contains(&"testmo-courier shelf discard 00000001".to_owned()), "{reason}: {lines:?}");
        }
        let is_of_another_state = matches!(reason, Reason::Unclear | Reason::Paused);
        assert!(!lines.is_empty() || reason.remedy().contains("automatically") || is_of_another_state);
    }
}

#[test]
fn an_entry_whose_tenant_is_not_known_has_only_commands_by_its_id() {
    assert_eq!(lines(&fixture::raw(Reason::UnexpectedStatus)), [""; 0]);
    let shown = [
        "testmo-courier shelf edit 00000001",
        "testmo-courier shelf show 00000001 --body > message.json",
        "testmo-courier shelf discard 00000001",
    ];
    assert_eq!(lines(&fixture::raw(Reason::NotJson)), shown);
}

#[test]
fn a_group_has_commands_for_all_of_its_entries_and_for_its_tenant_if_it_has_only_one() {
    let cause = CauseId::from_number(7).unwrap();
    let lines = |reason, tenant: Option<&TenantId>| -> Vec<String> {
        let commands = commands_of_group(reason, cause, (Some(ShelfId(1)), tenant), true);
        commands.into_iter().map(|command| command.line.replace("testmo-courier ", "")).collect()
    };
    let list = "shelf list --group c-00000007";
    let both = [
        "shelf edit 00000001",
        "shelf edit --group c-00000007 --set FIELD=VALUE",
        "replay --group c-00000007 --unchanged",
        "shelf discard --group c-00000007",
        list,
    ];
    assert_eq!(lines(Reason::CaseRefused, None), both);
    assert_eq!(lines(Reason::KeyRefused, None), [list], "each tenant needs a key of its own");
    assert_eq!(lines(Reason::KeyRefused, Some(&fixture::acme())), ["tenants set acme --new-api-key", list]);
}

#[test]
fn a_connection_has_the_commands_that_enter_something_else_before_those_that_verify_it_again() {
    let lines = |reason| -> Vec<String> {
        let commands = commands_of_connection(reason, &fixture::acme());
        commands.into_iter().map(|command| command.line.replace("testmo-courier tenants ", "")).collect()
    };
    assert_eq!(lines(Reason::KeyRefused), ["set acme --new-api-key"]);
    assert_eq!(
        lines(Reason::ConnectionRejected),
        ["mapping draft acme > mapping.json", "set acme --mapping mapping.json", "verify acme"]
    );
    assert_eq!(lines(Reason::ServerError), ["verify acme"], "it was entered during an outage");
    assert_eq!(lines(Reason::FolderMissing), ["verify acme"], "no batch is named");
}

#[test]
fn what_waits_for_a_connection_that_was_entered_during_an_outage_is_sent_once_that_is_verified() {
    let mut entry = fixture::own();
    entry.state = ShelfState::Parked;
    entry.content.reason = Reason::ServerError;
    for (until, expected) in [
        (ShelvedUntil::Connection, "testmo-courier tenants verify acme"),
        (ShelvedUntil::After(std::time::Duration::ZERO), "testmo-courier lanes resume acme --now"),
    ] {
        entry.content.until = until;
        assert_eq!(lines(&entry), [expected]);
    }
}

#[test]
fn what_is_dead_for_a_reason_that_is_retried_automatically_can_be_replayed() {
    let mut entry = fixture::own();
    entry.content.reason = Reason::ServerError;
    assert_eq!(lines(&entry), ["testmo-courier replay 00000001", "testmo-courier shelf discard 00000001"]);
    let cause = CauseId::from_number(7).unwrap();
    let of_group = commands_of_group(Reason::ServerError, cause, (Some(ShelfId(1)), None), true);
    assert_eq!(of_group[0].deed, Deed::Replay { unchanged_too: false }, "also where several tenants have it");
}

#[test]
fn the_story_of_an_entry_is_that_of_its_batch() {
    let line = |entry: &Shelved| story(entry).map(|command| command.line);
    let shows = Some("testmo-courier batches show acme/b-1".to_owned());
    assert_eq!(line(&fixture::own()), shows);
    let mut invalid = fixture::raw(Reason::InvalidMessage);
    assert_eq!(line(&invalid), None);
    let key = fixture::batch().key;
    invalid.content.identity = ShelfIdentity::Raw("h".into(), Some(key.tenant), Some(key.batch));
    assert_eq!(line(&invalid), shows);
}

#[test]
fn a_pause_is_ended_by_the_one_command_for_the_lane_that_is_paused() {
    let mut entry = fixture::own();
    entry.state = ShelfState::Parked;
    for (reason, lane) in [
        (Reason::Paused, LaneSelector::Tenant(fixture::acme())),
        (Reason::Throttled, LaneSelector::Account("https://acme.testmo.net".into())),
    ] {
        entry.content.reason = reason;
        let pauses = [(fixture::acme(), lane.clone())].into_iter().collect();
        let said: Vec<_> = commands(&entry, &pauses).into_iter().map(|command| command.line).collect();
        assert_eq!(said, [format!("testmo-courier lanes resume {}", lane.name())]);
    }
    entry.content.reason = Reason::Paused;
    assert_eq!(lines(&entry), [""; 0], "the pause has ended");
}
