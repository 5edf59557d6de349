//! Decides who may use the API: people and programs with tokens, and tenants with short-lived links.

mod links;
mod repeated;
mod secret;
mod tokens;

pub use self::links::{CreatedLink, LINK_LIFE, LinkError, create_link, links, open_link, revoke_link};
pub use self::repeated::RepeatableRequest;
pub use self::tokens::{
    Caller, CreatedToken, MOST_DAYS, NoEntry, TokenError, TokenInput, TokenName, authenticate, create, list, revoke,
};
pub use crate::store::access::{Answered, BeginRequest, LinkRow, TokenRow};
