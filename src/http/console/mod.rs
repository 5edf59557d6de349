//! Serves the use cases as pages for support, operators and tenants.
//!
//! Invariants: a page exists because the table has it (`table.rs`), which also says who may open it; no page decides anything but
//! how a thing looks; every text from outside reaches a page through `escape.rs`.

mod answer;
mod assets;
mod attempts;
mod audit;
mod batch;
mod batches;
mod candidates;
mod cause;
mod changes;
mod compare;
mod connection;
mod connection_form;
mod cookies;
mod discard;
mod discarded;
mod edit;
mod entries;
mod entry;
mod entry_lines;
mod escape;
mod failures;
mod fields;
mod filters;
mod frame;
mod gate;
mod lanes;
mod link_page;
mod log_in;
mod mapping;
mod message;
mod moment;
mod notice;
mod once;
mod origin;
mod place;
mod plot;
mod probe;
mod proxy;
mod remarks;
mod removal;
mod replay;
mod replays;
mod route;
mod router;
mod search;
mod selection;
mod set;
mod short;
mod start;
mod state;
mod steps;
mod table;
mod tenant;
mod tenant_links;
mod tenants;
mod tokens;
mod undo;
mod visit;
mod within;

pub(in crate::http) use self::router::router;
pub use self::table::{PageSummary, page_summaries};
