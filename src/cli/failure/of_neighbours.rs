//! Turns errors of the configuration, the store, the broker and the worker into failures.

use testmo_courier::app::messages::OtherUser;
use testmo_courier::app::{
    CallError, ConnectError, KeyError, NoClient, OpenError, PublishError, PublishFault, StoreError, TailError,
};
use testmo_courier::config::ConfigError;
use testmo_courier::worker::{FileLost, FilePart, RunError};

use super::{Failure, Words};

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match error.0.as_slice() {
            [one] => Self::Usage(Words::fact(one)),
            many => Self::Usage(Words::new("the configuration has several errors", many.join("\n  "))),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let (what, remedy) = error.fact_and_remedy();
        match error {
            StoreError::Missing(_) | StoreError::NoDatabase(_) | StoreError::Encoding { .. } => {
                Self::usage(what, remedy)
            }
            StoreError::SetBack { .. }
            | StoreError::Restored
            | StoreError::Incomplete(_)
            | StoreError::Moved { .. }
            | StoreError::Occupied { .. }
            | StoreError::Data(_)
            | StoreError::Panicked(_) => Self::finding(what, remedy),
            StoreError::InUse(_)
            | StoreError::Away(_)
            | StoreError::Tls { .. }
            | StoreError::Refused(_)
            | StoreError::Full(_)
            | StoreError::Pooler(_)
            | StoreError::Slow(_)
            | StoreError::Exhausted(_)
            | StoreError::NoRoom(_)
            | StoreError::Locked(_)
            | StoreError::ReadOnly(_)
            | StoreError::NotOpened(_)
            | StoreError::Disk(_)
            | StoreError::Damaged(_)
            | StoreError::Forbidden(_)
            | StoreError::NotWritable(_)
            | StoreError::Unreadable(_)
            | StoreError::Newer
            | StoreError::Database(_)
            | StoreError::Migration(_)
            | StoreError::Malformed(_)
            | StoreError::Closed => Self::unreachable(what, remedy),
        }
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::File { .. } | KeyError::NotAKey(_) | KeyError::OtherMasterKey(_) => {
                Self::Usage(Words::split(error))
            }
            KeyError::UnknownMasterKey | KeyError::BoundElsewhere | KeyError::Broken => {
                Self::Finding(Words::split(error))
            }
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
            ConnectError::Address | ConnectError::File { .. } => Self::usage(error, remedy),
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
                Self::unreachable(error, "publish the message again: a batch that arrives twice is delivered once")
            }
            PublishFault::Broker => Self::unreachable(error, "check the broker, then publish again"),
            PublishFault::Topology => Self::finding(error, "run `testmo-courier topology declare`, then publish again"),
            PublishFault::Message => Self::finding(error, "publish the cases in several smaller batches"),
        }
    }
}

impl From<OtherUser> for Failure {
    fn from(error: OtherUser) -> Self {
        let remedy = error.remedy();
        Self::finding(error, remedy)
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Store(error) => error.into(),
            RunError::Key(error) => error.into(),
            RunError::Client(error) => error.into(),
            RunError::Listen { .. } | RunError::TooFewFiles(_) | RunError::Export(_) => {
                Self::Usage(Words::split(error))
            }
            RunError::Metrics(_) => Self::Finding(Words::fact(error)),
            RunError::StoreLost(lost) => Self::StoreLost(Words::new(&lost, remedy_for(&lost))),
            RunError::Cut(_) => Self::Cut(Words::new(
                error,
                "no batch is lost: leases expire, and the broker redelivers the messages in flight",
            )),
            RunError::TaskEnded(_) => Self::finding(
                error,
                "start the worker again, no batch is lost; report the defect with the log lines before this one",
            ),
        }
    }
}

/// Returns where the content of the store is, and what to do with it.
fn remedy_for(lost: &FileLost) -> String {
    let (file, is_replaced) = (lost.change.file.display(), lost.change.is_replaced);
    match (lost.change.part, &lost.copy) {
        (FilePart::Database, Some(copy)) if is_replaced => format!(
            "the store that the worker was using is in {}: rename it to {file}, unless the file that is there now is \
             meant to replace it; then start the worker",
            copy.display()
        ),
        (FilePart::Database, Some(copy)) => {
            format!("its content is in {0}: rename {0} to {file}, then start the worker", copy.display())
        }
        (FilePart::Database, None) if lost.is_deleted => {
            "restore the latest copy of the store; batches that were delivered since are sent again if they are open in \
             the copy, so check those in Testmo first"
                .into()
        }
        (FilePart::Database, None) if is_replaced => format!(
            "find the file that the worker was using and rename it to {file}, unless the file that is there now is meant \
             to replace it; then start the worker"
        ),
        (FilePart::Database, None) => {
            format!("put that file back to {file} (with its -wal file, if there is one), then start the worker")
        }
        (FilePart::Log | FilePart::Index, _) if lost.is_complete => {
            "everything is in the database file: find out what removed the other file, then start the worker again".into()
        }
        (FilePart::Log | FilePart::Index, _) => {
            "keep all of the store's files, find out what changed them, then start the worker again".into()
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Store(error) => error.into(),
            OpenError::Key(error) => error.into(),
        }
    }
}
