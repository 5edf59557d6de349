//! Defines what an examination can find, and what it consists of.

use crate::store::StoreError;
use crate::tenants::KeyError;

/// How much a finding matters, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is good to know, and nothing has to be done.
    Note,
    /// Batches are delivered, and somebody should act soon.
    Warning,
    /// Something does not work.
    Error,
}

impl Severity {
    /// Returns the word for the severity.
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A part of an examination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// Every setting, and variables that look like settings.
    Configuration,
    /// Who can read and change the files with secrets.
    Files,
    /// The master key, and whether it is the store's.
    MasterKey,
    /// Room on the disk of the store.
    Disk,
    /// The limit of open files.
    Descriptors,
    /// The addresses that API keys may be sent to.
    Addresses,
    /// The addresses at which the worker listens.
    Listeners,
    /// Whether the broker is reachable, its user, and its version.
    Broker,
    /// The certificate of the broker.
    BrokerCertificate,
    /// Exchanges and queues with their arguments.
    Topology,
    /// The largest message, and the longest time for which a message may be held.
    Limits,
    /// Whether the store can be read, and its tables.
    Store,
    /// How far pruning is behind.
    Retention,
    /// The clock of this machine against the store's.
    Clock,
    /// A sample of the tenants' connections.
    Tenants,
    /// The certificates and the clocks of the sample's Testmo instances.
    Testmo,
    /// What matters before an upgrade.
    Upgrade,
}

impl Check {
    /// Returns the word for the check.
    pub fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Files => "files",
            Self::MasterKey => "master_key",
            Self::Disk => "disk",
            Self::Descriptors => "descriptors",
            Self::Addresses => "addresses",
            Self::Listeners => "listeners",
            Self::Broker => "broker",
            Self::BrokerCertificate => "broker_certificate",
            Self::Topology => "topology",
            Self::Limits => "limits",
            Self::Store => "store",
            Self::Retention => "retention",
            Self::Clock => "clock",
            Self::Tenants => "tenants",
            Self::Testmo => "testmo",
            Self::Upgrade => "upgrade",
        }
    }
}

/// Something that a person should know, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The check that found it.
    pub check: Check,
    /// What was found.
    pub sentence: String,
    /// What to do.
    pub remedy: String,
    /// The command that does it, or that shows more, where there is one.
    pub command: Option<String>,
}

impl Finding {
    /// Returns a finding about something that does not work.
    pub(super) fn error(check: Check, sentence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::of(Severity::Error, check, sentence.into(), remedy.into())
    }

    /// Returns a finding on which somebody should act soon.
    pub(super) fn warning(check: Check, sentence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::of(Severity::Warning, check, sentence.into(), remedy.into())
    }

    /// Returns a finding that is good to know.
    pub(super) fn note(check: Check, sentence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::of(Severity::Note, check, sentence.into(), remedy.into())
    }

    fn of(severity: Severity, check: Check, sentence: String, remedy: String) -> Self {
        Self { severity, check, sentence: as_sentence(sentence), remedy: as_sentence(remedy), command: None }
    }

    /// Returns the finding with the command that helps.
    pub(super) fn with(self, command: impl Into<String>) -> Self {
        Self { command: Some(command.into()), ..self }
    }

    /// Returns a finding from an error of the store.
    pub(super) fn of_store(check: Check, error: &StoreError) -> Self {
        let (fact, remedy) = error.fact_and_remedy();
        Self::error(check, fact, remedy)
    }

    /// Returns a finding from an error of the master key, whose text is a fact, a colon and the remedy.
    pub(super) fn of_key(check: Check, error: &KeyError) -> Self {
        let text = error.to_string();
        let (fact, remedy) = text.rsplit_once(": ").unwrap_or((&text, "Check keys.master_key_file."));
        Self::error(check, fact, remedy)
    }
}

/// Writes a text as a sentence: what other parts of the program say begins with a small letter, and has no full stop. A setting,
/// an address or a name stays as it is.
fn as_sentence(text: String) -> String {
    let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase());
    let mut sentence = match text.split_at_checked(1) {
        Some((first, rest)) if text.split([' ', ',']).next().is_some_and(is_word) => first.to_ascii_uppercase() + rest,
        Some(_) | None => text,
    };
    // An address would not be the same with it.
    let is_plain = |word: &str| word.ends_with(|c: char| c.is_alphanumeric() || c == ')') && !word.contains(['/', ':']);
    if sentence.rsplit(' ').next().is_some_and(is_plain) {
        sentence.push('.');
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_is_written_as_a_sentence_and_names_stay() {
        for (text, sentence) in [
            ("check the port", "Check the port."),
            ("the store does not respond (refused)", "The store does not respond (refused)."),
            ("run `a b`, or wait", "Run `a b`, or wait."),
            ("Done.", "Done."),
            ("observe.listen is 127.0.0.1:1", "observe.listen is 127.0.0.1:1"),
            ("https://a.example cannot be reached", "https://a.example cannot be reached."),
            ("`amqp.url` has to be such as amqp://h/%2f", "`amqp.url` has to be such as amqp://h/%2f"),
            ("", ""),
        ] {
            assert_eq!(as_sentence(text.to_owned()), sentence);
        }
    }
}
