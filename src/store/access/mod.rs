//! Keeps who may use the API: tokens, links for one tenant, and the answers to requests that may be repeated.

mod answers;
mod links;
mod tokens;

pub use self::answers::{Answered, BeginRequest};
pub use self::links::{LinkRow, NewLink};
pub use self::tokens::{NewToken, TokenRow};
