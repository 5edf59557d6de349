//! Turns the errors of use cases into failures, with the commands and options that help.

use testmo_courier::app::TenantId;
use testmo_courier::app::access::TokenError;
use testmo_courier::app::actor::{ActionError, NotAllowed};
use testmo_courier::app::audit::AuditError;
use testmo_courier::app::batches::BatchError;
use testmo_courier::app::batches::compare::CompareError;
use testmo_courier::app::connections::probe::ProbeError;
use testmo_courier::app::connections::remove::RemoveError;
use testmo_courier::app::connections::set::{KeyNeeded, Part, SetError};
use testmo_courier::app::connections::{ConnectionError, KeptInFile};
use testmo_courier::app::find::{FindError, NotANeedle};
use testmo_courier::app::init::InitError;
use testmo_courier::app::lanes::LaneError;
use testmo_courier::app::messages::preview::PreviewError;
use testmo_courier::app::plural::counted;
use testmo_courier::app::restore::RestoreError;
use testmo_courier::app::topology::TopologyError;
use testmo_courier::app::undo::UndoError;

use super::super::output::visible;
use super::{Failure, Words};

impl From<NotAllowed> for Failure {
    fn from(error: NotAllowed) -> Self {
        Self::Finding(Words::split(error))
    }
}

impl From<ActionError> for Failure {
    fn from(error: ActionError) -> Self {
        match error {
            ActionError::NotAllowed(error) => error.into(),
            ActionError::Store(error) => error.into(),
        }
    }
}

impl From<AuditError> for Failure {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::NoEntry(_) => {
                Self::finding(error, "it may be older than store.audit_retention; list again without --after")
            }
            AuditError::NoTenant => Self::usage(error, "write the batch as TENANT/BATCH"),
            AuditError::Store(error) => error.into(),
        }
    }
}

impl From<ConnectionError> for Failure {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::NoConnection { ref meant, .. } => {
                let remedy = "`testmo-courier tenants list` shows all connections; `tenants set` adds one";
                let remedy = format!("{}{remedy}", did_you_mean(meant.as_ref()));
                Self::finding(error, remedy)
            }
            ConnectionError::Store(error) => error.into(),
        }
    }
}

impl From<KeptInFile> for Failure {
    fn from(error: KeptInFile) -> Self {
        let remedy = error.remedy;
        Self::finding(error, remedy)
    }
}

impl From<SetError> for Failure {
    fn from(error: SetError) -> Self {
        match error {
            SetError::Incomplete { tenant, parts, named, meant } => Self::usage(
                format!(
                    "{tenant} is new and lacks {}",
                    parts.iter().copied().map(option).collect::<Vec<_>>().join(", ")
                ),
                format!("{}{}", did_you_mean(meant.as_ref()), lacking(&parts, named)),
            ),
            SetError::Address { base_url, refused } => {
                Self::usage(format!("{} is not allowed", visible(&base_url)), refused)
            }
            SetError::Expired(_) => {
                Self::usage(error, "set the day on which the key expires with --expires YYYY-MM-DD, or use --no-expiry")
            }
            SetError::KeptKey(why) => {
                Self::finding(why, "enter the key with --new-api-key, --api-key-stdin or --api-key-file FILE")
            }
            SetError::KeyNeeded(needed) => needed.into(),
            SetError::Changed(ref tenant) => {
                let check = format!(
                    "check the connection with `testmo-courier tenants show {tenant}`, then run the command again"
                );
                Self::finding(error, check)
            }
            SetError::KeptInFile(error) => error.into(),
            SetError::NotAllowed(error) => error.into(),
            SetError::Key(error) => error.into(),
            SetError::Client(error) => error.into(),
            SetError::Store(error) => error.into(),
        }
    }
}

/// Asks whether a tenant was meant; empty if no name is similar.
fn did_you_mean(meant: Option<&TenantId>) -> String {
    meant.map(|tenant| format!("Did you mean `{tenant}`? ")).unwrap_or_default()
}

/// Says which options to add, with the ids that the address names.
fn lacking(parts: &[Part], (project, folder): (Option<u64>, Option<u64>)) -> String {
    let named = [(Part::Project, project), (Part::Folder, folder)];
    let named = named.into_iter().filter(|(part, _)| parts.contains(part));
    let offered: Vec<String> = named.filter_map(|(part, id)| Some(format!("{} {}", option(part), id?))).collect();
    if offered.is_empty() {
        return "add these options: Testmo shows the ids of project and folder in the address of the repository page"
            .into();
    }
    format!("the address names an id: if it is the right one, add {}", offered.join(" "))
}

/// Returns the option by which a part of a connection is entered.
pub(crate) fn option(part: Part) -> &'static str {
    match part {
        Part::BaseUrl => "--base-url",
        Part::Project => "--project",
        Part::Folder => "--folder",
        Part::ApiKey => "--new-api-key",
        Part::Expiry => "--expires",
        Part::Mapping => "--mapping",
    }
}

impl From<KeyNeeded> for Failure {
    fn from(needed: KeyNeeded) -> Self {
        Self::usage(needed, "use --api-key-stdin or --api-key-file FILE, or enter the key on a terminal")
    }
}

impl From<ProbeError> for Failure {
    fn from(error: ProbeError) -> Self {
        match error {
            ProbeError::Connection(error) => error.into(),
            ProbeError::NoFolder { .. } => Self::finding(
                error,
                "use the id of a folder of this project: Testmo shows it in the address of the repository page",
            ),
            ProbeError::NoAccess { ref tenant, .. } => {
                let verify = format!("correct it with `testmo-courier tenants verify {tenant}`");
                Self::finding(error, verify)
            }
            ProbeError::Folders(_) => Self::finding(error, "try again later; `testmo-courier lanes` shows pauses"),
            ProbeError::NotAllowed(error) => error.into(),
            ProbeError::Client(error) => error.into(),
            ProbeError::Store(error) => error.into(),
        }
    }
}

impl From<RemoveError> for Failure {
    fn from(error: RemoveError) -> Self {
        match error {
            RemoveError::Connection(error) => error.into(),
            RemoveError::NotFinished { .. } => Self::finding(
                error,
                "stop publishing for this tenant, wait until the batches above are finished or on the shelf, then run the \
                 command again",
            ),
            RemoveError::HasShelved { ref tenant, .. } => {
                let see = format!("`testmo-courier shelf list --tenant {tenant}` shows them; --purge discards them");
                Self::finding(error, see)
            }
            RemoveError::Cancelled => Self::finding(error, "Type yes, or add --yes, to go on."),
            RemoveError::Changed { ref tenant, .. } => {
                let check = format!(
                    "check the tenant with `testmo-courier shelf list --tenant {tenant}` and `testmo-courier tenants show \
                     {tenant}`, then run the command again"
                );
                Self::finding(error, check)
            }
            RemoveError::KeptInFile(error) => error.into(),
            RemoveError::NotAllowed(error) => error.into(),
            RemoveError::Store(error) => error.into(),
        }
    }
}

impl From<BatchError> for Failure {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Unknown(_) => Self::finding(
                error,
                "check the ids with `testmo-courier batches list`, and whether the broker confirmed the message to \
                 its publisher",
            ),
            BatchError::Store(error) => error.into(),
        }
    }
}

impl From<FindError> for Failure {
    fn from(error: FindError) -> Self {
        match error {
            FindError::Text(NotANeedle::NothingToFind) => {
                Self::usage(error, "give an id, a name, a key, a tag, or a link into Testmo")
            }
            FindError::Text(NotANeedle::NoCase) => Self::usage(
                error,
                "open the case in Testmo and copy the address from there, such as \
                 https://acme.testmo.net/repositories/3?group_id=428&case_id=3721",
            ),
            FindError::Text(NotANeedle::TooLong) => {
                Self::usage(error, "give a part of one value, such as a case's name")
            }
            FindError::Store(error) => error.into(),
        }
    }
}

impl From<CompareError> for Failure {
    fn from(error: CompareError) -> Self {
        match error {
            CompareError::Connection(error) => error.into(),
            CompareError::NoAccess { ref tenant, .. } => {
                let verify = format!("run `testmo-courier tenants verify {tenant}`");
                Self::finding(error, verify)
            }
            CompareError::Nothing(_) => Self::finding(
                error,
                "check the ids with `testmo-courier batches list`; a batch of which no case was sent is on the shelf",
            ),
            CompareError::Paused(_) => Self::finding(error, "try again later; `testmo-courier lanes` shows pauses"),
            CompareError::Failed(_) | CompareError::Refused | CompareError::Endless => {
                Self::finding(error, "try again later, and check the connection with `testmo-courier tenants verify`")
            }
            CompareError::Client(error) => error.into(),
            CompareError::Store(error) => error.into(),
        }
    }
}

impl From<UndoError> for Failure {
    fn from(error: UndoError) -> Self {
        match error {
            UndoError::NotAllowed(error) => error.into(),
            UndoError::NoReason => Self::usage(
                "Nothing was changed: a reason is needed.",
                "Say why with --because TEXT; the audit keeps it.",
            ),
            UndoError::Connection(error) => error.into(),
            UndoError::NoAccess { ref tenant, .. } => {
                let verify = format!("run `testmo-courier tenants verify {tenant}`");
                Self::finding(error, verify)
            }
            UndoError::NoBatch(_) | UndoError::Pruned(_) => {
                Self::finding(error, "check the id with `testmo-courier batches list`")
            }
            UndoError::NotFinished(ref key) => {
                let discard = format!("wait for its outcome, or give it up with `testmo-courier shelf discard {key}`");
                Self::finding(error, discard)
            }
            UndoError::LateRows(_) => Self::finding(
                error,
                "a running worker makes the check testmo.late_duplicate_check_delay after the delivery: try again then",
            ),
            UndoError::Nothing(ref key) => {
                let show = format!("`testmo-courier batches show {key}` shows what became of it");
                Self::finding(error, show)
            }
            UndoError::Begun { begun, ref key } => {
                let again = format!("run `testmo-courier batches {begun} {key}` again");
                Self::finding(error, again)
            }
            UndoError::UnderWay { .. } => Self::finding(error, "try again then"),
            UndoError::SourceBusy(_) => Self::finding(error, "`testmo-courier batches list` shows when it is finished"),
            UndoError::Paused(_) => Self::finding(error, "try again later; `testmo-courier lanes` shows pauses"),
            UndoError::Failed(_) | UndoError::Endless => {
                Self::finding(error, "try again later, and check the connection with `testmo-courier tenants verify`")
            }
            UndoError::Changed => Self::finding(error, "run the command again: it plans again by what is there now"),
            UndoError::Client(error) => error.into(),
            UndoError::Store(error) => error.into(),
        }
    }
}

impl From<RestoreError> for Failure {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::Future { .. } => Self::usage(error, "give the time at which the copy was made"),
            RestoreError::TooEarly { .. } => Self::usage(
                error,
                "give the time at which the copy was made; where it is not known, the time that the store knows of, or a \
                 later one, is right",
            ),
            RestoreError::Over { .. } => {
                Self::usage(error, "give a time until which batches may be published again, or leave --until out")
            }
            RestoreError::NotAllowed(error) => error.into(),
            RestoreError::Store(error) => error.into(),
        }
    }
}

impl From<InitError> for Failure {
    fn from(error: InitError) -> Self {
        match error {
            InitError::NoFolder { setting, .. } => Self::usage(error, format!("create the folder, or check {setting}")),
            InitError::NoStore { .. } => Self::usage(
                error,
                "Put the store back, or restore the latest copy. If there never was one, or it is lost, `init --new-store` \
                 creates an empty store: what is published again is then created again, and every connection has to be \
                 entered again.",
            ),
            InitError::AnotherInit => Self::finding(
                error,
                "Copy the master key from the machine where the other `init` ran; the new key of this one was removed unused.",
            ),
            InitError::NoMasterKey { is_needed: false, .. } => Self::usage(
                error,
                "restore the master key file; if it is lost, set up an empty store: this one contains no connections",
            ),
            InitError::NoMasterKey { is_needed: true, .. } => Self::usage(
                error,
                "restore the master key file from your copy; without it every API key has to be entered again into \
                 a new store",
            ),
            InitError::Open(error) => error.into(),
        }
    }
}

impl From<PreviewError> for Failure {
    fn from(error: PreviewError) -> Self {
        match error {
            PreviewError::NamesUnknown(ref tenant)
            | PreviewError::NoAccess { ref tenant, .. }
            | PreviewError::Folders { ref tenant, .. }
            | PreviewError::Cases { ref tenant, .. } => {
                let verify = format!("run `testmo-courier tenants verify {tenant}`");
                Self::finding(error, verify)
            }
            PreviewError::Paused { seconds } => Self::finding(error, format!("try again in {seconds} s")),
            PreviewError::NoSuchCase { cases } => Self::usage(
                format!("the batch has {}", counted(cases, "case", "cases")),
                format!("set --case to a number from 1 to {cases}"),
            ),
            PreviewError::Client(error) => error.into(),
            PreviewError::Store(error) => error.into(),
        }
    }
}

impl From<LaneError> for Failure {
    fn from(error: LaneError) -> Self {
        match error {
            LaneError::Address(_) => Self::usage(error, "use the base URL of the account"),
            LaneError::NotATenant(_) => Self::usage(error, "use a tenant or a base URL"),
            LaneError::Unknown { ref meant, .. } => {
                let remedy = format!("{}`testmo-courier tenants list` shows all tenants", did_you_mean(meant.as_ref()));
                Self::finding(error, remedy)
            }
            LaneError::NotAllowed(error) => error.into(),
            LaneError::Store(error) => error.into(),
        }
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::NameTaken(_) => Self::finding(error, "use another name: a name is never used again"),
            TokenError::Days => Self::usage(error, "use --expires with a number of days"),
            TokenError::Unknown(_) => Self::finding(error, "`testmo-courier tokens list` shows all tokens"),
            TokenError::Store(error) => error.into(),
        }
    }
}

impl From<TopologyError> for Failure {
    fn from(error: TopologyError) -> Self {
        match error {
            TopologyError::Connect(error) => error.into(),
            TopologyError::Call(error) => error.into(),
        }
    }
}
