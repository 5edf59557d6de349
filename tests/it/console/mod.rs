//! The console over HTTP, as browsers without scripts use it, on both stores.

mod access;
mod browser;
mod corrected;
mod first_page;
mod hostile;
mod hostile_testmo;
mod sessions;
mod tenant_changes;
mod tenants;
mod trend;
