//! Shows to programs what was found in a message.

use serde::Serialize;

use super::super::messages::{Fault, Message};

/// What was found in a message.
#[derive(Clone, Debug, Serialize)]
pub struct MessageView {
    file: String,
    batch: Option<String>,
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
}

impl MessageView {
    /// Shows a message that was read from a file of this name.
    pub fn of(file: &str, message: &Message) -> Self {
        Self {
            file: file.to_owned(),
            batch: message.key.as_ref().map(ToString::to_string),
            faults: message.faults.clone(),
            warnings: message.warnings.clone(),
        }
    }
}
