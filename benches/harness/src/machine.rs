//! Collects the facts about a measurement: the machine and every version that matters.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::contestant::Places;

/// The Python packages of the peers, as their files pin them.
const PYTHON: [&str; 6] = ["aio-pika", "aiohttp", "aiohttp-retry", "faststream", "celery", "requests"];
const NODE: [&str; 2] = ["rascal", "undici"];
const RUST: [&str; 3] = ["omniqueue", "lapin", "reqwest"];

/// Facts by name, in the order in which they are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine(Vec<(String, String)>);

impl Machine {
    /// Collects the facts; `alone` is how many requests per second the target takes without a contestant.
    pub(crate) fn inspect(places: &Places, alone: f64) -> Self {
        let peers = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../peers"));
        let read = |name: &str| fs::read_to_string(peers.join(name)).unwrap_or_default();
        let python = places.installed.join("venv/bin/python");
        let facts = [
            ("processor", processor()),
            ("memory", memory()),
            ("kernel", said("uname", &["-sr"])),
            ("temporary files on", said("stat", &["-f", "-c", "%T", &std::env::temp_dir().display().to_string()])),
            (
                "worker",
                format!("{}, commit {}", said(&places.worker.display().to_string(), &["--version"]), revision()),
            ),
            ("Rust", said("rustc", &["--version"])),
            ("RabbitMQ", package("rabbitmq-server")),
            ("Erlang", package("erlang-base")),
            ("PostgreSQL", said("bash", &["-c", "ls /usr/lib/postgresql | sort -V | tail -n 1"])),
            ("Python", said(&python.display().to_string(), &["--version"])),
            ("Python packages", pins(&read("requirements.txt"), &PYTHON)),
            ("Node.js", said("node", &["--version"])),
            ("Node.js packages", node_pins(&read("package.json"))),
            ("Rust packages of peers", lock_pins(&read("Cargo.lock"))),
            ("the target alone", format!("{} requests/s of 5 cases", crate::output::count(alone))),
        ];
        Self(facts.into_iter().map(|(name, fact)| (name.to_owned(), fact)).collect())
    }

    pub(crate) fn facts(&self) -> Vec<(String, String)> {
        self.0.clone()
    }
}

/// Returns the commit that is measured, with a plus sign if it was changed since.
pub(crate) fn revision() -> String {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let commit = said("git", &["-C", here, "rev-parse", "--short=12", "HEAD"]);
    let clean = said("git", &["-C", here, "status", "--porcelain", "--", "src", "Cargo.lock", "config"]).is_empty();
    if clean { commit } else { format!("{commit}+") }
}

fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZeroUsize::get);
    format!("{cores} cores of {}", model.unwrap_or("an unknown processor"))
}

fn memory() -> String {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes =
        info.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    kilobytes.map_or_else(|| "unknown".to_owned(), |kb: f64| format!("{:.0} GB", kb / 1_048_576.0))
}

fn package(name: &str) -> String {
    said("dpkg-query", &["-W", "-f", "${Version}", name])
}

/// Returns the output of a program; an empty text if the program is not installed.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

fn pins(requirements: &str, names: &[&str]) -> String {
    let version = |name: &&str| {
        let pin = requirements.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("=="))?;
        Some(format!("{name} {}", pin.trim()))
    };
    names.iter().filter_map(version).collect::<Vec<_>>().join(", ")
}

fn node_pins(manifest: &str) -> String {
    let manifest: serde_json::Value = serde_json::from_str(manifest).unwrap_or_default();
    let version = |name: &&str| Some(format!("{name} {}", manifest["dependencies"][name].as_str()?));
    NODE.iter().filter_map(version).collect::<Vec<_>>().join(", ")
}

/// Returns every version in a lock file of the packages in `RUST`.
fn lock_pins(lock: &str) -> String {
    let lines: Vec<&str> = lock.lines().collect();
    let pinned = |pair: &[&str]| {
        let name = pair[0].strip_prefix("name = ")?.trim_matches('"');
        let version = pair[1].strip_prefix("version = ")?.trim_matches('"');
        RUST.contains(&name).then(|| format!("{name} {version}"))
    };
    lines.windows(2).filter_map(pinned).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_pins_them() {
        assert_eq!(
            pins("aiohttp==3.1\naiohttp-retry==2.9\n", &["aiohttp", "aiohttp-retry", "x"]),
            "aiohttp 3.1, aiohttp-retry 2.9"
        );
        assert_eq!(node_pins(r#"{"dependencies": {"rascal": "21.0.1"}}"#), "rascal 21.0.1");
        assert_eq!(lock_pins("[[package]]\nname = \"lapin\"\nversion = \"2.5.4\"\n"), "lapin 2.5.4");
    }
}
