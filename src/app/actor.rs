//! Decides whether somebody may do something.

use crate::store::StoreError;
pub use crate::store::actor::{Actor, Face, Role};

/// Somebody lacks the role that an action needs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{actor} has the role {}, and this needs the role {}: ask an admin for a token with this role", .has.name(), .needs.name())]
pub struct NotAllowed {
    /// Who.
    pub actor: String,
    /// The role that they have.
    pub has: Role,
    /// The role that is needed.
    pub needs: Role,
}

/// Why what a person asks for is not done.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// The person lacks the role.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks that an actor has a role, or one that may do more.
///
/// # Errors
/// When it has not.
pub fn require(actor: &Actor, needs: Role) -> Result<(), NotAllowed> {
    if actor.role >= needs {
        return Ok(());
    }
    Err(NotAllowed { actor: actor.name().to_owned(), has: actor.role, needs })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_may_do_what_the_ones_before_it_may() {
        for has in Role::ALL {
            for needs in Role::ALL {
                let actor = Actor::new("anna", has, Face::Api);
                assert_eq!(require(&actor, needs).is_ok(), has >= needs, "{has:?} {needs:?}");
            }
        }
        let refused = require(&Actor::new("anna", Role::Viewer, Face::Api), Role::Admin).unwrap_err();
        let said = "anna has the role viewer, and this needs the role admin: ask an admin for a token with this role";
        assert_eq!(refused.to_string(), said);
    }
}
