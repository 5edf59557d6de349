//! Says to a customer, without words of our own, why test cases have not arrived and who does what about it.

use super::Shelved;
use crate::batch::event::address;
use crate::batch::ledger::{BatchRecord, CaseState, Refusal, Standing};
use crate::batch::message::decode::decode;
use crate::batch::{Batch, Reason, excerpt, fingerprint, one_line};
use crate::store::connections::ConnectionRow;
use crate::store::{ConnectionStore, Store, StoreError};

/// The most test cases that are named.
pub(in crate::app) const MOST_CASES: usize = 5;
/// The most characters of a text from outside.
const LONGEST_TEXT: usize = 200;

/// What can be said to a customer about an entry.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct CustomerText {
    /// What happened and what follows, in sentences.
    pub text: String,
    /// The test cases that it is about, as far as they can be named, each with what Testmo answered if it refused the case.
    pub cases: Vec<String>,
    /// Addresses in Testmo's web pages where the customer can check it.
    pub links: Vec<String>,
}

/// Writes what can be said to a customer about an entry.
///
/// # Errors
/// When the store does not answer.
pub async fn for_customer(store: &Store, entry: &Shelved) -> Result<CustomerText, StoreError> {
    let batch = decode(&entry.content.body).ok();
    let stored = match &batch {
        Some(batch) => store.batch(&batch.key).await?,
        None => None,
    };
    let of_batch = |record: &BatchRecord| {
        batch.as_ref().is_some_and(|batch| record.standing(&fingerprint(batch)) == Standing::Present)
    };
    let record = stored.map(|stored| stored.record).filter(of_batch);
    let connection = match entry.tenant() {
        Some(tenant) => store.connection(tenant).await?,
        None => None,
    };
    Ok(written(entry.content.reason, batch.as_ref(), record.as_ref(), connection.as_ref()))
}

fn written(
    reason: Reason,
    batch: Option<&Batch>,
    record: Option<&BatchRecord>,
    connection: Option<&ConnectionRow>,
) -> CustomerText {
    let mut text = String::new();
    if let Some(batch) = batch {
        text.push_str(&subject(batch));
    }
    text.push_str(sentences(reason));
    CustomerText {
        text,
        cases: batch.map(|batch| cases(batch, record)).unwrap_or_default(),
        links: links(reason, record, connection),
    }
}

/// Says which test cases it is about.
fn subject(batch: &Batch) -> String {
    let count = match batch.cases.len() {
        1 => "1 test case".to_owned(),
        several => format!("{several} test cases"),
    };
    match (&batch.source.key, &batch.source.title) {
        (Some(key), Some(title)) => format!("This is about {count} for {} ({}). ", shown(key), shown(title)),
        (Some(source), None) | (None, Some(source)) => format!("This is about {count} for {}. ", shown(source)),
        (None, None) => format!("This is about {count}. "),
    }
}

/// Names the test cases that have not arrived, with Testmo's words about them.
fn cases(batch: &Batch, record: Option<&BatchRecord>) -> Vec<String> {
    let mut named = Vec::new();
    for (at, case) in batch.cases.iter().enumerate() {
        let state = record.and_then(|record| record.cases.get(at)).map(|case| &case.state);
        let answered = match state {
            Some(CaseState::Created(_) | CaseState::Adopted(_) | CaseState::Repeated(_)) => continue,
            Some(CaseState::Refused(refusal)) => said(refusal),
            Some(CaseState::Waiting | CaseState::Claimed | CaseState::Lost) | None => String::new(),
        };
        let name = if case.name.is_empty() { format!("Test case {}", at + 1) } else { shown(&case.name) };
        named.push(with_answer(name, &answered));
    }
    shortened(named)
}

/// Returns what Testmo answered about a case that it refused; empty if it said nothing about the case.
pub(in crate::app) fn said(refusal: &Refusal) -> String {
    if refusal.reason != Reason::CaseRefused {
        return String::new();
    }
    let said = refusal.said.iter().map(|said| format!("{}: {}", shown(&said.field), shown(&said.message)));
    said.collect::<Vec<_>>().join("; ")
}

/// Adds to the name of a test case what Testmo answered about it.
pub(in crate::app) fn with_answer(name: String, said: &str) -> String {
    if said.is_empty() { name } else { format!("{name} (Testmo answered: {said})") }
}

/// Leaves out the names of all but the first test cases, and says how many.
pub(in crate::app) fn shortened(mut named: Vec<String>) -> Vec<String> {
    let more = named.len().saturating_sub(MOST_CASES);
    named.truncate(MOST_CASES);
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    named
}

/// Writes a text from outside in one line that is not too long.
pub(in crate::app) fn shown(text: &str) -> String {
    excerpt(&one_line(text), LONGEST_TEXT)
}

/// Returns addresses in Testmo: of the test cases that have arrived, and of the folder where the reason is about it.
fn links(reason: Reason, record: Option<&BatchRecord>, connection: Option<&ConnectionRow>) -> Vec<String> {
    let mut links = Vec::new();
    if let Some(row) = connection {
        let is_about_folder = matches!(
            reason,
            Reason::TargetMissing
                | Reason::FolderMissing
                | Reason::FolderUnconfirmed
                | Reason::ConnectionRejected
                | Reason::Forbidden
                | Reason::UnclearInTestmo
                | Reason::RejectedUnclear
        );
        let is_about_address =
            matches!(reason, Reason::KeyRefused | Reason::Unverified | Reason::NotTestmo | Reason::WrongHost);
        if is_about_folder {
            links.push(format!("{}/repositories/{}?group_id={}", row.origin, row.project, row.folder));
        } else if is_about_address {
            links.push(row.origin.clone());
        }
    }
    if let Some(record) = record {
        let arrived = record.arrived().take(MOST_CASES);
        links.extend(arrived.filter_map(|(at, id)| {
            let target = record.targets.get(record.cases[at].target)?;
            Some(address(target, target.folder, id))
        }));
    }
    links.retain(|link| link.starts_with("https://") || link.starts_with("http://"));
    links
}

/// Returns what happened and what follows, for a reader who knows Testmo and nothing of how test cases get there.
fn sentences(reason: Reason) -> &'static str {
    match reason {
        Reason::NotJson | Reason::InvalidMessage | Reason::UnreadableHeaders => {
            "The generated test cases reached us in a form that we cannot read. The cause is on our side. We correct it and \
             send the test cases to your Testmo; you do not have to do anything."
        }
        Reason::TooLarge => {
            "So many test cases were generated at once that they cannot be sent together. We split them and send them to your \
             Testmo; you do not have to do anything."
        }
        Reason::Undeliverable => {
            "The generated test cases got stuck on our side before they were sent to your Testmo. We send them again; you do \
             not have to do anything."
        }
        Reason::Suspect => {
            "An interruption on our side stopped the delivery of these test cases. They are sent to your Testmo automatically; \
             you do not have to do anything."
        }
        Reason::CrashLoop => {
            "A defect on our side stops the delivery of these test cases. We correct it and send them to your Testmo; you do \
             not have to do anything."
        }
        Reason::BatchConflict => {
            "Test cases were generated a second time under the same number but with other content, so only the first version \
             was delivered. If you need the second version as well, let us know and we send it."
        }
        Reason::UnknownTenant => {
            "Your Testmo is not connected yet, so the generated test cases wait with us. Please enter the address of your \
             Testmo, an API key, the project and the folder. The test cases are then sent automatically."
        }
        Reason::Unverified => {
            "The connection to your Testmo was changed and has not been confirmed since, so the test cases wait with us. \
             Please check the connection and confirm it. The test cases are then sent automatically."
        }
        Reason::KeyRefused => {
            "Your Testmo no longer accepts the API key that was entered: it may have been revoked, or copied incompletely. \
             Please create a new API key on your profile page in Testmo and enter it. The test cases are then sent \
             automatically."
        }
        Reason::Forbidden => {
            "The user to whom the API key belongs may not add test cases to this project in Testmo. Please give this user a \
             role that may edit the repository of the project. The test cases are then sent automatically."
        }
        Reason::TargetMissing => {
            "The project or the folder in Testmo to which the test cases go does not exist, or the user of the API key cannot \
             see it. Please check both, or choose another project or folder. The test cases are then sent automatically."
        }
        Reason::WrongHost | Reason::NotTestmo => {
            "We do not reach Testmo at the address that was entered. Please check the address; it looks like \
             https://your-name.testmo.net. The test cases are then sent automatically."
        }
        Reason::UnexpectedStatus => {
            "Your Testmo answers our requests in an unexpected way. Please check whether a firewall of yours blocks them and \
             whether your Testmo subscription is active. The test cases are then sent automatically."
        }
        Reason::AddressRefused => {
            "The address that was entered for your Testmo is not one that we send test cases to. Please check it; it looks \
             like https://your-name.testmo.net. The test cases are then sent automatically."
        }
        Reason::ConnectionRejected => {
            "Your Testmo does not accept a setting of the connection, such as the folder, the template, the status or the \
             priority, or it requires a field that is not filled. Please check these settings and the fields of the project. \
             The test cases are then sent automatically."
        }
        Reason::FolderMissing => {
            "The folder that was requested for these test cases does not exist in your Testmo. Please create it, or let us \
             know which folder to use instead. The test cases are then sent."
        }
        Reason::FolderUnconfirmed => {
            "We tried to create a folder for these test cases and your Testmo did not confirm it. Please create the folder in \
             Testmo if it is not there. The test cases are then sent automatically."
        }
        Reason::Throttled => {
            "Your Testmo limits how many requests it accepts at the moment. The test cases are sent automatically as soon as \
             it accepts more; you do not have to do anything."
        }
        Reason::ServerError => {
            "Your Testmo answers with errors at the moment. The test cases are sent automatically as soon as it works again. \
             If it goes on, please contact the support of Testmo."
        }
        Reason::NoAnswer | Reason::Unreachable => {
            "Your Testmo cannot be reached at the moment. The test cases are sent automatically as soon as it can be reached \
             again. If your Testmo works for you, let us know."
        }
        Reason::Unclear | Reason::ReadFailed => {
            "We are checking in your Testmo whether these test cases were already created, so that none of them appears twice. \
             The rest is sent automatically; you do not have to do anything."
        }
        Reason::NoRoom => {
            "Many test cases are being sent to your Testmo at the moment, and these wait for their turn. They are sent \
             automatically; you do not have to do anything."
        }
        Reason::EarlierGeneration => {
            "An earlier version of these test cases is still being delivered, and these wait until that is done. They are sent \
             automatically; you do not have to do anything."
        }
        Reason::ExistsAlready => {
            "These test cases are in your Testmo already, from an earlier generation. Please let us know whether the existing \
             ones are to be updated, left as they are, or created again."
        }
        Reason::ReplacedUnknown => {
            "These test cases are a new version of earlier ones that we cannot find. The cause is on our side. We correct it and \
             send them to your Testmo; you do not have to do anything."
        }
        Reason::Paused => {
            "We have paused the delivery of your test cases. They are sent automatically when the pause ends; you do not have \
             to do anything."
        }
        Reason::StoreRowUnreadable => {
            "A fault on our side holds these test cases back. We correct it and send them to your Testmo; you do not have \
             to do anything."
        }
        Reason::CaseRefused | Reason::AllRefused => {
            "Your Testmo did not accept the test cases below: a value does not fit the project, or a required field is not \
             filled. Either change the project in Testmo, or let us know which value to send instead. We then send these test \
             cases again; those that have arrived stay as they are."
        }
        Reason::CaseInvalid => {
            "Some of the generated test cases are incomplete or contain something that cannot be sent. The cause is on our \
             side. We correct them and send them to your Testmo; the others are not affected."
        }
        Reason::CaseTooLarge => {
            "A test case is larger than your Testmo accepts. We shorten or split it and send it again; the others are not \
             affected."
        }
        Reason::Rejected => {
            "Your Testmo did not accept these test cases and did not say why. We are looking into the cause and send them \
             again; you do not have to do anything yet."
        }
        Reason::RetriesExhausted => {
            "Your Testmo could not be used for a long time, so we stopped trying to send these test cases. Let us know when it \
             works again, and we send them."
        }
        Reason::UnclearInTestmo => {
            "The connection broke while these test cases were being created, and some of them are no longer found in your \
             Testmo. Please check whether they were renamed, moved or deleted, and let us know whether we shall create them \
             again."
        }
        Reason::RejectedUnclear => {
            "Your Testmo answers in an unexpected way when these test cases are created, and we do not find them there. \
             Please check whether they exist, and whether a firewall of yours blocks their text. Let us know, and we send them \
             again."
        }
        Reason::UnclearElsewhere => {
            "The connection broke while these test cases were being created in your former Testmo. Please check whether they \
             exist there, and let us know whether we shall create them in your present one."
        }
    }
}

impl std::fmt::Display for CustomerText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.text)?;
        for (heading, lines) in [("Test cases:", &self.cases), ("In Testmo:", &self.links)] {
            if !lines.is_empty() {
                writeln!(f, "\n{heading}")?;
                lines.iter().try_for_each(|line| writeln!(f, "- {line}"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
