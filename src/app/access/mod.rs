//! Decides who may use the API and the console: people and programs with tokens, people with sessions, and tenants with
//! short-lived links.

mod links;
mod repeated;
mod secret;
mod sessions;
mod tokens;

pub use self::links::{CreatedLink, LINK_LIFE, LinkError, create_link, links, open_link, revoke_link};
pub use self::repeated::RepeatableRequest;
pub use self::sessions::{LONGEST_IDLE, LONGEST_SESSION, is_open, log_in, log_out, resume};
pub use self::tokens::{
    Caller, CreatedToken, MOST_DAYS, NoEntry, TokenError, TokenInput, TokenName, authenticate, create, list, revoke,
};
pub use crate::store::access::{Answered, BeginRequest, LinkRow, TokenRow};
