//! The values in which connections are entered, verified and read.

use super::probe::Probe;
use super::seen::Seen;
use crate::batch::render::kinds::FieldKinds;
use crate::batch::render::mapping::Mapping;
use crate::batch::render::mapping_spec::MappingSpec;
use crate::batch::verdict::reason::Class;
use crate::batch::verdict::{is_seen_only_by_creating, reverify_after};
use crate::batch::{Reason, TenantId};

/// A connection as it is stored.
#[derive(Clone, Debug)]
pub struct ConnectionRow {
    /// Whose it is.
    pub tenant: TenantId,
    /// A hash of its content.
    pub version: String,
    /// The canonical origin, which is also the account.
    pub origin: String,
    /// The encrypted key.
    pub key: SealedKey,
    /// The day on which the key expires, as `YYYY-MM-DD`.
    pub expires_on: Option<String>,
    /// The project.
    pub project: u64,
    /// The folder.
    pub folder: u64,
    /// How cases become Testmo's, as it was written.
    pub mapping: MappingSpec,
    /// The same by ids and columns, once the names in it are known.
    pub resolved: Option<Mapping>,
    /// The custom fields that its project was seen to have.
    pub fields: FieldKinds,
    /// The version that was last seen to work.
    pub verified_version: Option<String>,
    /// When that was, in milliseconds on the store's clock.
    pub verified_at: Option<i64>,
    /// When it was last verified, likewise.
    pub checked_at: Option<i64>,
    /// The result of that verification.
    pub finding: Option<Verification>,
    /// What verifications saw that this result does not show.
    pub seen: Seen,
    /// When a case last arrived, likewise.
    pub last_success_at: Option<i64>,
    /// What the last request of a batch was refused with, if verifying cannot show that this has passed. It is kept until a
    /// case arrives.
    pub refusal: Option<Refusal>,
    /// What was entered since, while this connection was verified, and does not work yet.
    pub successor: Option<Box<Successor>>,
    /// What a person's probes found.
    pub probe: Option<Box<Probe>>,
    /// The file that what was entered last was taken from; none if a person has entered it.
    pub source: Option<FileSource>,
    /// Counts the changes of the row; 0 for a connection that is not stored yet. Four notes do not count, as nobody
    /// writes back what was read of them, or another note follows that counts: when a case last arrived, what a probe
    /// found, which worker verifies it again, and which fields its project has.
    pub epoch: u64,
}

/// The file of a directory that a connection was taken from.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FileSource {
    /// The name of the file.
    pub file: String,
    /// A hash of what it held, which reveals nothing of the API key.
    pub digest: String,
}

/// Whether a change of a connection was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// It was.
    Done,
    /// Nothing was stored: the connection is not the one any more that the change started from.
    ChangedMeanwhile,
}

impl WriteOutcome {
    /// Whether it was stored.
    pub fn is_done(self) -> bool {
        self == Self::Done
    }
}

/// An encrypted API key.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SealedKey {
    /// The nonce.
    pub nonce: Vec<u8>,
    /// The ciphertext with its tag.
    pub ciphertext: Vec<u8>,
    /// What it is bound to: the tenant and the origin it was entered for.
    pub bound_to: String,
    /// The master key that it is encrypted with, by the word that recognizes it; empty if that is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key_id: String,
}

impl std::fmt::Debug for SealedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealedKey(for {})", self.bound_to)
    }
}

/// The result of verifying a connection.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verification {
    /// It works.
    Works {
        /// The name of the key's user.
        user: String,
        /// The name of the project.
        project: String,
        /// The path of the folder.
        folder: String,
        /// What the mapping sends and the project does not list, a sentence each: Testmo will probably refuse it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        not_there: Vec<String>,
    },
    /// It does not.
    Fails {
        /// Why.
        reason: Reason,
        /// More about it.
        detail: String,
    },
}

/// What was entered while another connection of the tenant was verified. Nothing is sent over it before it is verified, too.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Successor {
    /// The version in force when it was entered. If another one is in force, builds that know no successors have replaced
    /// it, and the successor is outdated.
    pub replaces: String,
    /// A hash of its content.
    pub version: String,
    /// The canonical origin.
    pub origin: String,
    /// The encrypted key.
    pub key: SealedKey,
    /// The day on which the key expires, as `YYYY-MM-DD`.
    pub expires_on: Option<String>,
    /// The project.
    pub project: u64,
    /// The folder.
    pub folder: u64,
    /// How cases become Testmo's, as it was written.
    pub mapping: MappingSpec,
    /// The same by ids and columns, once the names in it are known.
    pub resolved: Option<Mapping>,
    /// When it was last verified, in milliseconds on the store's clock.
    pub checked_at: i64,
    /// The result of that verification.
    pub finding: Verification,
    /// How often it was verified.
    pub checks: u32,
    /// When it is verified again automatically, likewise; never if a person has to correct it.
    pub recheck_at: Option<i64>,
}

impl Successor {
    /// Returns which parts differ from what is in force.
    pub fn differences(&self, in_force: &ConnectionRow) -> Vec<Difference> {
        let shown = |one: String, other: String| (one != other).then_some(Some((one, other)));
        let hidden = |differs: bool| differs.then_some(None);
        let day = |day: &Option<String>| day.clone().unwrap_or_else(|| "not known".into());
        let parts = [
            (Part::BaseUrl, shown(self.origin.clone(), in_force.origin.clone())),
            (Part::Project, shown(self.project.to_string(), in_force.project.to_string())),
            (Part::Folder, shown(self.folder.to_string(), in_force.folder.to_string())),
            (Part::ApiKey, hidden(self.key != in_force.key)),
            (Part::Expiry, shown(day(&self.expires_on), day(&in_force.expires_on))),
            (Part::Mapping, hidden(self.mapping != in_force.mapping)),
        ];
        parts.into_iter().filter_map(|(part, values)| Some(Difference { part, values: values? })).collect()
    }
}

/// A part of a connection that a person enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The address of the Testmo instance.
    BaseUrl,
    /// The project.
    Project,
    /// The folder.
    Folder,
    /// The API key.
    ApiKey,
    /// The day on which the API key expires.
    Expiry,
    /// The mapping.
    Mapping,
}

impl Part {
    /// Returns the words for the part.
    pub fn words(self) -> &'static str {
        match self {
            Self::BaseUrl => "base URL",
            Self::Project => "project",
            Self::Folder => "folder",
            Self::ApiKey => "API key",
            Self::Expiry => "expiration date",
            Self::Mapping => "mapping",
        }
    }
}

/// A part in which what was entered last differs from what is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The part.
    pub part: Part,
    /// What was entered and what is in force, where they can be shown.
    pub values: Option<(String, String)>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.values {
            Some((entered, in_force)) => write!(f, "{} {entered} (in force: {in_force})", self.part.words()),
            None => write!(f, "{}", self.part.words()),
        }
    }
}

/// A request of a batch that Testmo refused, and not because of the batch.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// More about it.
    pub detail: String,
    /// When, in milliseconds on the store's clock.
    pub at: i64,
}

impl Refusal {
    /// Returns what to keep of a request of a batch that failed at `now`, until a case arrives; nothing where verifying
    /// shows just as well whether the cause has passed.
    pub fn of(finding: &Verification, now: i64) -> Option<Self> {
        match finding {
            Verification::Fails { reason, detail } if is_seen_only_by_creating(*reason) => {
                Some(Self { reason: *reason, detail: detail.clone(), at: now })
            }
            Verification::Fails { .. } | Verification::Works { .. } => None,
        }
    }
}

/// How many connections are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionCount {
    /// The day on which their keys expire, as `YYYY-MM-DD`.
    pub expires_on: Option<String>,
    /// Whether they may be used.
    pub verified: bool,
    /// How many.
    pub count: i64,
}

impl ConnectionRow {
    /// Returns the connection with the result of a verification at `now`, in milliseconds on the store's clock.
    pub fn judged(self, finding: Verification, now: i64) -> Self {
        let works = matches!(finding, Verification::Works { .. });
        Self {
            verified_version: works.then(|| self.version.clone()),
            verified_at: works.then_some(now),
            checked_at: Some(now),
            seen: Seen { names: self.seen.names.filter(|_| !works), interruption: None },
            finding: Some(finding),
            ..self
        }
    }

    /// Returns whether this mapping has been in force for this project of an account. What the project's lists then lack is
    /// only reported: lists may be incomplete, and Testmo itself refuses what it does not take.
    pub fn has_worked_with(&self, origin: &str, project: u64, mapping: &MappingSpec) -> bool {
        self.verified_at.is_some() && self.origin == origin && self.project == project && self.mapping == *mapping
    }

    /// Whether it may be used: its present content was seen to work.
    pub fn is_verified(&self) -> bool {
        self.verified_version.as_deref() == Some(self.version.as_str())
    }

    /// Returns what probes found about this version.
    pub fn probed(&self) -> Option<&Probe> {
        self.probe.as_deref().filter(|probe| probe.version == self.version)
    }

    /// Whether both were entered with the same values; what the program notes itself does not count.
    pub fn is_entered_as(&self, other: &Self) -> bool {
        let entered = |row: &Self| (row.origin.clone(), row.expires_on.clone(), row.project, row.folder);
        let successor = |row: &Self| row.successor.as_ref().map(|next| (next.version.clone(), next.expires_on.clone()));
        entered(self) == entered(other)
            && self.key == other.key
            && self.mapping == other.mapping
            && successor(self) == successor(other)
    }

    /// Returns when an automatic verification of its successor is due, in milliseconds on the store's clock.
    pub fn successor_due_at(&self) -> Option<i64> {
        self.successor.as_ref()?.recheck_at
    }

    /// Returns the connection, still verified if only the date of its key has changed and its Testmo was only unavailable.
    pub(super) fn kept_verified(self, before: Option<&Self>, now: i64) -> Self {
        match before {
            Some(before) if before.is_verified() && before.version == self.version && passes(self.finding.as_ref()) => {
                let seen = self.finding.as_ref().map(|finding| before.seen_after(finding, now)).unwrap_or_default();
                let Self { verified_version, verified_at, finding, .. } = before.clone();
                Self { verified_version, verified_at, finding, seen, ..self }
            }
            Some(_) | None => self,
        }
    }
}

/// Whether a verification failed for a reason that is likely to pass, and so says nothing against a connection that worked.
pub(super) fn passes(finding: Option<&Verification>) -> bool {
    match finding {
        Some(Verification::Fails { reason, .. }) => reason.class() == Class::Account || *reason == Reason::WrongHost,
        Some(Verification::Works { .. }) | None => false,
    }
}

/// Returns when a failed connection is verified again automatically, after it was verified `times` times.
pub(super) fn recheck_at(reason: Reason, times: u32, now: i64) -> Option<i64> {
    let wait = reverify_after(reason, times)?;
    Some(now.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
}
