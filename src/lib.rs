//! Carries batches of generated test cases from RabbitMQ into Testmo: nothing lost, nothing twice.
//!
//! The modules in reading order:
//!
//! | module | responsibility |
//! | --- | --- |
//! | [`batch`] | the core: reads, renders and packs a batch, keeps its record, decides what follows each end of a call |
//! | [`account`] | decides whether a request may be sent to a Testmo account now |
//! | [`lane`] | decides whose turn it is, and what goes into the next request |
//! | [`worker`] | the shell: the only code that knows the order of the steps |
//! | [`store`] | keeps what outlives a crash |
//! | [`testmo`] | calls Testmo's API and reads its answers |
//! | [`tenants`] | resolves and verifies tenants' connections, and seals their keys |
//! | [`amqp`] | consumes from RabbitMQ and publishes to it |
//! | [`replay`] | decides how an entry of the shelf is replayed |
//! | [`app`] | the use cases: what people may ask for and change |
//! | [`contract`] | publishes what generators and readers of events may rely on |
//! | [`http`] | serves a running worker's metrics and readiness, and the use cases as a JSON API |
//! | [`config`], [`metrics`], [`telemetry`], [`clock`] | configuration, metrics, logs, and the time |
//! | [`trace`] | reads and writes the trace context of batches, and says to which of them a request belongs |
//! | [`descriptors`] | raises the limit of open files and shares them out |
//! | [`certificates`] | remembers when the certificates expire that this process was shown |
//! | `tls_fault` | names what keeps a TLS connection to the broker or the store from being established |
//! | `private_file` | keeps files with secrets from other users of the machine |
//! | `shell` | writes arguments of commands that people copy into a shell |
//! | [`guard`], `offload` | keep a panic inside the unit of work in which it happened, and long computations off the threads that others need |
//!
//! Invariants, each with its place: nothing is acknowledged before it is stored ([`worker`]); a record is changed
//! only where its epoch is the one that the change started from ([`store`]); after an unknown outcome nothing is sent
//! again before it is reconciled with Testmo ([`batch`]); a key goes only to the origin it was entered for ([`testmo`]).
//! Decisions are functions on values, without a clock, a network or a random number.

pub mod account;
pub mod amqp;
pub mod app;
pub mod batch;
pub mod certificates;
pub mod clock;
pub mod config;
pub mod contract;
pub mod descriptors;
pub mod guard;
pub mod http;
pub mod lane;
pub mod metrics;
mod offload;
mod private_file;
pub mod replay;
mod shell;
pub mod store;
pub mod telemetry;
pub mod tenants;
pub mod testmo;
mod tls_fault;
pub mod trace;
pub mod worker;

// Test modules that other crates use, too, name this crate as those do.
#[cfg(test)]
extern crate self as testmo_courier;
