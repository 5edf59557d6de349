//! `health`: asks whether the worker on this machine is ready, by one plain request that costs next to nothing.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use url::Url;

use super::failure::Failure;
use super::open::configuration;
use super::output::{Colour, Output, visible};

/// How long a healthy worker takes at most.
const LIMIT: Duration = Duration::from_secs(2);
/// How many bytes of an answer are read.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

const EXAMPLES: &str = "\
The output says what was checked and what was not. The exit code is 0 when the worker is ready and 3 otherwise.

Examples:
  testmo-courier health
  testmo-courier health --url http://courier-2:9464/livez";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The URL to read instead of /readyz at observe.listen
    #[arg(long)]
    url: Option<Url>,
}

pub(super) fn execute(arguments: &Arguments, files: &[PathBuf], out: &mut Output) -> Result<(), Failure> {
    let url = match &arguments.url {
        Some(url) => url.clone(),
        None => address_of(configuration(files)?.observe.listen, "/readyz")?,
    };
    let (status, body) = get(&url).map_err(|error| {
        Failure::unreachable(
            format!("{url} cannot be read ({error})"),
            "start the worker with `testmo-courier run`, or check observe.listen",
        )
    })?;
    if status == 200 {
        let checked = Checked::by(&url);
        out.line(out.paint(Colour::Green, checked.word))?;
        out.line(format_args!("checked: {}", checked.what))?;
        return out.line(format_args!("not checked: {}", checked.not));
    }
    let (what, remedy) = unready(status, &body);
    Err(Failure::unreachable(what, remedy))
}

/// Returns what a response other than 200 says, and what to do: the causes that it names on lines of their own, if it does.
fn unready(status: u16, body: &str) -> (String, String) {
    let mut lines = body.lines().filter(|line| !line.trim().is_empty()).map(|line| visible(line).into_owned());
    let what = lines.next().unwrap_or_else(|| "no details".into());
    let causes: Vec<String> = lines.collect();
    let remedy = if causes.is_empty() {
        "wait if the worker has just been started; otherwise fix what it names, or read its log".into()
    } else {
        causes.join("\n  ")
    };
    (format!("the worker responded with {status}: {what}"), remedy)
}

/// What a response with the status 200 shows, and what it does not.
struct Checked {
    word: &'static str,
    what: String,
    not: &'static str,
}

impl Checked {
    /// Returns what such a response of this URL shows.
    fn by(url: &Url) -> Self {
        if url.path() == "/readyz" {
            return Self {
                word: "ready",
                what: "the worker is connected to RabbitMQ, takes batches and publishes events, and its store can be \
                       written"
                    .into(),
                not: "Testmo and the tenants' connections (`testmo-courier tenants list`), what waits \
                      (`testmo-courier lanes waiting`), and the exchanges and queues (`testmo-courier topology check`)",
            };
        }
        Self {
            word: "ok",
            what: format!("{url} responds with 200"),
            not: "whether the worker is ready to take batches (`testmo-courier health` without --url)",
        }
    }
}

/// Returns the address at which the worker on this machine answers.
pub(super) fn address_of(listen: SocketAddr, path: &str) -> Result<Url, Failure> {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let url = format!("http://{}{path}", SocketAddr::new(ip, listen.port()));
    url.parse().map_err(|_| {
        Failure::usage("observe.listen is not an address", "set it to an address and port, such as 127.0.0.1:9464")
    })
}

/// Requests a URL, and returns the status and the body.
pub(super) fn get(url: &Url) -> io::Result<(u16, String)> {
    let until = Instant::now() + LIMIT;
    let left = || {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    };
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
    if url.scheme() != "http" {
        return Err(wrong("only http:// URLs are supported"));
    }
    let host = url.host_str().ok_or_else(|| wrong("the URL contains no host"))?;
    let port = url.port_or_known_default().unwrap_or(80);
    let mut connected = Err(wrong("the host has no address"));
    for address in (host.trim_matches(['[', ']']), port).to_socket_addrs()? {
        connected = left().and_then(|left| TcpStream::connect_timeout(&address, left));
        if connected.is_ok() {
            break;
        }
    }
    let mut stream = connected?;
    stream.set_write_timeout(Some(left()?))?;
    // HTTP/1.0, so that the answer comes in one piece and ends with the connection.
    write!(stream, "GET {} HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n", url.path())?;
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    loop {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut part)? {
            0 => break,
            n => answer.extend_from_slice(&part[..n]),
        }
        if answer.len() as u64 > MOST_BYTES {
            break;
        }
    }
    read(&String::from_utf8_lossy(&answer)).ok_or_else(|| wrong("the response is not HTTP"))
}

fn read(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.get(..3)?.parse().ok()?;
    Some((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_every_interface_is_requested_on_the_loopback() {
        for (listen, url) in [
            ("0.0.0.0:9464", "http://127.0.0.1:9464/readyz"),
            ("[::]:9464", "http://[::1]:9464/readyz"),
            ("10.1.2.3:80", "http://10.1.2.3/readyz"),
        ] {
            assert_eq!(address_of(listen.parse().unwrap(), "/readyz").unwrap().as_str(), url);
        }
    }

    #[test]
    fn only_readiness_is_called_ready_and_either_says_what_was_not_checked() {
        for (url, word, what, not) in [
            ("http://127.0.0.1:9464/readyz", "ready", "its store can be written", "`testmo-courier tenants list`"),
            ("http://127.0.0.1:9464/livez", "ok", "/livez responds with 200", "is ready"),
        ] {
            let checked = Checked::by(&url.parse().unwrap());
            assert_eq!(checked.word, word);
            assert!(checked.what.contains(what) && checked.not.contains(not), "{url}");
        }
    }

    #[test]
    fn what_is_unavailable_is_named_once_and_each_cause_has_a_line() {
        let body = "not ready: intake, events, store\nintake, events: no broker: start it\nstore: full: free space\n";
        let (what, remedy) = unready(503, body);
        assert_eq!(what, "the worker responded with 503: not ready: intake, events, store");
        assert_eq!(remedy, "intake, events: no broker: start it\n  store: full: free space");
        assert!(unready(503, "not ready: store\n").1.contains("read its log"));
        assert_eq!(unready(500, "").0, "the worker responded with 500: no details");
    }

    #[test]
    fn an_answer_is_read_by_its_status() {
        assert_eq!(read("HTTP/1.0 503 Service Unavailable\r\nA: b\r\n\r\nstore\n"), Some((503, "store\n".into())));
        assert_eq!(read("SSH-2.0-OpenSSH\r\n\r\n"), None);
    }
}
