//! How does a command that did not do its work end? The one place that turns what went wrong into words and an exit
//! code.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use testmo_courier::amqp::{CallError, ConnectError, PublishError, PublishFault, TailError};
use testmo_courier::config::ConfigError;
use testmo_courier::store::StoreError;
use testmo_courier::tenants::KeyError;
use testmo_courier::testmo::NoClient;
use testmo_courier::worker::RunError;

/// Why a command did not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something that a person should see to.
    Finding(Words),
    /// The same, and the command has said it already.
    Told,
    /// The command line or the configuration is wrong.
    Usage(Words),
    /// The broker, the store or the worker is not there.
    Unreachable(Words),
    /// A person insisted on the end.
    Interrupted,
    /// Nobody reads the output any more, which is no fault.
    Unread,
}

/// What is said of a failure.
#[derive(Debug)]
pub(crate) struct Words {
    what: String,
    remedy: Option<String>,
}

impl Failure {
    /// Something that a person should see to.
    pub(crate) fn finding(what: impl Display, remedy: impl Display) -> Self {
        Self::Finding(Words::new(what, remedy))
    }

    /// A wrong command line or configuration.
    pub(crate) fn usage(what: impl Display, remedy: impl Display) -> Self {
        Self::Usage(Words::new(what, remedy))
    }

    /// A neighbour that is not there.
    pub(crate) fn unreachable(what: impl Display, remedy: impl Display) -> Self {
        Self::Unreachable(Words::new(what, remedy))
    }

    /// Output that could not be written.
    pub(crate) fn from_output(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::Unread;
        }
        Self::finding(format!("the output cannot be written ({error})"), "check where it is sent to")
    }

    /// 0 fine, 1 a finding, 2 usage or configuration, 3 unreachable; 130 as shells have it for an interrupt.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Unread => 0,
            Self::Finding(_) | Self::Told => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
            Self::Interrupted => 130,
        }
    }

    /// Says on standard error what is to be said, and gives the exit code.
    pub(crate) fn tell(&self) -> ExitCode {
        if let Self::Finding(words) | Self::Usage(words) | Self::Unreachable(words) = self {
            // Without a standard error there is nobody to tell; the exit code still does.
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

    /// Of an error whose text is a fact, a colon and the remedy.
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

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match error.0.as_slice() {
            [one] => Self::Usage(Words::fact(one)),
            many => Self::Usage(Words::new("the configuration has several mistakes", many.join("\n  "))),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing(_) | StoreError::NoDatabase(_) => Self::Usage(Words::split(error)),
            StoreError::InUse(_)
            | StoreError::Away(_)
            | StoreError::Refused(_)
            | StoreError::Full(_)
            | StoreError::NoRoom(_)
            | StoreError::Forbidden(_)
            | StoreError::Unreadable(_)
            | StoreError::Newer => Self::Unreachable(Words::split(error)),
            StoreError::Database(_) | StoreError::Migration(_) | StoreError::Malformed(_) | StoreError::Closed => {
                Self::unreachable(error, "check store.url, who owns the store, and the room on its disk")
            }
            StoreError::Panicked(_) => Self::finding(error, "report it, with the lines before this one"),
        }
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::File { .. } | KeyError::NotAKey(_) | KeyError::OtherMasterKey(_) => {
                Self::Usage(Words::split(error))
            }
            KeyError::BoundElsewhere | KeyError::Broken => Self::Finding(Words::split(error)),
        }
    }
}

impl From<NoClient> for Failure {
    fn from(error: NoClient) -> Self {
        Self::Usage(Words::split(error))
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let remedy = error.remedy();
        match error {
            ConnectError::Address => Self::usage(error, remedy),
            ConnectError::Unreachable { .. }
            | ConnectError::TimedOut { .. }
            | ConnectError::Credentials { .. }
            | ConnectError::VirtualHost { .. }
            | ConnectError::Tls { .. }
            | ConnectError::Protocol { .. } => Self::unreachable(error, remedy),
        }
    }
}

impl From<TailError> for Failure {
    fn from(error: TailError) -> Self {
        match (error.remedy(), error) {
            (_, TailError::Connect(error)) => error.into(),
            (Some(remedy), error @ TailError::Call(_)) => Self::finding(error, remedy),
            (None, error @ TailError::Call(_)) => Self::Unreachable(Words::fact(error)),
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        TailError::Call(error).into()
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        match error.fault() {
            PublishFault::Broker if error.may_be_stored() => {
                Self::unreachable(error, "publish it again: a batch that arrives twice is delivered once")
            }
            PublishFault::Broker => Self::unreachable(error, "look after the broker, then publish again"),
            PublishFault::Topology => Self::finding(error, "run `testmo-courier topology declare`, then publish again"),
            PublishFault::Message => Self::finding(error, "publish the cases in several smaller batches"),
        }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Store(error) => error.into(),
            RunError::Key(error) => error.into(),
            RunError::Client(error) => error.into(),
            RunError::Listen { .. } => Self::Usage(Words::split(error)),
            RunError::Metrics(_) => Self::Finding(Words::fact(error)),
            RunError::TaskEnded(_) => Self::finding(
                error,
                "start the worker again: nothing is lost; and report the defect with the log lines before this one",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_exit_code() {
        let unreachable = ConnectError::Unreachable { target: "amqp://h".into(), cause: "refused".into() };
        let table: [(Failure, u8); 9] = [
            (Failure::Unread, 0),
            (Failure::Told, 1),
            (PublishError::TooLarge { bytes: 2, limit: 1 }.into(), 1),
            (ConfigError(vec!["a".into()]).into(), 2),
            (StoreError::Missing("f".into()).into(), 2),
            (ConnectError::Address.into(), 2),
            (unreachable.into(), 3),
            (StoreError::Closed.into(), 3),
            (StoreError::Away("refused".into()).into(), 3),
        ];
        for (failure, code) in table {
            assert_eq!(failure.exit_code(), code, "{failure:?}");
        }
    }

    #[test]
    fn the_remedy_stands_on_a_line_of_its_own() {
        let Failure::Usage(words) = Failure::from(StoreError::Missing("x.db".into())) else { panic!() };
        assert_eq!(
            words.to_string(),
            "error: there is no store at x.db\n  run `testmo-courier init`, or check store.url\n"
        );
    }
}
