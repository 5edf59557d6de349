//! Opens, watches and closes a connection to the broker.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use lapin::options::ConfirmSelectOptions;
use lapin::{Channel, Connection, ConnectionProperties, ConnectionStatus};

use super::address::Address;
use super::call::{CallError, limited, protocol_error};
use super::certificates::{Unusable, certificates};
use super::guard::{self, Marker};
use crate::config::Amqp;
use crate::tls_fault::TlsFault;

/// AMQP reply code: the virtual host does not exist or is not open to this user.
const NOT_ALLOWED: u16 = 530;

/// An open connection. Dropping it closes it without waiting.
pub struct Link {
    connection: Connection,
    marker: Marker,
    rpc_timeout: Duration,
    close_timeout: Duration,
}

/// The reason why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The configured address cannot be read.
    #[error("the broker address is not of the form amqp[s]://user:password@host:port/vhost")]
    Address,
    /// Nothing could be reached: unknown host name, refused, reset.
    #[error("cannot reach {target}: {cause}")]
    Unreachable {
        /// The broker without credentials.
        target: String,
        /// The operating system's error text.
        cause: String,
    },
    /// The peer did not finish the handshake in time.
    #[error("{target} did not respond within {limit:?}")]
    TimedOut {
        /// The broker without credentials.
        target: String,
        /// How long the worker waited.
        limit: Duration,
    },
    /// The user or the password is wrong.
    #[error("{target} refused the user or the password")]
    Credentials {
        /// The broker without credentials.
        target: String,
    },
    /// The virtual host does not exist or is closed to this user.
    #[error("{target} refused the virtual host: {cause}")]
    VirtualHost {
        /// The broker without credentials.
        target: String,
        /// The broker's reply text.
        cause: String,
    },
    /// TLS could not be established.
    #[error("no TLS connection to {target}: {cause}")]
    Tls {
        /// The broker without credentials.
        target: String,
        /// What is wrong.
        cause: String,
        /// Which fault it is.
        fault: TlsFault,
    },
    /// A file with a certificate or a key cannot be used.
    #[error("{file} cannot be used for TLS: {cause}")]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// The peer answers, but not as AMQP 0-9-1 requires.
    #[error("{target} did not respond as an AMQP 0-9-1 broker: {cause}")]
    Protocol {
        /// The broker without credentials.
        target: String,
        /// What came instead.
        cause: String,
    },
}

impl ConnectError {
    /// Returns what a person can do about the failure.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Address => {
                "write special characters of user and password as %XX, and the default virtual host as %2f"
            }
            Self::Unreachable { .. } => "check host name, port and firewall, and that the broker is running",
            Self::TimedOut { .. } => "check that the address belongs to a broker and that the broker is not overloaded",
            Self::Credentials { .. } => {
                "check user and password; the user `guest` may only connect from the broker's own machine"
            }
            Self::VirtualHost { .. } => {
                "check the virtual host after the last slash (the default one is written %2f) and the user's \
                 permissions on it"
            }
            Self::Tls { fault, .. } => of_tls(*fault),
            Self::File { .. } => "check amqp.ca_file, amqp.client_cert_file and amqp.client_key_file",
            Self::Protocol { .. } => "check the port (5672 for amqp://, 5671 for amqps://) and the scheme",
        }
    }
}

/// Opens one connection, for commands and for checks; `purpose` is appended to its name.
///
/// # Errors
/// When the connection could not be opened within `connect_timeout`; the error says why.
pub async fn connect_once(config: &Amqp, purpose: &str) -> Result<Link, ConnectError> {
    let address = Address::parse(&config.url).ok_or(ConnectError::Address)?;
    let name = format!("{} {purpose}", config.connection_name);
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    // lapin's own limit covers only the TCP part; a frozen peer would block the attempt forever.
    let marker = Marker::random();
    let connecting = guard::connect(address.uri(), properties, certificates(config)?, &marker);
    match tokio::time::timeout(config.connect_timeout, connecting).await {
        Ok(Ok(connection)) => {
            Ok(Link { connection, marker, rpc_timeout: config.rpc_timeout, close_timeout: config.close_timeout })
        }
        Ok(Err(error)) => Err(classify(&error, &address, config.client_cert_file.is_some())),
        Err(_) => Err(ConnectError::TimedOut { target: address.target(), limit: config.connect_timeout }),
    }
}

impl From<Unusable> for ConnectError {
    fn from(Unusable { file, cause }: Unusable) -> Self {
        Self::File { file, cause }
    }
}

/// `shows_certificate` says whether the broker was shown a certificate of this client.
fn classify(error: &lapin::Error, address: &Address, shows_certificate: bool) -> ConnectError {
    let (target, cause) = (address.target(), error.to_string());
    match protocol_error(error).map(|error| error.get_id()) {
        Some(super::call::ACCESS_REFUSED) => ConnectError::Credentials { target },
        Some(NOT_ALLOWED) => ConnectError::VirtualHost { target, cause },
        Some(_) => ConnectError::Protocol { target, cause },
        None => match tls_fault(error, shows_certificate).filter(|_| address.is_tls()) {
            Some(fault) => ConnectError::Tls { target, cause: fault.words().map_or(cause, str::to_owned), fault },
            None if error.is_io_error() => ConnectError::Unreachable { target, cause },
            None => ConnectError::Protocol { target, cause },
        },
    }
}

/// Returns which fault of TLS is among the causes.
///
/// With TLS 1.3, a broker finds the client's certificate missing or wrong when the client takes the connection for established
/// already; what it says of that can be lost with the connection.
fn tls_fault(error: &lapin::Error, shows_certificate: bool) -> Option<TlsFault> {
    let lapin::ErrorKind::IOError(io) = error.kind() else {
        return None;
    };
    let ended = match shows_certificate {
        true => TlsFault::CertificateRefused,
        false => TlsFault::CertificateRequired,
    };
    let is_of_certificate = || io.to_string().contains("certificate").then_some(TlsFault::Other);
    TlsFault::in_error(&**io).or_else(is_of_certificate).or_else(|| was_ended(io.kind()).then_some(ended))
}

fn was_ended(kind: ErrorKind) -> bool {
    [ErrorKind::ConnectionReset, ErrorKind::ConnectionAborted, ErrorKind::BrokenPipe, ErrorKind::UnexpectedEof]
        .contains(&kind)
}

/// Returns what a person can do about a fault of TLS.
fn of_tls(fault: TlsFault) -> &'static str {
    match fault {
        TlsFault::UnknownAuthority => "name the file with the certificate of the broker's authority in amqp.ca_file",
        TlsFault::Expired => "renew the broker's certificate, or set the clock of this machine if it is wrong",
        TlsFault::NotYetValid => "set the clock of this machine",
        TlsFault::OtherHost => "write the host name that is in the broker's certificate into amqp.url",
        TlsFault::CertificateRequired => {
            "name the files of a client certificate in amqp.client_cert_file and amqp.client_key_file"
        }
        TlsFault::CertificateRefused => {
            "check that the certificate in amqp.client_cert_file has not expired and is signed by an authority that the \
             broker trusts"
        }
        TlsFault::Other => "check the port (5671 for amqps://), the broker's certificate and its host name",
    }
}

impl ConnectError {
    /// Returns whether the peer accepted the connection and then did not answer.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::TimedOut { .. })
    }
}

impl Link {
    /// Opens a channel.
    pub(super) async fn channel(&self) -> Result<Channel, CallError> {
        let opening = self.connection.create_channel();
        limited("channel.open", self.rpc_timeout, opening).await
    }

    /// Opens a channel on which the broker confirms each message that it has stored.
    pub(super) async fn confirm_channel(&self) -> Result<Channel, CallError> {
        let channel = self.channel().await?;
        let select = channel.confirm_select(ConfirmSelectOptions::default());
        limited("confirm.select", self.rpc_timeout, select).await?;
        Ok(channel)
    }

    /// Returns the marker of messages whose headers the guard has replaced.
    pub(super) fn marker(&self) -> &Marker {
        &self.marker
    }

    pub(super) fn rpc_timeout(&self) -> Duration {
        self.rpc_timeout
    }

    /// Returns the changes of the connection. Call it only once: lapin hands each event to only one of its listeners.
    pub(super) fn changes(&self) -> Changes {
        Changes { events: Box::pin(self.connection.events_listener()), status: self.connection.status().clone() }
    }

    /// Closes the connection in order, within at most `close_timeout`. Calls under way get an answer, if only an error.
    pub async fn close(&self) {
        let closing = self.connection.close(200, "OK".into());
        if let Err(error) = limited("connection.close", self.close_timeout, closing).await {
            tracing::debug!(%error, "broker connection was not closed cleanly");
        }
    }
}

/// A change of a connection.
#[derive(Debug)]
pub(super) enum Change {
    Blocked { reason: String },
    Unblocked,
    Lost(CallError),
}

/// The changes of one connection.
pub(super) struct Changes {
    events: Pin<Box<dyn Stream<Item = lapin::Event> + Send>>,
    status: ConnectionStatus,
}

impl Changes {
    /// Waits for the next change. Cancelling the wait loses nothing.
    pub(super) async fn next(&mut self) -> Change {
        loop {
            let event = self.events.next().await;
            let error = match event {
                Some(lapin::Event::ConnectionBlocked(reason)) => return Change::Blocked { reason },
                Some(lapin::Event::ConnectionUnblocked) => return Change::Unblocked,
                Some(lapin::Event::Error(source)) => CallError::Failed { call: "the connection", source },
                Some(lapin::Event::Connected | lapin::Event::SendFlow(_) | _) => continue,
                None => CallError::Lost { cause: "closed".to_owned() },
            };
            // lapin also reports a channel that the broker closes as an error.
            if !self.status.connected() {
                return Change::Lost(error);
            }
        }
    }
}
