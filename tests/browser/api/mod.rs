//! The API and the console of a stage, as the integration tests serve them.

#[path = "../../it/api/support.rs"]
pub(crate) mod support;
