//! Shows what an edit changes in a message, place by place.

use crate::app::edit::Change;

/// The longest value that is shown, in characters.
const LONGEST: usize = 2_000;

/// A change of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChangeLine {
    pub(super) place: String,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

impl ChangeLine {
    /// Shows a change.
    pub(super) fn of(change: &Change) -> Self {
        let shown = |value: &serde_json::Value| {
            let text = format!("{value:#}");
            match text.char_indices().nth(LONGEST) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text,
            }
        };
        Self {
            place: if change.pointer.is_empty() { "the whole message".into() } else { change.pointer.clone() },
            before: change.before.as_ref().map(shown),
            after: change.after.as_ref().map(shown),
        }
    }
}
