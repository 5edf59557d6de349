//! Says what a tenant has done with cases that a later generation does not have any more.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What is done with cases that a later generation does not have any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dropped {
    /// They stay.
    #[default]
    Leave,
    /// Those that nobody has touched get another state, or go to another folder.
    Retire,
    /// Those that nobody has touched or used are deleted.
    Delete,
}

/// What is done with them, with the state and the folder by their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// They stay.
    Leave,
    /// They get this state, and go to this folder.
    Retire {
        /// The id of the state; `None` leaves the state.
        state: Option<u64>,
        /// The id of the folder; `None` leaves them where they are.
        folder: Option<u64>,
    },
    /// They are deleted.
    Delete,
}

impl Dropped {
    /// Returns whether this is what happens where nothing is said.
    pub fn is_default(&self) -> bool {
        *self == Self::Leave
    }
}

impl Removal {
    /// Returns the columns by which cases are retired.
    pub fn columns(self) -> Vec<&'static str> {
        let Self::Retire { state, folder } = self else { return Vec::new() };
        let columns = [state.map(|_| "state_id"), folder.map(|_| "folder_id")];
        columns.into_iter().flatten().collect()
    }

    /// Returns the fields of a case that is retired.
    pub(super) fn fields(self) -> Map<String, Value> {
        let Self::Retire { state, folder } = self else { return Map::new() };
        let fields = [("state_id", state), ("folder_id", folder)];
        fields.into_iter().filter_map(|(column, id)| Some((column.to_owned(), id?.into()))).collect()
    }
}
