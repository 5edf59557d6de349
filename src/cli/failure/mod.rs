//! Turns what went wrong into words and an exit code; no other place does.

mod of_backups;
mod of_keys;
mod of_neighbours;
mod of_the_shelf;
mod of_use_cases;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

pub(crate) use self::of_backups::NOT_EMPTY;
pub(crate) use self::of_use_cases::option;

/// Every exit code.
#[cfg(test)]
pub(crate) const EXIT_CODES: [u8; 7] = [0, 1, 2, 3, 4, 5, 130];

/// Why a command has failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A person has to act.
    Finding(Words),
    /// The same, and the command has printed it already.
    Printed,
    /// The command line or the configuration is wrong.
    Usage(Words),
    /// The broker, the store or the worker cannot be reached.
    Unreachable(Words),
    /// The worker's store was moved, deleted or replaced while the worker was running.
    StoreLost(Words),
    /// The worker stopped on request, but not everything had ended in time.
    Cut(Words),
    /// A person ended the command by a second signal.
    Interrupted,
    /// The output is no longer read, which is no fault.
    Unread,
}

/// What a person reads about a failure.
#[derive(Debug)]
pub(crate) struct Words {
    what: String,
    remedy: Option<String>,
}

impl Failure {
    /// Returns a failure on which a person has to act.
    pub(crate) fn finding(what: impl Display, remedy: impl Display) -> Self {
        Self::Finding(Words::new(what, remedy))
    }

    /// Returns a failure of the command line or the configuration.
    pub(crate) fn usage(what: impl Display, remedy: impl Display) -> Self {
        Self::Usage(Words::new(what, remedy))
    }

    /// Returns a failure of a neighbour that cannot be reached.
    pub(crate) fn unreachable(what: impl Display, remedy: impl Display) -> Self {
        Self::Unreachable(Words::new(what, remedy))
    }

    /// Returns a failure to write output.
    pub(crate) fn from_output(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::Unread;
        }
        Self::finding(format!("the output cannot be written ({error})"), "check where the output is written to")
    }

    /// Returns the exit code: 0 fine, 1 a finding, 2 usage or configuration, 3 unreachable, 4 the store was taken away,
    /// 5 something was cut at the stop; 130, as in shells, an interrupt.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Unread => 0,
            Self::Finding(_) | Self::Printed => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
            Self::StoreLost(_) => 4,
            Self::Cut(_) => 5,
            Self::Interrupted => 130,
        }
    }

    /// Prints the failure on standard error, and returns the exit code.
    pub(crate) fn print(&self) -> ExitCode {
        if let Self::Finding(words)
        | Self::Usage(words)
        | Self::Unreachable(words)
        | Self::StoreLost(words)
        | Self::Cut(words) = self
        {
            // Without a standard error, the exit code alone has to do.
            drop(write!(io::stderr(), "{words}"));
        }
        self.exit_code().into()
    }
}

impl Words {
    fn new(what: impl Display, remedy: impl Display) -> Self {
        Self { what: what.to_string(), remedy: Some(remedy.to_string()) }
    }

    fn fact(what: impl Display) -> Self {
        Self { what: what.to_string(), remedy: None }
    }

    /// Returns the words of an error whose text is a fact, a colon and the remedy.
    fn split(error: impl Display) -> Self {
        let text = error.to_string();
        match text.rsplit_once(": ") {
            Some((what, remedy)) => Self::new(what, remedy),
            None => Self::fact(text),
        }
    }
}

impl Display for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "error: {}", self.what)?;
        self.remedy.as_ref().map_or(Ok(()), |remedy| writeln!(f, "  {remedy}"))
    }
}

#[cfg(test)]
mod tests {
    use testmo_courier::app::{ConnectError, PublishError, StoreError};
    use testmo_courier::config::ConfigError;
    use testmo_courier::worker::{FileChange, FileLost, FilePart, RunError};

    use super::*;

    #[test]
    fn each_kind_of_failure_has_its_exit_code() {
        let unreachable = ConnectError::Unreachable { target: "amqp://h".into(), cause: "refused".into() };
        let words = || Words { what: "something".into(), remedy: None };
        let table: [(Failure, u8); 12] = [
            (Failure::Unread, 0),
            (Failure::Printed, 1),
            (PublishError::TooLarge { bytes: 2, limit: 1 }.into(), 1),
            (ConfigError(vec!["a".into()]).into(), 2),
            (StoreError::Missing("f".into()).into(), 2),
            (ConnectError::Address.into(), 2),
            (unreachable.into(), 3),
            (StoreError::Closed.into(), 3),
            (StoreError::Away("refused".into()).into(), 3),
            (Failure::StoreLost(words()), 4),
            (Failure::Cut(words()), 5),
            (Failure::Interrupted, 130),
        ];
        for (failure, code) in table {
            assert_eq!(failure.exit_code(), code, "{failure:?}");
            assert!(EXIT_CODES.contains(&code));
        }
    }

    #[test]
    fn the_remedy_for_a_lost_store_names_where_its_content_is() {
        let lost = |part, is_replaced, is_complete, is_deleted, copied: bool| {
            let change = FileChange { file: "/d/x.db".into(), part, is_replaced };
            let copy = copied.then(|| "/d/x.db.rescued-1".into());
            let failure = Failure::from(RunError::from(FileLost { change, is_complete, is_deleted, copy }));
            assert_eq!(failure.exit_code(), 4);
            let Failure::StoreLost(words) = failure else { panic!() };
            words.to_string()
        };
        let table = [
            (lost(FilePart::Database, false, true, false, false), "put that file back"),
            (lost(FilePart::Database, false, true, true, true), "rename /d/x.db.rescued-1 to /d/x.db"),
            (lost(FilePart::Database, true, true, true, true), "/d/x.db.rescued-1"),
            (lost(FilePart::Database, false, true, true, false), "restore the latest copy"),
            (lost(FilePart::Database, true, true, false, false), "find the file that the worker was using"),
            (lost(FilePart::Log, false, true, false, false), "start the worker again"),
            (lost(FilePart::Log, true, false, false, false), "keep all of the store's files"),
        ];
        for (words, remedy) in table {
            assert!(words.contains(remedy), "{words}");
        }
    }

    #[test]
    fn the_remedy_is_on_a_line_of_its_own() {
        let Failure::Usage(words) = Failure::from(StoreError::Missing("x.db".into())) else { panic!() };
        assert_eq!(
            words.to_string(),
            "error: there is no store at x.db\n  run `testmo-courier init`, or check store.url\n"
        );
    }
}
