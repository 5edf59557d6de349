//! Keeps who may use the API and the console: tokens, sessions, links for one tenant, and the answers to requests that may be
//! repeated.

mod answers;
mod links;
mod sessions;
mod tokens;

pub use self::answers::{Answered, BeginRequest};
pub use self::links::{LinkRow, NewLink};
pub use self::sessions::{NewSession, SessionRow};
pub use self::tokens::{NewToken, TokenRow};
