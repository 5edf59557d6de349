//! Provides the shared parts of tests: servers, processes, stages, batches and waits.

pub(crate) mod batches;
pub(crate) mod broker;
pub(crate) mod collector;
pub(crate) mod excerpt;
pub(crate) mod pooler;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod script;
pub(crate) mod stage;
pub(crate) mod store_copy;
pub(crate) mod tls_front;
pub(crate) mod waiting;
pub(crate) mod wire;
