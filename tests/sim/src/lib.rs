//! A stand-in for Testmo's REST API, as strict as Testmo is known to be, with faults to order.
//!
//! In reading order: [`Request`], [`Response`] and [`Time`] are the values that all parts use; [`model`] is the content
//! of an account; `api` answers from it; [`faults`] changes the answers; [`world`] combines these per account, with a
//! record of every request; [`server`] is the only part that uses sockets, tasks and a clock.
//!
//! Invariant: outside of [`server`] there is no I/O, no clock and no randomness. Invariant: a refused request changes
//! nothing.

mod api;
pub mod faults;
pub mod model;
mod request;
mod response;
pub mod server;
mod time;
pub mod world;

pub use api::Route;
pub use request::{Body, Method, Request};
pub use response::Response;
pub use server::{AccountHandle, Server};
pub use time::Time;
