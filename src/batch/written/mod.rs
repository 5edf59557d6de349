//! Holds what is remembered of a case that was written into Testmo, so that the case and a person's edits of it are
//! recognized later.

mod canonical;
mod fields;
#[cfg(test)]
pub(crate) mod fixture;
mod identity;
mod markup;
mod of_record;
mod source_name;
mod updated;

pub use self::canonical::{is_nothing, is_same};
pub use self::fields::{Since, WrittenFields};
pub use self::identity::{BatchMark, CaseIdentity, SourceId};
pub use self::of_record::identities_of;
pub use self::source_name::source_name;
pub use self::updated::Update;

/// A case that was written into Testmo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenCase {
    /// By what the case is recognized.
    pub identity: CaseIdentity,
    /// The id of the case in Testmo.
    pub testmo_id: u64,
    /// The id of the folder that the case was created in.
    pub folder: u64,
    /// The batch that wrote the case.
    pub batch: BatchMark,
    /// The content of each field.
    pub fields: WrittenFields,
}
