//! Names what keeps a TLS connection to the broker or to the store from being established.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError};

/// What keeps a TLS connection from being established.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// The server's certificate is signed by an authority that is not trusted.
    UnknownAuthority,
    /// The server's certificate has expired.
    Expired,
    /// The server's certificate is not valid yet.
    NotYetValid,
    /// The server's certificate is for another host.
    OtherHost,
    /// The server ended the handshake, as it does where it requires a certificate of the client.
    CertificateRequired,
    /// The server did not accept the certificate of the client.
    CertificateRefused,
    /// Anything else.
    Other,
}

impl TlsFault {
    /// Returns the fault that an error is about, if it is one of TLS.
    pub fn in_error(error: &(dyn Error + 'static)) -> Option<Self> {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(Self::of(tls));
        }
        // An I/O error names the source of what it holds, and not what it holds.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source()).and_then(Self::in_error)
    }

    /// Returns what a person reads about the fault.
    pub fn words(self) -> Option<&'static str> {
        match self {
            Self::UnknownAuthority => Some("its certificate is signed by an authority that is not trusted"),
            Self::Expired => Some("its certificate has expired"),
            Self::NotYetValid => Some("its certificate is not valid yet"),
            Self::OtherHost => Some("its certificate is for another host"),
            Self::CertificateRequired => Some("it ended the handshake, and may require a client certificate"),
            Self::CertificateRefused => Some("it ended the handshake, and may not accept the client certificate"),
            Self::Other => None,
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the enums are not exhaustive; other faults have no remedy of their own"
    )]
    fn of(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(found) => match found {
                CertificateError::UnknownIssuer => Self::UnknownAuthority,
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Self::OtherHost,
                _ => Self::Other,
            },
            rustls::Error::AlertReceived(alert) => match alert {
                AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure => Self::CertificateRequired,
                AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
                | AlertDescription::DecryptError => Self::CertificateRefused,
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_found_however_deep_it_lies() {
        let deep =
            io::Error::other(io::Error::other(rustls::Error::AlertReceived(AlertDescription::CertificateRequired)));
        assert_eq!(TlsFault::in_error(&deep), Some(TlsFault::CertificateRequired));
        assert_eq!(TlsFault::in_error(&io::Error::other("reset")), None);
        for (found, fault) in [
            (CertificateError::UnknownIssuer, TlsFault::UnknownAuthority),
            (CertificateError::Expired, TlsFault::Expired),
            (CertificateError::NotValidYet, TlsFault::NotYetValid),
            (CertificateError::NotValidForName, TlsFault::OtherHost),
            (CertificateError::BadSignature, TlsFault::Other),
        ] {
            let error = rustls::Error::InvalidCertificate(found);
            assert_eq!(TlsFault::in_error(&error), Some(fault));
            assert_eq!(fault.words().is_none(), fault == TlsFault::Other);
        }
    }
}
