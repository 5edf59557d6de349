//! Defines a project.

use super::users::{Role, User};
use crate::time::Time;

/// A project with one case repository, whose `repo_id` equals the project's id.
#[derive(Clone, Debug)]
pub struct Project {
    /// The project's id.
    pub id: u64,
    /// The name people see.
    pub name: String,
    /// Whether people closed the project; it can still be read.
    pub is_completed: bool,
    /// The users who see the project; `None` means everybody.
    pub users: Option<Vec<u64>>,
    /// When the project was created.
    pub created_at: Time,
}

impl Project {
    /// Returns whether this user sees the project; administrators see all.
    pub fn is_open_to(&self, user: &User) -> bool {
        let is_listed = self.users.as_ref().is_none_or(|users| users.contains(&user.id));
        is_listed || user.role == Role::Admin
    }
}
