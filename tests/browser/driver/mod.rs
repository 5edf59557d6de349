//! Drives a Chromium that has a new, empty profile, and ends with the test.

mod axe;
mod process;
mod protocol;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use self::process::Process;
use self::protocol::DevTools;

/// How Chromium is started: as root, without a display, and without any request of its own.
const ARGUMENTS: [&str; 10] = [
    "--headless",
    "--hide-scrollbars",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// Every other host than this machine's is one of a test, and is on this machine, too.
const HOSTS: &str = "--host-resolver-rules=MAP *.example 127.0.0.1, MAP *.example.com 127.0.0.1";

/// A browser.
pub(crate) struct Chromium {
    pub(crate) client: Client,
    process: Process,
}

/// How a page is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Screen {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) is_dark: bool,
}

impl Chromium {
    /// Starts a browser that keeps no cookie of a page in another one's frame.
    pub(crate) async fn start() -> Self {
        let process = tokio::task::block_in_place(Process::start);
        let profile = format!("--user-data-dir={}", process.folder.path().join("profile").display());
        let arguments: Vec<&str> = ARGUMENTS.into_iter().chain([HOSTS, profile.as_str()]).collect();
        let preferences = json!({"profile.block_third_party_cookies": true, "profile.cookie_controls_mode": 1});
        let wanted = json!({
            "acceptInsecureCerts": true,
            "unhandledPromptBehavior": "accept",
            "goog:chromeOptions": {"binary": "/usr/bin/chromium", "args": arguments, "prefs": preferences},
        });
        let wanted = wanted.as_object().expect("an object").clone();
        let driver = format!("http://127.0.0.1:{}", process.port);
        let client = ClientBuilder::new(HttpConnector::new()).capabilities(wanted).connect(&driver).await;
        Self { client: client.expect("a browser"), process }
    }

    /// Has pages run no script from now on.
    pub(crate) async fn without_scripts(self) -> Self {
        self.command("Emulation.setScriptExecutionDisabled", &json!({"value": true})).await;
        self
    }

    /// Shows pages on another screen from now on.
    pub(crate) async fn show_on(&self, screen: Screen) {
        let Screen { width, height, is_dark } = screen;
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.command("Emulation.setDeviceMetricsOverride", &size).await;
        let scheme = if is_dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.command("Emulation.setEmulatedMedia", &media).await;
    }

    /// Returns a picture of what the screen shows, as PNG.
    pub(crate) async fn picture(&self) -> Vec<u8> {
        let shown = self.command("Page.captureScreenshot", &json!({"format": "png"})).await;
        STANDARD.decode(shown["data"].as_str().expect("a picture")).expect("a picture in base64")
    }

    /// Sends a command of the DevTools protocol.
    pub(crate) async fn command(&self, command: &str, parameters: &Value) -> Value {
        let answer = self.client.issue_cmd(DevTools::new(command, parameters)).await;
        answer.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Opens an address.
    pub(crate) async fn open(&self, address: &str) {
        self.client.goto(address).await.unwrap_or_else(|error| panic!("{address}: {error}"));
    }

    /// Returns the value of an expression in the page.
    pub(crate) async fn value(&self, expression: &str) -> Value {
        let value = self.client.execute(&format!("return {expression};"), vec![]).await;
        value.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// Ends the browser.
    pub(crate) async fn end(self) {
        self.client.close().await.expect("an end of the session");
        tokio::task::block_in_place(|| drop(self.process));
    }
}
