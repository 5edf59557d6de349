//! Carries batches of generated test cases from RabbitMQ into Testmo: nothing lost, nothing twice.
//!
//! The modules in reading order:
//!
//! | module | question |
//! | --- | --- |
//! | [`batch`] | the core: what is a batch, how is it rendered, and what follows each end of a call? |
//! | [`account`] | what may be sent to an account now? |
//! | [`lane`] | whose turn is it? |
//! | [`worker`] | the shell: in which order do the steps happen? |
//! | [`store`] | what is kept across crashes? |
//! | [`testmo`] | how is Testmo spoken to? |
//! | [`tenants`] | how is each tenant's Testmo reached, and how are keys kept? |
//! | [`amqp`] | how do messages come from and go to RabbitMQ? |
//! | [`app`] | the use cases: what people may ask for and change |
//! | [`contract`] | what may generators and readers of events rely on? |
//! | [`http`] | serves a running worker's metrics and readiness |
//! | [`config`], [`metrics`], [`telemetry`], [`clock`] | how is it set up, watched and heard; what time is it? |
//! | [`guard`] | keeps a panic inside the unit of work in which it happened |
//!
//! Invariants, each with its place: nothing is acknowledged before it is stored ([`worker`]); a record is changed
//! only where its epoch is the one that the change started from ([`store`]); after an unclear end nothing is sent
//! again before Testmo was looked at ([`batch`]); a key goes only to the origin it was entered for ([`testmo`]).
//! Decisions are functions on values, without a clock, a network or a random number.

pub mod account;
pub mod amqp;
pub mod app;
pub mod batch;
pub mod clock;
pub mod config;
pub mod contract;
pub mod guard;
pub mod http;
pub mod lane;
pub mod metrics;
pub mod store;
pub mod telemetry;
pub mod tenants;
pub mod testmo;
pub mod worker;
