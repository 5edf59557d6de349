//! A command of Chromium's DevTools protocol, as its driver takes one.

use axum::http::Method;
use fantoccini::wd::WebDriverCompatibleCommand;
use serde_json::{Value, json};
use url::{ParseError, Url};

/// A command with its parameters.
#[derive(Debug)]
pub(super) struct DevTools(Value);

impl DevTools {
    pub(super) fn new(command: &str, parameters: &Value) -> Self {
        Self(json!({"cmd": command, "params": parameters}))
    }
}

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base_url: &Url, session_id: Option<&str>) -> Result<Url, ParseError> {
        base_url.join(&format!("session/{}/goog/cdp/execute", session_id.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.0.to_string()))
    }
}
