//! Serves the use cases as a JSON API.
//!
//! Invariant: a route exists because the table has it (`table.rs`), which also says who may use it; no handler decides about
//! access on its own but for the rows of one tenant.

mod audit;
mod batches;
mod call;
mod candidates;
mod compare;
mod discarded;
mod edit;
mod etag;
mod find;
mod lanes;
mod links;
mod messages;
mod notes;
mod openapi;
mod overview;
mod page;
mod pipeline;
mod probes;
mod query;
mod replays;
mod reply;
mod route;
mod router;
mod selection;
mod shelf;
mod shelf_changes;
mod state;
mod table;
mod tenant_changes;
mod tenants;
mod tokens;
mod undo;

pub use self::openapi::openapi;
pub(in crate::http) use self::router::{router, unknown};
pub use self::table::{RouteSummary, route_summaries};
