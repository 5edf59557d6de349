//! `health`: asks whether the worker on this machine is ready, by one plain request that costs next to nothing.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use testmo_courier::app::observed::{get, url_at};
use url::Url;

use super::failure::Failure;
use super::open::configuration;
use super::output::{Colour, Output, visible};

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
    url_at(listen, path).ok_or_else(|| {
        Failure::usage("observe.listen is not an address", "set it to an address and port, such as 127.0.0.1:9464")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
