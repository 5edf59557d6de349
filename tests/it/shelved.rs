//! Checks the outcome of each batch that does not arrive: one test for each row of the outcome table.

mod blame;
mod connections;
mod messages;
mod refusals;
pub(crate) mod retries;
mod unknown;
