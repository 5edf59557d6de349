//! Serves the API and the console on one address: `admin.listen`.

pub(in crate::http) mod carry_out;
pub(in crate::http) mod hosts;
pub(in crate::http) mod list_place;
pub(in crate::http) mod named;
pub(in crate::http) mod problem;
mod problem_of;
mod problem_of_remedies;
pub(in crate::http) mod scope;
mod serve;
pub(in crate::http) mod shared;

pub use self::serve::{FILES, serve};
