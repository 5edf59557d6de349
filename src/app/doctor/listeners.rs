//! Finds addresses at which the worker cannot listen, unless a worker already does.

use std::io;
use std::net::{SocketAddr, TcpListener};

use super::super::observed::{get, url_at};
use super::finding::{Check, Finding};
use crate::config::Config;

/// An address at which the worker listens, by its setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    setting: &'static str,
    address: SocketAddr,
    /// A path that a worker answers there with 200, or with 401 where it needs a token.
    path: &'static str,
}

/// What is at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing; a worker could listen there.
    Free,
    /// A worker.
    Serves,
    /// Another program.
    Taken,
    /// This machine has no such address, or this user may not use it: what the system said.
    NotHere(String),
}

/// Finds out what is at the addresses of a worker.
pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let observe = Listener { setting: "observe.listen", address: config.observe.listen, path: "/livez" };
    let admin = config.admin.listen;
    let admin = admin.map(|address| Listener { setting: "admin.listen", address, path: "/api/v1/health" });
    [Some(observe), admin].into_iter().flatten().filter_map(|listener| finding(listener, &place(listener))).collect()
}

fn place(listener: Listener) -> Place {
    match TcpListener::bind(listener.address) {
        Ok(_) => Place::Free,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let answer = url_at(listener.address, listener.path).map(|url| get(&url));
            if matches!(answer, Some(Ok((200 | 401, _)))) { Place::Serves } else { Place::Taken }
        }
        Err(error) => Place::NotHere(error.to_string()),
    }
}

fn finding(listener: Listener, place: &Place) -> Option<Finding> {
    let Listener { setting, address, .. } = listener;
    let port = address.port();
    match place {
        Place::Free | Place::Serves => None,
        Place::Taken => {
            let sentence =
                format!("{setting} is {address}, which another program uses, or a worker that does not respond.");
            let remedy = format!("End that program, or set {setting} to another address.");
            let finding = Finding::error(Check::Listeners, sentence, remedy);
            Some(finding.with(format!("ss -ltnp 'sport = :{port}'")))
        }
        Place::NotHere(said) => {
            let sentence = format!("A worker cannot listen at {address}, which is {setting} ({said}).");
            let remedy = format!("Set {setting} to an address of this machine, with a port from 1024 on.");
            Some(Finding::error(Check::Listeners, sentence, remedy).with("ip -brief address"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> Listener {
        Listener { setting: "observe.listen", address: address.parse().unwrap(), path: "/livez" }
    }

    #[test]
    fn an_address_that_is_free_or_serves_is_well() {
        let listener = at("127.0.0.1:9464");
        assert_eq!(finding(listener, &Place::Free), None);
        assert_eq!(finding(listener, &Place::Serves), None);
        assert!(finding(listener, &Place::Taken).unwrap().sentence.contains("observe.listen is 127.0.0.1:9464"));
        let elsewhere = finding(listener, &Place::NotHere("not available".into())).unwrap();
        assert!(elsewhere.sentence.contains("(not available)"), "{elsewhere:?}");
    }

    #[test]
    fn a_program_that_accepts_and_says_nothing_is_another_one() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = Listener { address: other.local_addr().unwrap(), ..at("127.0.0.1:0") };
        assert_eq!(place(taken), Place::Taken);
        drop(other);
        assert_eq!(place(taken), Place::Free);
        assert!(matches!(place(at("192.0.2.1:9464")), Place::NotHere(_)));
    }
}
