//! Provokes each reason, follows its remedy as a person reads it, and sees the batch arrive or the decision carried out.

mod accounts;
mod connections;
mod decisions;
mod desk;
mod faulty_cases;
mod follow;
mod messages;
mod neighbours;
pub(crate) mod surroundings;

use testmo_courier::batch::Reason;

use crate::generations::{order, replaced};
use crate::{folders, shelved, statuses, unreadable};

/// Returns the test that provokes a reason and follows its remedy: a reason without one does not compile.
fn test_of(reason: Reason) -> fn() {
    match reason {
        Reason::NotJson | Reason::InvalidMessage | Reason::BatchConflict => {
            messages::a_message_with_a_fault_is_corrected_and_published_again
        }
        Reason::CaseInvalid => faulty_cases::a_faulty_case_is_corrected_and_published_in_a_new_batch,
        Reason::TooLarge => messages::a_message_that_is_too_large_is_divided_or_let_through,
        Reason::Undeliverable | Reason::UnreadableHeaders => messages::a_message_that_could_not_be_taken_is_replayed,
        Reason::Suspect | Reason::CrashLoop => messages::a_message_that_panics_is_replayed_once_the_defect_is_gone,
        Reason::UnknownTenant => connections::a_tenant_is_connected_or_the_typing_error_corrected,
        Reason::Unverified | Reason::KeyRefused | Reason::Forbidden | Reason::TargetMissing => {
            connections::a_connection_is_corrected_as_its_remedy_says
        }
        Reason::WrongHost | Reason::NotTestmo | Reason::UnexpectedStatus => {
            connections::a_base_url_or_what_answers_there_is_corrected
        }
        Reason::AddressRefused => connections::an_address_that_is_not_allowed_is_allowed_again,
        Reason::ConnectionRejected => connections::a_mapping_is_completed_as_the_detail_says,
        Reason::FolderMissing => connections::a_folder_is_created_under_an_amber_light,
        Reason::FolderUnconfirmed => {
            folders::a_folder_that_testmo_neither_returns_nor_shows_is_created_twice_at_most_and_found_once_a_person_creates_it
        }
        Reason::Throttled | Reason::ServerError | Reason::NoAnswer | Reason::Unreachable => {
            accounts::an_account_that_works_again_is_tried_at_once_if_a_person_wants
        }
        Reason::Unclear | Reason::ReadFailed => accounts::what_needs_nobody_is_delivered_automatically,
        Reason::NoRoom => shelved::retries::what_finds_no_room_for_long_waits_on_the_shelf_without_an_attempt,
        Reason::EarlierGeneration => order::a_generation_waits_until_an_earlier_one_is_finished,
        Reason::ReplacedUnknown => replaced::a_batch_that_replaces_an_unknown_one_waits_for_a_person,
        Reason::ExistsAlready => order::a_person_decides_where_the_batch_says_so,
        Reason::Paused => accounts::a_pause_is_ended_for_the_tenant_or_the_account,
        Reason::StoreRowUnreadable => unreadable::a_record_that_cannot_be_read_holds_its_batch_alone,
        Reason::CaseRefused | Reason::CaseTooLarge | Reason::AllRefused => {
            decisions::cases_are_corrected_and_published_in_a_new_batch
        }
        Reason::Rejected | Reason::RetriesExhausted => decisions::a_batch_that_was_given_up_is_replayed,
        Reason::UnclearInTestmo => decisions::missing_cases_are_created_or_given_up,
        Reason::RejectedUnclear => {
            statuses::a_case_that_a_firewall_refuses_is_left_to_a_person_and_its_neighbours_are_delivered
        }
        Reason::UnclearElsewhere => decisions::what_was_sent_to_a_former_account_is_created_in_the_present_one,
    }
}

#[test]
fn each_test_of_a_remedy_names_its_reasons() {
    let tests = [
        include_str!("accounts.rs"),
        include_str!("connections.rs"),
        include_str!("decisions.rs"),
        include_str!("messages.rs"),
        include_str!("faulty_cases.rs"),
        include_str!("../folders.rs"),
        include_str!("../generations/order.rs"),
        include_str!("../generations/replaced.rs"),
        include_str!("../shelved/retries.rs"),
        include_str!("../statuses.rs"),
        include_str!("../unreadable.rs"),
    ];
    for reason in Reason::ALL {
        // That there is a test is certain once this is compiled.
        let _: fn() = test_of(*reason);
        let name = format!("Reason::{reason:?}");
        assert!(tests.iter().any(|test| test.contains(&name) || test.contains(reason.code())), "{reason}");
    }
}
