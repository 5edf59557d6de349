//! Holds what is remembered of a case that was written into Testmo, so that the case and a person's edits of it are
//! recognized later.

mod canonical;
mod fields;
mod identity;

pub use self::fields::{FieldHash, FieldHashes, WrittenFields};
pub use self::identity::{BatchMark, CaseIdentity};

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
    /// The version of the renderer, [`RENDERER_VERSION`](crate::batch::render::RENDERER_VERSION).
    pub renderer: u32,
    /// The content of each field.
    pub fields: WrittenFields,
}
