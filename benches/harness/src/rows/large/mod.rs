//! A large store as workers and people leave it, for the rows that ask it.

pub(super) mod names;
pub(super) mod seed;
