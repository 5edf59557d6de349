//! A browser without scripts: it keeps cookies, sends forms, and follows where it is sent.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use testmo_courier::app::actor::Role;

use crate::api::support::{Api, exchange_text};

/// Somebody with cookies.
#[derive(Clone, Debug)]
pub(super) struct Browser {
    pub(super) address: SocketAddr,
    pub(super) cookies: BTreeMap<String, String>,
}

/// A page, or where the browser is sent.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) path: String,
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) text: String,
}

/// Writes fields as a form is sent.
fn written(fields: &[(&str, &str)]) -> String {
    let written = |text: &str| -> String {
        let byte = |byte: u8| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            b' ' => "+".to_owned(),
            byte => format!("%{byte:02X}"),
        };
        text.bytes().map(byte).collect()
    };
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", written(name), written(value))).collect();
    pairs.join("&")
}

impl Browser {
    /// Opens a browser that nobody has logged in with.
    pub(super) fn of(address: SocketAddr) -> Self {
        Self { address, cookies: BTreeMap::new() }
    }

    /// Creates a token and logs in with it.
    pub(super) async fn logged_in(api: &Api, name: &str, role: Role, tenant: Option<&str>) -> Self {
        let token = api.token(name, role, tenant).await;
        let mut browser = Self::of(api.address);
        browser.post("/log-in", &[("token", &token)]).is(303);
        browser
    }

    /// Opens a page.
    pub(super) fn get(&mut self, path: &str) -> Page {
        self.send("GET", path, "", None)
    }

    /// Sends a form of a page of the console.
    pub(super) fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let origin = format!("Origin: http://{}\r\n", self.address);
        self.send("POST", path, &origin, Some(&written(fields)))
    }

    /// Sends a form with other headers; these are whole lines.
    pub(super) fn post_with(&mut self, path: &str, headers: &str, fields: &[(&str, &str)]) -> Page {
        self.send("POST", path, headers, Some(&written(fields)))
    }

    /// Sends a form, and opens the page that it leads to.
    #[track_caller]
    pub(super) fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let sent = self.post(path, fields);
        let to = sent.is(303).to();
        self.get(&to)
    }

    pub(super) fn send(&mut self, method: &str, path: &str, headers: &str, body: Option<&str>) -> Page {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = if cookies.is_empty() { String::new() } else { format!("Cookie: {}\r\n", cookies.join("; ")) };
        let length = body.map_or_else(String::new, |body| {
            format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n", body.len())
        });
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{cookies}{headers}{length}\r\n{}",
            self.address,
            body.unwrap_or_default()
        );
        let (status, head, text) = exchange_text(self.address, &request);
        let page = Page { path: path.to_owned(), status, head, text };
        for cookie in page.head.lines().filter_map(|line| line.strip_prefix("set-cookie: ")) {
            let (pair, rest) = cookie.split_once(';').expect("attributes");
            let (name, value) = pair.split_once('=').expect("a value");
            assert!(rest.contains("HttpOnly") && rest.contains("SameSite=Strict"), "{cookie}");
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        page
    }
}

impl Page {
    /// Checks the status.
    #[track_caller]
    pub(super) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {} {}", self.path, self.head, self.text);
        self
    }

    /// Checks that the page says something.
    #[track_caller]
    pub(super) fn says(self, text: &str) -> Self {
        assert!(self.text.contains(text), "{} does not say {text:?}: {}", self.path, self.text);
        self
    }

    /// Returns where the browser is sent.
    #[track_caller]
    pub(super) fn to(&self) -> String {
        self.header("location").unwrap_or_else(|| panic!("{} leads nowhere: {}", self.path, self.head)).to_owned()
    }

    /// Returns a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Returns the value of a field of the page.
    #[track_caller]
    pub(super) fn field(&self, name: &str) -> String {
        let at = self.text.find(&format!(" name=\"{name}\"")).unwrap_or_else(|| panic!("{name} in {}", self.text));
        let tag = self.text[at..].split('>').next().expect("a tag");
        let value = tag.split(" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        unescaped(value.unwrap_or_default())
    }

    /// Returns the text of a text area.
    #[track_caller]
    pub(super) fn area(&self, name: &str) -> String {
        let at = self.text.find(&format!(" name=\"{name}\"")).unwrap_or_else(|| panic!("{name} in {}", self.text));
        let text = self.text[at..].split_once('>').expect("a tag").1.split("</textarea>").next().expect("an end");
        unescaped(text.strip_prefix('\n').unwrap_or(text))
    }
}

fn unescaped(text: &str) -> String {
    [("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (code, character)| text.replace(code, character))
}
