//! Answers a request as Testmo does.
//!
//! Routes and verbs come first, then the key, then the rights, then validation; nothing changes before the whole
//! request has been checked.

mod answer;
mod case_changes;
mod case_checks;
mod case_filter;
mod case_list;
mod case_row;
mod checks;
mod custom_checks;
mod expands;
mod folder_list;
mod folder_writes;
mod lookups;
mod new_cases;
mod page;
mod projects;
mod refusal;
mod route;

pub use route::Route;

#[cfg(test)]
mod tests;
