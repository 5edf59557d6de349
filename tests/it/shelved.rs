//! Checks what becomes of each batch that does not arrive, and that it is retried: one test for each row of the outcome table.

mod connections;
mod messages;
mod refusals;
mod retries;
