//! Defines the formats in which generators write texts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The format of the texts of a case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TextFormat {
    /// Plain text: its lines, blanks and markup are shown as they were written.
    #[default]
    Plain,
    /// Markdown: CommonMark with tables, task lists and strikethrough.
    Markdown,
}

impl TextFormat {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Markdown];

    /// Returns the name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Markdown => "markdown",
        }
    }
}
