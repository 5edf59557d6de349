//! Lists every reason for which a batch or a case does not arrive, with its cause and remedy.

use serde::{Deserialize, Serialize};

/// Who has to act: decides what a batch waits for, and which of several reasons is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// The tenant's connection has to be corrected.
    Connection,
    /// The tenant's Testmo has no capacity or is failing.
    Account,
    /// The message itself is broken.
    Message,
    /// One case is refused.
    Case,
    /// Only a person can decide.
    Person,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident $code:literal $class:ident: $cause:literal, $remedy:literal;)+) => {
        /// Why a batch or a case did not arrive.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Reason {
            $($(#[doc = $doc])+ #[serde(rename = $code)] $name,)+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Returns the word that events, metrics and commands use.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// Returns who has to act.
            pub fn class(self) -> Class {
                match self { $(Self::$name => Class::$class),+ }
            }

            /// Returns what is wrong, in one sentence.
            pub fn cause(self) -> &'static str {
                match self { $(Self::$name => $cause),+ }
            }

            /// Returns what to do, in a few sentences.
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy),+ }
            }
        }
    };
}

reasons! {
    /// The bytes are not JSON.
    NotJson "not_json" Message:
        "The message is not valid JSON, or is compressed in a way that the worker cannot read.",
        "Publish one JSON object encoded as UTF-8, plain or compressed with gzip. The faults in the event, and the detail on the shelf, name the line and column, or what is wrong with the compression.";
    /// The message breaks the contract.
    InvalidMessage "invalid_message" Message:
        "The message does not match the schema for batches.",
        "Correct the generator at the places that the faults in the event, or the detail on the shelf, name. Then publish the batch again.";
    /// The message is larger than the worker accepts.
    TooLarge "too_large" Message:
        "The message is larger than the worker accepts.",
        "Publish the cases in several smaller batches, each with its own batch_id.";
    /// The broker gave up on the message or could not route it.
    Undeliverable "undeliverable" Message:
        "The broker could not deliver the message to the worker: no queue matches its routing key, or it was returned to the queue too often.",
        "Publish to the documented exchange with the documented routing key. If both were right, the detail on the shelf says why the broker returned the message: correct this, then replay the batch.";
    /// The properties or headers of the message cannot be read.
    UnreadableHeaders "unreadable_headers" Message:
        "The message's properties and headers cannot be read: they are larger than 16 KB, nested more than 64 levels deep, not UTF-8, or not valid AMQP.",
        "Correct the headers that the detail on the shelf names; frameworks that republish a message often add a stack trace. Then publish the batch again, or replay it from the shelf, which keeps the body of the message.";
    /// The worker crashed while the message was in hand.
    Suspect "suspect" Message:
        "A worker ended unexpectedly while this message was in hand, a defect in the worker stopped the work on it, or RabbitMQ delivered it too often. The message is therefore tried alone.",
        "Nothing to do: the batch is retried automatically.";
    /// The worker crashed over the message even when it was tried alone.
    CrashLoop "crash_loop" Message:
        "The message was tried alone three times, and each time the worker stopped or a defect stopped the work on it.",
        "The generator has nothing to correct. Check the worker's log for what happened, then replay the batch.";
    /// The batch id is known with other content.
    BatchConflict "batch_conflict" Message:
        "A batch with this batch_id and other content was received before. The first batch is unchanged.",
        "Publish the new content with its own batch_id.";
    /// Nobody has registered the tenant.
    UnknownTenant "unknown_tenant" Connection:
        "No Testmo connection is registered for this tenant.",
        "If the detail names the tenant that is meant, correct the generator's tenant_id, publish the batch again, and discard this one. Otherwise enter the tenant's Testmo connection (base URL, API key, project and folder); waiting batches are then sent automatically.";
    /// The connection has never been verified.
    Unverified "unverified" Connection:
        "The tenant's Testmo connection has not been verified since it was changed.",
        "Verify the connection and correct what the result names; waiting batches are then sent automatically.";
    /// 401: the key is not accepted.
    KeyRefused "key_refused" Connection:
        "Testmo refused the API key (401 Unauthorized): it was copied incorrectly, or it was revoked.",
        "Generate a new API key on the user profile page in Testmo and enter it for this connection; for integrations a separate API user is recommended. Waiting batches are then sent automatically. Once the new key works, revoke the old one and others that are no longer used.";
    /// 403: the key's user lacks the permission.
    Forbidden "forbidden" Connection:
        "The user of the API key may not create test cases in this project (403 Forbidden).",
        "Give the key's user a role with the right \"Edit repository\" in the project in Testmo; waiting batches are then sent automatically.";
    /// 404: the project or folder does not exist.
    TargetMissing "target_missing" Connection:
        "The project or the folder does not exist in Testmo, or the key's user cannot see it.",
        "Check the project id and the folder id of the connection, and that the key's user has access to the project. The connection is verified again automatically, and waiting batches are then sent.";
    /// The host name is not known or the certificate belongs to another host, and the connection never worked.
    WrongHost "wrong_host" Connection:
        "The host in the base URL is unknown, or its certificate belongs to another host.",
        "Check the base URL for typing errors; it has the form https://<your-name>.testmo.net. The connection is verified again automatically, and waiting batches are then sent.";
    /// HTML or a redirect: the host is not Testmo's API.
    NotTestmo "not_testmo" Connection:
        "The host in the base URL responds, but not as Testmo's API does.",
        "Check the base URL for typing errors; it has the form https://<your-name>.testmo.net. The connection is verified again automatically, and waiting batches are then sent.";
    /// A status that does not say whether the request was carried out.
    UnexpectedStatus "unexpected_status" Connection:
        "The host in the base URL responds with a status that leaves the outcome of the request unknown; the detail names the status.",
        "Check whether a firewall or proxy in front of Testmo blocks the worker, and, for 402, whether the Testmo subscription is paid. The connection is verified again automatically, and waiting batches are then sent.";
    /// The address policy does not allow the address.
    AddressRefused "address_refused" Connection:
        "The base URL leads to an address that is not allowed, so the API key is not sent there.",
        "Check the base URL; it has the form https://<your-name>.testmo.net, and the host has a public IP address. If the URL is right, ask the operator to check testmo.allowed_hosts.";
    /// 422 for a value that the connection supplies.
    ConnectionRejected "connection_rejected" Connection:
        "Testmo does not have, or rejected, a value or a field that comes from this connection's settings (folder, template, state, fixed values, priority, or a column of the mapping), requires a field that neither the mapping nor any case of the batch fills, or refuses a field that the project had before and no longer lists.",
        "Correct the connection's folder or mapping, or the project in Testmo, at the fields that the detail names. The connection is verified again automatically, and waiting batches are then sent.";
    /// The folder that the batch requests does not exist.
    FolderMissing "folder_missing" Connection:
        "The folder that the batch requests does not exist below the tenant's folder in Testmo, or Testmo refused to create it.",
        "A folder requested by path: create it in Testmo below the tenant's folder. A folder requested by id: move it there. Then verify the connection; waiting batches are sent automatically. Otherwise discard the batch, and publish its cases without a folder and with a new batch_id.";
    /// 429: Testmo limits the rate of requests.
    Throttled "throttled" Account:
        "Testmo limits the rate of requests to the tenant's account (429 Too Many Requests).",
        "Nothing to do: the batch is sent automatically when Testmo accepts requests again.";
    /// 5xx: Testmo failed.
    ServerError "server_error" Account:
        "The tenant's Testmo responds with errors (5xx, 421 or 425).",
        "Nothing to do: the batch is retried automatically. If the errors continue, contact Testmo's support.";
    /// No answer was received.
    NoAnswer "no_answer" Account:
        "The tenant's Testmo did not respond in time, or the connection broke.",
        "Nothing to do: the batch is retried automatically.";
    /// No connection could be established.
    Unreachable "unreachable" Account:
        "The tenant's Testmo cannot be reached.",
        "Nothing to do: the batch is retried automatically. If Testmo stays unreachable, correct what the detail names, or check the base URL and the network.";
    /// The outcome of the last create request is unknown.
    Unclear "unclear" Account:
        "It is not known yet whether the last request created its cases.",
        "Nothing to do: the worker reconciles with Testmo before it sends anything again.";
    /// A request that only reads was refused, or its answer cannot be used.
    ReadFailed "read_failed" Account:
        "Testmo refused a request of the worker that only reads, or its response could not be used; the detail says what Testmo answered.",
        "Nothing to do: the batch is retried automatically. If it goes on, run the newest version of the worker, or report the detail as a defect of the worker.";
    /// Creating the folder was tried as often as allowed.
    FolderUnconfirmed "folder_unconfirmed" Account:
        "Testmo did not confirm the creation of the folder that the batch requests, and does not list the folder.",
        "Create the folder that the detail names by hand in Testmo: the worker keeps checking for it, and the batch is then sent automatically. Otherwise the worker tries to create the folder again when testmo.folder_create_window is over.";
    /// The batch does not fit into the worker's memory.
    NoRoom "no_room" Account:
        "More batches of this account wait than the worker holds in memory.",
        "Nothing to do: the batch is sent automatically when its turn comes.";
    /// An earlier batch of the same source is not finished.
    EarlierGeneration "earlier_generation" Account:
        "An earlier batch of the same source has cases in common with this one and is not finished, or a person has yet to decide on cases of it that may be in Testmo, so what is to be written is not known yet.",
        "Nothing to do: the batch is sent automatically once the batch that the detail names is finished. If that one waits for a person, decide on its cases as its own reason says: adopt them, replay it, or discard it.";
    /// A person paused the lane.
    Paused "paused" Account:
        "An operator has paused the sending of this tenant's batches, or of all batches of its Testmo account.",
        "Nothing to do: the batch is sent automatically when the operator resumes.";
    /// The store holds something about the batch that this version cannot read.
    StoreRowUnreadable "store_row_unreadable" Account:
        "The worker cannot read a row of its store about this batch, its tenant or its Testmo account.",
        "Run the newest version on every worker. If that does not help, restore the row that the detail names from a backup of the store. The batch is retried automatically.";
    /// Testmo refused one case.
    CaseRefused "case_refused" Case:
        "Testmo refused values that the case supplies, or requires a field that other cases of its batch supply.",
        "Correct the case at the fields that Testmo named, and publish it again in a new batch with its own batch_id.";
    /// The worker refused one case because it breaks the contract.
    CaseInvalid "case_invalid" Case:
        "The case does not match the schema for cases, so the worker did not send it.",
        "Correct the generator at the places that are named with the case, and publish the case again in a new batch with its own batch_id. The other cases of the batch are not affected.";
    /// One case is too large.
    CaseTooLarge "case_too_large" Case:
        "The case alone is larger than Testmo accepts (413).",
        "Shorten the case, and publish it again in a new batch with its own batch_id.";
    /// Testmo refused the request with another 4xx.
    Rejected "rejected" Case:
        "Testmo rejected the request and named no field; the detail names the status.",
        "Ask the operator to find out why Testmo responds with the status in the detail. Then replay the batch, or publish the case again in a new batch with its own batch_id.";
    /// Every case of the batch was refused.
    AllRefused "all_refused" Case:
        "Testmo refused every case of the batch.",
        "Correct each case at the fields that Testmo named, and publish the cases again in a new batch with its own batch_id.";
    /// Cases of the batch exist, and the batch or the mapping says that a person decides.
    ExistsAlready "exists_already" Person:
        "Cases that an earlier batch wrote are in this batch again, and the batch, or the tenant's mapping, says that a person decides what is done with them.",
        "Choose with `shelf edit ID --set on_repeat=CHOICE --replay`: `update` writes what has changed into the cases that exist, `skip` leaves them and creates only new ones, `create` creates all of them again. Or discard the batch.";
    /// The batch that is to be replaced is not known.
    ReplacedUnknown "replaced_unknown" Person:
        "The batch is to replace an earlier one, and the worker knows no batch of this tenant with the batch_id in `replaces`, or does not know the cases of that batch.",
        "Correct `replaces` with `shelf edit ID --set replaces=BATCH --replay`, and correct the generator. If the earlier batch arrives later than this one, replay this one once the earlier one is delivered. To deliver the cases as new ones, remove `replaces` with `--set replaces=null`.";
    /// The batch has been failing for too long.
    RetriesExhausted "retries_exhausted" Person:
        "The tenant's Testmo was failing for longer than the worker retries a batch.",
        "When Testmo works again, replay the batch.";
    /// Only some cases of a request were found.
    UnclearInTestmo "unclear_in_testmo" Person:
        "A request whose response was lost created cases, but not all of them are found in Testmo any more: they may have been renamed, moved or deleted. Or the store was restored from an older copy, and the cases may have been created since.",
        "Check in Testmo whether the missing cases exist: `shelf candidates ID` shows which ones they may be. Adopt those that exist with its `--adopt`, so that later batches of the source know them too. Then replay the batch: the worker reconciles again and creates what is still missing. Or discard the rest of the batch.";
    /// A request with one case alone is answered with a status that leaves its outcome unknown.
    RejectedUnclear "rejected_unclear" Person:
        "Testmo responds to create requests with this case alone with a status that leaves their outcome unknown, but responds to other requests. The case was not found in Testmo.",
        "Check whether the case exists in Testmo, and whether a firewall or proxy in front of Testmo blocks its text; the detail names the status. If it exists, adopt it with `shelf candidates ID --adopt`. Then replay or discard the batch.";
    /// The account changed while an outcome was unknown.
    UnclearElsewhere "unclear_elsewhere" Person:
        "A request whose response was lost went to another Testmo account than the tenant's present one.",
        "Check whether the cases exist in the former Testmo account. Then replay the batch to create them in the present account, or discard it.";
}

impl Reason {
    /// Why a batch is on the shelf of which cases may be in Testmo under ids that nobody knows: a person finds out.
    pub const UNCLEAR: [Self; 3] = [Self::UnclearInTestmo, Self::RejectedUnclear, Self::UnclearElsewhere];
}

impl schemars::JsonSchema for Reason {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Reason".into()
    }

    /// Returns a schema of the known codes and any other text: readers of events have to accept reasons that are added
    /// later.
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let codes: Vec<&str> = Self::ALL.iter().map(|reason| reason.code()).collect();
        schemars::json_schema!({
            "description": "Why a batch or a case did not arrive; see docs/reasons.md. Codes may be added, so accept unknown ones.",
            "anyOf": [{"enum": codes}, {"type": "string"}],
        })
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

impl std::str::FromStr for Reason {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|reason| reason.code() == text);
        found.copied().ok_or_else(|| format!("`{text}` is not a reason; docs/reasons.md lists all of them"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_code_and_speaks_in_sentences() {
        let codes: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|r| r.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert!(reason.cause().ends_with('.') && reason.remedy().ends_with('.'), "{reason}");
            assert_eq!(reason.code().parse::<Reason>().unwrap(), *reason);
            assert_eq!(serde_json::to_string(reason).unwrap(), format!("\"{reason}\""));
        }
    }
}
