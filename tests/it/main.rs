//! Runs the integration tests: one binary, a real RabbitMQ, real HTTP; only Testmo is a stand-in.

mod amqp;
mod api;
mod audited;
mod backed_up;
mod bound_tenants;
mod bounds;
mod case_folders;
mod cli;
mod cli_broker;
mod compared;
mod compressed;
mod console;
mod contract;
#[cfg(debug_assertions)]
mod crashes;
#[cfg(debug_assertions)]
mod crashes_faulty;
mod deliver;
mod deployed;
mod descriptors;
mod doctor;
mod earlier_store;
mod edited;
mod encrypted;
mod endless;
mod ends;
mod evening;
mod examples;
mod exported;
mod faces;
mod folders;
mod fuzzed;
mod generations;
mod hardship;
mod headers;
mod history;
mod hostile;
mod lanes;
mod large;
mod late;
mod layering;
mod locked;
mod objectives;
mod own_rows;
mod pages;
#[cfg(debug_assertions)]
mod panics;
mod permissions;
mod permits;
mod poison;
mod project_fields;
mod proxy;
mod refused_values;
mod reloaded;
#[cfg(debug_assertions)]
mod remedies;
mod rendered;
mod repeated;
mod replay;
mod replays;
mod replicas;
#[cfg(debug_assertions)]
mod restarts;
mod restored;
mod rotated;
#[cfg(debug_assertions)]
mod runbooks;
mod shelved;
mod side_by_side;
mod statuses;
mod stopping;
mod store_files;
mod support;
mod tenant_files;
mod threats;
mod traces;
mod twice;
mod typed_fields;
mod unbound;
mod unclear;
mod undone;
mod unreadable;
mod watching;
mod worker;
