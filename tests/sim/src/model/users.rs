//! Defines users, and what they may do.

use serde::{Deserialize, Serialize};

/// What a user may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, in every project.
    Admin,
    /// Reads and writes in the projects that are open to the user.
    #[default]
    Write,
    /// Reads in the projects that are open to the user.
    Read,
}

/// A user with at most one working API key.
#[derive(Clone, Debug)]
pub struct User {
    /// The user's id.
    pub id: u64,
    /// The name people see.
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// The API key; `None` after it was revoked.
    pub(crate) token: Option<String>,
}

impl User {
    /// Returns whether the user has a key that is not revoked.
    pub fn has_key(&self) -> bool {
        self.token.is_some()
    }

    /// Returns whether the user may write in projects.
    pub fn may_write(&self) -> bool {
        match self.role {
            Role::Admin | Role::Write => true,
            Role::Read => false,
        }
    }
}
