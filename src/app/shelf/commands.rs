//! Names the commands that carry out the remedy of an entry of the shelf.

use super::Pauses;
use crate::batch::cause::CauseId;
use crate::batch::{Reason, TenantId};
use crate::store::shelf::{ShelfId, ShelfState, Shelved, ShelvedUntil};

/// A command that helps with an entry, written so that it can be copied to a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShelfCommand {
    /// The whole command; words in capitals are to be replaced.
    pub line: String,
    /// What it does, or when it helps.
    pub purpose: &'static str,
    /// The same for faces that have no command line.
    pub deed: Deed,
}

/// What a command does, with what it names; entries are those that the command is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Replays the entries; also what nothing has changed for, if that is said.
    Replay {
        /// Whether what would be refused again is tried, too.
        unchanged_too: bool,
    },
    /// Discards the entries.
    Discard,
    /// Edits the message of this entry.
    Edit(ShelfId),
    /// Sets a field in the messages of the entries.
    SetField,
    /// Sets what is done with cases that exist already, and replays the entries.
    ChooseOnRepeat(&'static str),
    /// Shows which cases in Testmo may be the missing ones of this entry.
    Candidates(ShelfId),
    /// Saves the message of this entry.
    Save(ShelfId),
    /// Lists the entries.
    List,
    /// Enters the connection of this tenant, or changes it.
    SetConnection(TenantId),
    /// Verifies the connection of this tenant.
    VerifyConnection(TenantId),
    /// Drafts a mapping for this tenant.
    DraftMapping(TenantId),
    /// Resumes this lane.
    ResumeLane {
        /// The tenant or the account.
        lane: String,
        /// Whether to try an account that fails at once.
        now: bool,
    },
    /// Shows everything that happened to this batch, as `TENANT/BATCH`.
    Story(String),
    /// Writes what can be sent to the customer about this entry.
    CustomerText(ShelfId),
}

/// What the commands of an entry name.
struct Names<'a> {
    /// The entries as `replay` and `shelf discard` take them.
    entries: String,
    /// One of them as `shelf show` takes it.
    one: Option<ShelfId>,
    tenant: Option<&'a TenantId>,
    is_dead: bool,
    /// Whether it waits until the connection is verified, whatever the reason.
    awaits_connection: bool,
}

/// Returns the commands that help with an entry, the most useful first; none where nothing is to be done, or where what is to
/// be done is no command.
pub fn commands(entry: &Shelved, pauses: &Pauses) -> Vec<ShelfCommand> {
    let names = Names {
        entries: entry.id.to_string(),
        one: Some(entry.id),
        tenant: entry.tenant(),
        is_dead: entry.state == ShelfState::Dead,
        awaits_connection: entry.content.until == ShelvedUntil::Connection,
    };
    let of_reason = of_reason(entry.content.reason, &names).into_iter().flatten();
    let Some(lane) = pauses.of(entry) else { return of_reason.collect() };
    let deed = Deed::ResumeLane { lane: lane.name().to_owned(), now: false };
    let resume = command(format!("lanes resume {}", lane.name()), "ends the pause that a person has ordered", deed);
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
    let names = Names { entries: format!("--group {cause}"), one, tenant, is_dead, awaits_connection: false };
    let list = command(format!("shelf list --group {cause}"), "lists the entries", Deed::List);
    of_reason(reason, &names).into_iter().chain([list]).flatten().collect()
}

/// Returns the command that shows everything that happened to the batch of an entry, if the batch is known.
pub fn story(entry: &Shelved) -> Option<ShelfCommand> {
    let (tenant, batch) = entry.content.identity.names();
    let key = format!("{}/{}", tenant?, batch?);
    command(format!("batches show {key}"), "shows everything that happened to the batch", Deed::Story(key))
}

/// Returns the command that writes what can be sent to the customer about an entry.
pub fn text_for_customer(entry: &Shelved) -> Option<ShelfCommand> {
    let deed = Deed::CustomerText(entry.id);
    command(format!("shelf show {} --for-customer", entry.id), "writes a text that can be sent to the customer", deed)
}

/// Returns the commands that help with a connection that does not work for a reason, the most useful first.
pub fn commands_of_connection(reason: Reason, tenant: &TenantId) -> Vec<ShelfCommand> {
    let names =
        Names { entries: String::new(), one: None, tenant: Some(tenant), is_dead: false, awaits_connection: true };
    let all = of_reason(reason, &names).into_iter().flatten();
    all.filter(|command| command.line.starts_with(&format!("{PROGRAM} tenants "))).collect()
}

/// How the program is called.
const PROGRAM: &str = "testmo-courier";

/// One place for each reason, so that a new one is not forgotten.
fn of_reason(reason: Reason, names: &Names<'_>) -> Vec<Option<ShelfCommand>> {
    match reason {
        Reason::NotJson | Reason::InvalidMessage => {
            let edit = names.edit(names.each("corrects the message here", "corrects one of the messages here"));
            vec![edit, names.save(), names.remove_published()]
        }
        Reason::BatchConflict => {
            let purpose =
                names.each("gives the message a batch_id of its own", "gives one of them a batch_id of its own");
            vec![names.edit(purpose), names.save(), names.remove_published()]
        }
        Reason::TooLarge => vec![
            names.discard(names.each(
                "removes this entry; do so once the smaller batches are published",
                "removes all of them; do so once the smaller batches are published",
            )),
            names.replay("tries again, after amqp.max_message_bytes was raised"),
        ],
        Reason::Undeliverable | Reason::UnreadableHeaders | Reason::CrashLoop => vec![names.retry(), names.give_up()],
        Reason::UnknownTenant => vec![
            names.set("--base-url URL --project ID --folder ID", "enters the connection; asks for the API key"),
            names.replay("tries again, if the tenant has a connection").filter(|_| names.is_dead),
            names.discard(names.each(
                "gives the batch up, if its tenant_id is a typing error",
                "gives all of them up, if their tenant_id is a typing error",
            )),
        ],
        Reason::Unverified => vec![names.verify()],
        Reason::Forbidden | Reason::UnexpectedStatus => vec![names.verify_again()],
        Reason::KeyRefused => {
            vec![names.set("--new-api-key", "asks for the new API key and verifies the connection")]
        }
        Reason::TargetMissing => {
            vec![names.set("--project ID --folder ID", "enters another project or folder"), names.verify_again()]
        }
        Reason::WrongHost | Reason::NotTestmo | Reason::AddressRefused => {
            vec![names.set("--base-url URL", "enters another base URL; asks for the API key"), names.verify_again()]
        }
        Reason::ConnectionRejected => {
            let purpose = "enters another mapping; `tenants show` prints the present one, docs/mapping.md explains it";
            vec![names.draft_mapping(), names.set("--mapping mapping.json", purpose), names.verify_again()]
        }
        Reason::FolderMissing => vec![names.verify_again(), names.give_up()],
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
        // What is dead is not retried automatically, whatever its reason.
        Reason::Throttled
        | Reason::ServerError
        | Reason::NoAnswer
        | Reason::Unreachable
        | Reason::Paused
        | Reason::Suspect
        | Reason::Unclear
        | Reason::ReadFailed
        | Reason::FolderUnconfirmed
        | Reason::NoRoom
        | Reason::EarlierGeneration
        | Reason::StoreRowUnreadable
            if names.is_dead =>
        {
            vec![names.retry(), names.give_up()]
        }
        Reason::Throttled | Reason::ServerError | Reason::NoAnswer | Reason::Unreachable => {
            vec![names.resume("--now", "tries the account now instead of later")]
        }
        Reason::CaseRefused | Reason::CaseInvalid | Reason::CaseTooLarge | Reason::Rejected | Reason::AllRefused => {
            let edit = names
                .each("corrects the cases here, to be replayed then", "corrects one of them here, to try it first");
            let set = names.set_in_all("sets a field in all of them, to be replayed then");
            let discard = names.each(
                "removes this entry; do so once the corrected cases are published",
                "removes all of them; do so once the corrected cases are published",
            );
            let replay = names.replay_unchanged("tries again what was refused, after a change in Testmo");
            vec![names.edit(edit), set, replay, names.discard(discard)]
        }
        Reason::ExistsAlready => vec![
            names.choose("update", "writes what has changed into the cases that exist"),
            names.choose("skip", "leaves the cases that exist and creates new ones"),
            names.choose("create", "creates all of them again"),
            names.give_up(),
        ],
        Reason::ReplacedUnknown => {
            vec![names.replay("tries again once the earlier batch is delivered"), names.give_up()]
        }
        Reason::RetriesExhausted => vec![names.retry(), names.give_up()],
        Reason::UnclearInTestmo | Reason::RejectedUnclear => vec![
            names.candidates(names.each(
                "shows which cases in Testmo may be the missing ones, to adopt or refuse them",
                "shows for one of them which cases in Testmo may be the missing ones, to adopt or refuse them",
            )),
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
        | Reason::EarlierGeneration
        | Reason::StoreRowUnreadable => vec![],
    }
}

impl Names<'_> {
    /// Returns whether the entries are those of a group.
    fn is_group(&self) -> bool {
        self.entries.starts_with("--")
    }

    /// Returns the purpose of a command for one entry, or for a group.
    fn each(&self, of_one: &'static str, of_all: &'static str) -> &'static str {
        if self.is_group() { of_all } else { of_one }
    }

    fn verify(&self) -> Option<ShelfCommand> {
        self.verify_for("verifies the connection; waiting batches are then sent automatically")
    }

    fn verify_again(&self) -> Option<ShelfCommand> {
        self.verify_for(
            "verifies the connection again once the cause is fixed; waiting batches are then sent automatically",
        )
    }

    fn verify_for(&self, purpose: &'static str) -> Option<ShelfCommand> {
        let tenant = self.tenant?;
        command(format!("tenants verify {tenant}"), purpose, Deed::VerifyConnection(tenant.clone()))
    }

    fn set(&self, options: &str, purpose: &'static str) -> Option<ShelfCommand> {
        let tenant = self.tenant?;
        command(format!("tenants set {tenant} {options}"), purpose, Deed::SetConnection(tenant.clone()))
    }

    fn draft_mapping(&self) -> Option<ShelfCommand> {
        let purpose = "drafts a mapping that lists the fields of the project";
        let tenant = self.tenant?;
        command(format!("tenants mapping draft {tenant} > mapping.json"), purpose, Deed::DraftMapping(tenant.clone()))
    }

    fn resume(&self, option: &str, purpose: &'static str) -> Option<ShelfCommand> {
        let lane = self.tenant?.to_string();
        let line = format!("lanes resume {lane} {option}");
        command(line, purpose, Deed::ResumeLane { lane, now: option == "--now" })
    }

    fn save(&self) -> Option<ShelfCommand> {
        let purpose = self.each("saves the message", "saves one of the messages");
        let one = self.one?;
        command(format!("shelf show {one} --body > message.json"), purpose, Deed::Save(one))
    }

    fn edit(&self, purpose: &'static str) -> Option<ShelfCommand> {
        let one = self.one?;
        command(format!("shelf edit {one}"), purpose, Deed::Edit(one))
    }

    /// Edits a field in all entries of a group.
    fn set_in_all(&self, purpose: &'static str) -> Option<ShelfCommand> {
        let line = format!("shelf edit {} --set FIELD=VALUE", self.entries);
        command(line, purpose, Deed::SetField).filter(|_| self.is_group())
    }

    fn choose(&self, choice: &'static str, purpose: &'static str) -> Option<ShelfCommand> {
        let entries = if self.is_group() { self.entries.clone() } else { self.one?.to_string() };
        let line = format!("shelf edit {entries} --set on_repeat={choice} --replay");
        command(line, purpose, Deed::ChooseOnRepeat(choice))
    }

    fn candidates(&self, purpose: &'static str) -> Option<ShelfCommand> {
        let one = self.one?;
        command(format!("shelf candidates {one}"), purpose, Deed::Candidates(one))
    }

    fn replay(&self, purpose: &'static str) -> Option<ShelfCommand> {
        command(format!("replay {}", self.entries), purpose, Deed::Replay { unchanged_too: false })
    }

    fn retry(&self) -> Option<ShelfCommand> {
        self.replay(self.each("tries the batch again", "tries the batches again"))
    }

    /// Replays what would be refused again as far as the program can see; named one by one, entries are replayed anyway.
    fn replay_unchanged(&self, purpose: &'static str) -> Option<ShelfCommand> {
        let option = if self.is_group() { " --unchanged" } else { "" };
        command(format!("replay {}{option}", self.entries), purpose, Deed::Replay { unchanged_too: self.is_group() })
    }

    fn give_up(&self) -> Option<ShelfCommand> {
        self.discard(self.each("gives the batch up", "gives the batches up"))
    }

    /// Discards what its generator publishes again.
    fn remove_published(&self) -> Option<ShelfCommand> {
        self.discard(self.each(
            "removes this entry; do so once the corrected batch is published",
            "removes all of them; do so once the corrected batches are published",
        ))
    }

    fn discard(&self, purpose: &'static str) -> Option<ShelfCommand> {
        command(format!("shelf discard {}", self.entries), purpose, Deed::Discard)
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a list holds commands beside those that an entry without a tenant lacks")]
fn command(arguments: String, purpose: &'static str, deed: Deed) -> Option<ShelfCommand> {
    Some(ShelfCommand { line: format!("{PROGRAM} {}", arguments.trim_end()), purpose, deed })
}

#[cfg(test)]
mod tests;
