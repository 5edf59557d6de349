//! Writes an archive for a support ticket: what was found, and what is needed to understand it, without secrets.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::json;

use super::Examination;
use super::archive::{self, Member};
use super::log_lines::last_lines;
use super::redaction::Redaction;
use crate::amqp::topology::{Object, topology};
use crate::app::observed::{get, url_at};
use crate::config::Config;
use crate::private_file;

/// What a face shows of an examination.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The report as JSON.
    pub json: String,
    /// The report for people.
    pub text: String,
    /// Every setting, without passwords.
    pub settings: String,
}

/// Writes a new archive, which only its owner can read, with the last lines of `log` if that is given.
///
/// # Errors
/// When the file exists already or cannot be written, or the log cannot be read.
pub fn write(file: &Path, found: &Examination, shown: Shown, log: Option<&Path>) -> io::Result<()> {
    let Shown { json, text, settings } = shown;
    let log = log.map(last_lines).transpose()?;
    let mut members = vec![
        Member { name: "report.json", text: json },
        Member { name: "report.txt", text },
        Member { name: "settings.toml", text: settings },
        Member { name: "versions.json", text: versions(found) },
    ];
    if let Some(config) = &found.config {
        members.push(Member { name: "topology.txt", text: topology_of(config) });
        members.extend(metrics(config).map(|text| Member { name: "metrics.txt", text }));
    }
    members.extend(log.map(|text| Member { name: "log.txt", text }));
    let redaction = Redaction::of(found.config.as_ref());
    members.iter_mut().for_each(|member| member.text = redaction.applied(&member.text));
    let made_at = u64::try_from(found.report.at / 1_000).unwrap_or(0);
    let written = private_file::create(file).and_then(|sink| archive::write(sink, &members, made_at));
    if written.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::AlreadyExists) {
        // A part of an archive helps nobody.
        drop(fs::remove_file(file));
    }
    written
}

fn versions(found: &Examination) -> String {
    let broker = found.broker.as_ref();
    let versions = json!({
        "testmo_courier": env!("CARGO_PKG_VERSION"),
        "system": std::env::consts::OS,
        "architecture": std::env::consts::ARCH,
        "broker": broker.and_then(|broker| broker.product.clone()),
        "broker_version": broker.and_then(|broker| broker.version.clone()),
        "database_version": found.database,
    });
    format!("{versions:#}\n")
}

/// Lists the objects of the topology with their arguments; what the broker has instead is in the report.
fn topology_of(config: &Config) -> String {
    let line = |object: &Object| match object {
        Object::Exchange { arguments, .. } | Object::Queue { arguments, .. } => {
            let arguments: Vec<String> =
                arguments.iter().map(|argument| format!("{}={}", argument.name, argument.value)).collect();
            format!("{object} {}\n", arguments.join(" "))
        }
        Object::Binding { .. } => format!("{object}\n"),
    };
    topology(&config.amqp).iter().map(line).collect()
}

/// Reads the metrics of a worker on this machine, if one runs.
fn metrics(config: &Config) -> Option<String> {
    match get(&url_at(config.observe.listen, "/metrics")?) {
        Ok((200, text)) => Some(text),
        Ok(_) | Err(_) => None,
    }
}
