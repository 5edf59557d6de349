//! What is a project?

use super::users::{Role, User};
use crate::time::Time;

/// A project with one case repository, whose `repo_id` equals the project's id.
#[derive(Clone, Debug)]
pub struct Project {
    /// The project's id.
    pub id: u64,
    /// The name people see.
    pub name: String,
    /// Whether people closed it; it can still be read.
    pub is_completed: bool,
    /// Which users see it; none means everybody.
    pub users: Option<Vec<u64>>,
    /// When it was made.
    pub created_at: Time,
}

impl Project {
    /// Whether this user sees the project; administrators see all.
    pub fn is_open_to(&self, user: &User) -> bool {
        let is_listed = self.users.as_ref().is_none_or(|users| users.contains(&user.id));
        is_listed || user.role == Role::Admin
    }
}
