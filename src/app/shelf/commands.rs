//! Names the commands that carry out the remedy of an entry of the shelf.

use super::Pauses;
use crate::batch::cause::CauseId;
use crate::batch::{Reason, TenantId};
use crate::store::shelf::{ShelfId, ShelfIdentity, ShelfState, Shelved, ShelvedUntil};

/// A command that helps with an entry, written so that it can be copied to a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShelfCommand {
    /// The whole command; words in capitals are to be replaced.
    pub line: String,
    /// What it does, or when it helps.
    pub purpose: &'static str,
}

/// What the commands of an entry name.
struct Names<'a> {
    /// The entries as `replay` and `shelf discard` take them.
    entries: String,
    /// One of them as `shelf show` takes it.
    one: Option<String>,
    tenant: Option<&'a str>,
    is_dead: bool,
    /// Whether it waits until the connection is verified, whatever the reason.
    awaits_connection: bool,
}

/// Returns the commands that help with an entry, the most useful first; none where nothing is to be done, or where what is to
/// be done is no command.
pub fn commands(entry: &Shelved, pauses: &Pauses) -> Vec<ShelfCommand> {
    let names = Names {
        entries: entry.id.to_string(),
        one: Some(entry.id.to_string()),
        tenant: entry.tenant().map(|tenant| tenant.as_str()),
        is_dead: entry.state == ShelfState::Dead,
        awaits_connection: entry.content.until == ShelvedUntil::Connection,
    };
    let of_reason = of_reason(entry.content.reason, &names).into_iter().flatten();
    let Some(lane) = pauses.of(entry) else { return of_reason.collect() };
    let resume = command(format!("lanes resume {}", lane.name()), "ends the pause that a person has ordered");
    // While the lane is paused, no other command for it helps.
    let other = of_reason.filter(|command| !command.line.starts_with(&format!("{PROGRAM} lanes resume ")));
    resume.into_iter().chain(other).collect()
}

/// Returns the commands that help with all entries of a group, the most useful first: `one` of the entries and the tenant, if it
/// is only one, are named where they are known.
pub(super) fn commands_of_group(
    reason: Reason,
    cause: CauseId,
    (one, tenant): (Option<ShelfId>, Option<&TenantId>),
    is_dead: bool,
) -> Vec<ShelfCommand> {
    let names = Names {
        entries: format!("--group {cause}"),
        one: one.map(|id| id.to_string()),
        tenant: tenant.map(TenantId::as_str),
        is_dead,
        awaits_connection: false,
    };
    let list = command(format!("shelf list --group {cause}"), "lists the entries");
    of_reason(reason, &names).into_iter().chain([list]).flatten().collect()
}

/// Returns the command that shows everything that happened to the batch of an entry, if the batch is known.
pub fn story(entry: &Shelved) -> Option<ShelfCommand> {
    let key = match &entry.content.identity {
        ShelfIdentity::Batch(key, _) => key.to_string(),
        ShelfIdentity::Raw(_, tenant, batch) => format!("{}/{}", tenant.as_ref()?, batch.as_ref()?),
    };
    command(format!("batches show {key}"), "shows everything that happened to the batch")
}

/// How the program is called.
const PROGRAM: &str = "testmo-courier";

/// One place for each reason, so that a new one is not forgotten.
fn of_reason(reason: Reason, names: &Names<'_>) -> Vec<Option<ShelfCommand>> {
    match reason {
        Reason::NotJson | Reason::InvalidMessage => vec![
            names.edit("corrects the message here"),
            names.save(),
            names.discard("removes this entry; do so once the corrected batch is published"),
        ],
        Reason::BatchConflict => vec![
            names.edit("gives the message a batch_id of its own"),
            names.save(),
            names.discard("removes this entry; do so once the corrected batch is published"),
        ],
        Reason::TooLarge => vec![
            names.discard("removes this entry; do so once the smaller batches are published"),
            names.replay("tries the batch again, after amqp.max_message_bytes was raised"),
        ],
        Reason::Undeliverable | Reason::UnreadableHeaders | Reason::CrashLoop => {
            vec![names.replay("tries the batch again"), names.give_up()]
        }
        Reason::UnknownTenant => vec![
            names.set("--base-url URL --project ID --folder ID", "enters the connection; asks for the API key"),
            names.replay("tries the batch again, if the tenant has a connection").filter(|_| names.is_dead),
            names.discard("gives the batch up, if its tenant_id is a typing error"),
        ],
        Reason::Unverified | Reason::Forbidden | Reason::UnexpectedStatus => vec![names.verify()],
        Reason::KeyRefused => {
            vec![names.set("--new-api-key", "asks for the new API key and verifies the connection")]
        }
        Reason::TargetMissing => {
            vec![names.verify(), names.set("--project ID --folder ID", "enters another project or folder")]
        }
        Reason::WrongHost | Reason::NotTestmo | Reason::AddressRefused => {
            vec![names.verify(), names.set("--base-url URL", "enters another base URL; asks for the API key")]
        }
        Reason::ConnectionRejected => {
            vec![names.verify(), names.set("--mapping FILE", "enters another mapping")]
        }
        Reason::FolderMissing => vec![names.verify(), names.give_up()],
        // The connection was entered while its Testmo failed.
        Reason::Throttled
        | Reason::ServerError
        | Reason::NoAnswer
        | Reason::Unreachable
        | Reason::ReadFailed
        | Reason::Unclear
            if names.awaits_connection =>
        {
            vec![names.verify()]
        }
        Reason::Throttled | Reason::ServerError | Reason::NoAnswer | Reason::Unreachable => {
            vec![names.resume("--now", "tries the account now instead of later")]
        }
        Reason::CaseRefused | Reason::CaseInvalid | Reason::CaseTooLarge | Reason::Rejected | Reason::AllRefused => {
            vec![
                names.replay_unchanged("tries again what was refused, after a change in Testmo"),
                names.correct("corrects the cases here, to be replayed then"),
                names.discard("removes this entry; do so once the corrected cases are published"),
            ]
        }
        Reason::RetriesExhausted => vec![names.replay("tries the batch again"), names.give_up()],
        Reason::UnclearInTestmo | Reason::RejectedUnclear => vec![
            names.candidates("shows which cases in Testmo may be the missing ones, to adopt or refuse them"),
            names.replay("creates what is missing"),
            names.discard("gives up what is missing"),
        ],
        Reason::UnclearElsewhere => {
            vec![names.replay("creates what is missing"), names.discard("gives up what is missing")]
        }
        // They are retried automatically, and no command makes that faster or unnecessary, but for one that ends a pause.
        Reason::Paused
        | Reason::Suspect
        | Reason::Unclear
        | Reason::ReadFailed
        | Reason::FolderUnconfirmed
        | Reason::NoRoom
        | Reason::StoreRowUnreadable => vec![],
    }
}

impl Names<'_> {
    fn verify(&self) -> Option<ShelfCommand> {
        let tenant = self.tenant?;
        command(
            format!("tenants verify {tenant}"),
            "verifies the connection; waiting batches are then sent automatically",
        )
    }

    fn set(&self, options: &str, purpose: &'static str) -> Option<ShelfCommand> {
        command(format!("tenants set {} {options}", self.tenant?), purpose)
    }

    fn resume(&self, option: &str, purpose: &'static str) -> Option<ShelfCommand> {
        command(format!("lanes resume {} {option}", self.tenant?), purpose)
    }

    fn save(&self) -> Option<ShelfCommand> {
        command(format!("shelf show {} --body > message.json", self.one.as_ref()?), "saves the message")
    }

    fn edit(&self, purpose: &'static str) -> Option<ShelfCommand> {
        command(format!("shelf edit {}", self.one.as_ref()?), purpose)
    }

    /// Edits one entry as a whole, or a field in all of them.
    fn correct(&self, purpose: &'static str) -> Option<ShelfCommand> {
        match self.entries.starts_with("--group") {
            true => command(format!("shelf edit {} --set FIELD=VALUE", self.entries), purpose),
            false => self.edit(purpose),
        }
    }

    fn candidates(&self, purpose: &'static str) -> Option<ShelfCommand> {
        command(format!("shelf candidates {}", self.one.as_ref()?), purpose)
    }

    fn replay(&self, purpose: &'static str) -> Option<ShelfCommand> {
        command(format!("replay {}", self.entries), purpose)
    }

    /// Replays what would be refused again as far as the program can see; named one by one, entries are replayed anyway.
    fn replay_unchanged(&self, purpose: &'static str) -> Option<ShelfCommand> {
        let option = if self.entries.starts_with("--") { " --unchanged" } else { "" };
        command(format!("replay {}{option}", self.entries), purpose)
    }

    fn give_up(&self) -> Option<ShelfCommand> {
        self.discard("gives the batch up")
    }

    fn discard(&self, purpose: &'static str) -> Option<ShelfCommand> {
        command(format!("shelf discard {}", self.entries), purpose)
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a list holds commands beside those that an entry without a tenant lacks")]
fn command(arguments: String, purpose: &'static str) -> Option<ShelfCommand> {
    Some(ShelfCommand { line: format!("{PROGRAM} {}", arguments.trim_end()), purpose })
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture;
    use super::*;
    use crate::store::accounts::LaneSelector;

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
            "replay --group c-00000007 --unchanged",
            "shelf edit --group c-00000007 --set FIELD=VALUE",
            "shelf discard --group c-00000007",
            list,
        ];
        assert_eq!(lines(Reason::CaseRefused, None), both);
        assert_eq!(lines(Reason::KeyRefused, None), [list], "each tenant needs a key of its own");
        assert_eq!(lines(Reason::KeyRefused, Some(&fixture::acme())), ["tenants set acme --new-api-key", list]);
    }

    #[test]
    fn what_waits_for_a_connection_that_was_entered_during_an_outage_is_sent_once_that_is_verified() {
        let mut entry = fixture::own();
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
}
