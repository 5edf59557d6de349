//! Says what a tenant has done with fields that people have edited.

use serde::{Deserialize, Serialize};

/// What becomes of fields that a person has edited and the generator changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edits {
    /// They stay.
    #[default]
    Keep,
    /// The generator's content replaces them.
    Overwrite,
}

impl Edits {
    /// Returns whether this is what happens where nothing is said.
    pub fn is_default(&self) -> bool {
        *self == Self::Keep
    }
}
