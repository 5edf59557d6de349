//! Defines what is done with cases that an earlier batch wrote into Testmo.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is done with the cases of a batch that an earlier batch of the same source wrote: those with the same `source.key`
/// and `external_id`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnRepeat {
    /// They are created again.
    #[default]
    Create,
    /// What has changed of them is written into the cases that exist; what a person has edited stays.
    Update,
    /// They stay as they are, and only cases that are new are created.
    Skip,
    /// The batch waits for a person.
    Wait,
}

impl OnRepeat {
    /// Every choice.
    pub const ALL: [Self; 4] = [Self::Create, Self::Update, Self::Skip, Self::Wait];

    /// Returns the name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Skip => "skip",
            Self::Wait => "wait",
        }
    }
}
