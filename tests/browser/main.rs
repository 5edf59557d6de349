//! Tests the console in a real browser: Chromium, driven through its WebDriver. `smoke` is a part of `make test`;
//! `make browser-test` runs all of it.

#[expect(dead_code, reason = "the integration tests use the rest of it")]
mod api;
mod driver;
mod flows;
mod ground;
mod person;
#[expect(dead_code, reason = "the integration tests use the rest of it")]
#[path = "../it/console/browser.rs"]
mod plain;
mod smoke;
#[expect(dead_code, reason = "the integration tests use the rest of it")]
#[path = "../it/support/mod.rs"]
mod support;
mod whole;
