//! Enters a connection on the settings page of the examples.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use testmo_courier::app::actor::Role;

use super::support::{Api, exchange};
use crate::support::batches::key_of;
use crate::support::stage::Stage;

/// The running page, which is killed at the end.
struct Page {
    child: Child,
    address: SocketAddr,
}

impl Page {
    fn start(api: &Api, token: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/integrations-page/integrations_page.py");
        let mut command = Command::new("python3");
        command.arg(script).arg("0").env("COURIER_API", format!("http://{}", api.address));
        command.env("COURIER_TOKEN", token).env("TENANT", "acme").env("no_proxy", "*");
        let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().expect("python3");
        let mut line = String::new();
        let output = child.stdout.take().expect("its output");
        tokio::task::block_in_place(|| BufReader::new(output).read_line(&mut line)).expect("its address");
        let address = line.trim().trim_start_matches("http://").parse().expect("an address");
        Self { child, address }
    }

    fn show(&self) -> String {
        let request = format!("GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        exchange(self.address, &request).is(200).as_str().expect("a page").to_owned()
    }

    fn save(&self, fields: &str, site: &str) -> u16 {
        let head = "Content-Type: application/x-www-form-urlencoded\r\nConnection: close";
        let (address, length) = (self.address, fields.len());
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {address}\r\n{head}\r\nSec-Fetch-Site: {site}\r\nContent-Length: {length}\r\n\r\n{fields}"
        );
        exchange(self.address, &request).status
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Returns the value of a field of the page.
fn field(page: &str, name: &str) -> String {
    let input = page.split("<input").find(|input| input.contains(&format!("name=\"{name}\""))).expect("a field");
    input.split("value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().replace("&quot;", "\"")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_page_goes_from_grey_to_green_and_never_shows_the_key() {
    let api = Api::of(Stage::with_tenants(&["birch"]).await).await;
    let page = Page::start(&api, &api.token("page", Role::Admin, Some("acme")).await);
    assert!(page.show().contains("grey: No connection to Testmo has been entered yet."));
    let origin = api.stage.testmo.origin("birch").replace(':', "%3A").replace('/', "%2F");
    let fields = |folder: u32, key: &str, state: &str| {
        let state = state.replace('"', "%22");
        format!("api_key={key}&api_key_expires_on=&base_url={origin}&project_id=1&folder_id={folder}&state={state}")
    };
    assert_eq!(page.save(&fields(1, &key_of("birch"), ""), "cross-site"), 403);
    assert!(page.show().contains("grey"));
    assert_eq!(page.save(&fields(1, &key_of("birch"), ""), "same-origin"), 200);
    let shown = page.show();
    assert!(shown.contains("class=\"green\""), "{shown}");
    assert!(!shown.contains(&key_of("birch")));
    assert_eq!(field(&shown, "folder_id"), "1");
    let state = field(&shown, "state");
    assert_eq!(page.save(&fields(999, "", &state), "same-origin"), 200);
    assert!(page.show().contains("the last change is not in force"), "{}", page.show());
    drop(page);
    api.end().await.end().await;
}
