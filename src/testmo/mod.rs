//! Calls Testmo's API, which no other module does: vets addresses, makes requests and classifies answers.
//!
//! Invariant: a key goes only to the origin that it was entered for, over a connection to a vetted address.

pub mod address;
mod bounded;
mod call_span;
mod calls;
mod case_list;
mod classify;
mod client;
mod connection;
mod dialer;
mod echo;
mod greeting;
mod http;
mod listed;
mod metered;
mod order;
mod pages;
mod pool;
mod probe;
mod project_cases;
mod proxy;
mod refusal;
mod resolver;
mod shown_cases;
mod sockets;
mod tls_trouble;
mod transport;
mod typed_address;
mod update;
mod wire;

pub use address::{AddressPolicy, AddressRefused, Origin};
pub use calls::{CreatedFolder, Past, is_folder_id};
pub use case_list::CaseList;
pub use classify::Answer;
pub use client::{Client, NoClient};
pub use greeting::{Greeting, greeting};
pub use order::{CHANGED_LAST_FIRST, CasesOf, NEWEST_FIRST};
pub use pages::{AnyNumber, ReadError, ReadPermits};
pub use probe::{SeenField, Written};
pub use shown_cases::{ShownCase, ShownPage, Shows};
pub use transport::{Access, Call, Method, Transport};
pub use typed_address::{TypedAddress, unquoted, without_credentials};
pub use update::{MOST_UPDATED, WINDOW, update_body};
pub use wire::{CasePage, Folder};
