//! Explains why a secure connection to Testmo was not established.

use std::io;

use rustls::CertificateError;

use crate::batch::verdict::answer::ApiError;

const UNKNOWN_AUTHORITY: &str = "the certificate is signed by an authority that this machine does not trust. If a proxy \
    inspects the traffic, add the certificate of the proxy's authority to the system's trusted certificates, or name a file \
    with it in SSL_CERT_FILE, and start the worker again";
const EXPIRED: &str = "the certificate has expired. If the clock of this machine is right, the certificate has to be \
    renewed where the connection ends: at Testmo, or at a proxy that inspects the traffic";
const NOT_YET_VALID: &str = "the certificate is not valid yet. Set the clock of this machine";
const REVOKED: &str = "the certificate has been revoked. It has to be renewed where the connection ends: at Testmo, or at a \
    proxy that inspects the traffic";

/// Returns the error of a handshake in words of its own where a person can do something about it.
pub(super) fn tls_trouble(error: &io::Error) -> ApiError {
    match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(found)) => of_certificate(found),
        Some(tls) => ApiError::Tls(tls.to_string()),
        None => ApiError::Unreachable(error.to_string()),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is not exhaustive; any other fault is reported unchanged")]
fn of_certificate(found: &CertificateError) -> ApiError {
    let words = match found {
        CertificateError::UnknownIssuer => UNKNOWN_AUTHORITY,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => EXPIRED,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => NOT_YET_VALID,
        CertificateError::Revoked => REVOKED,
        other => return ApiError::Tls(other.to_string()),
    };
    ApiError::Untrusted(words.into())
}

/// Returns the TLS error inside an I/O error, which may wrap another I/O error.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    inner.downcast_ref::<rustls::Error>().or_else(|| tls_error(inner.downcast_ref::<io::Error>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_of_a_certificate_that_a_person_can_fix_has_its_own_sentence() {
        for (found, remedy) in [
            (CertificateError::UnknownIssuer, "SSL_CERT_FILE"),
            (CertificateError::Expired, "renewed"),
            (CertificateError::NotValidYet, "Set the clock"),
            (CertificateError::Revoked, "revoked"),
        ] {
            let wrapped = io::Error::other(io::Error::other(rustls::Error::InvalidCertificate(found)));
            let ApiError::Untrusted(said) = tls_trouble(&wrapped) else { panic!("{remedy}") };
            assert!(said.contains(remedy), "{said}");
        }
    }

    #[test]
    fn a_certificate_of_another_host_and_what_is_no_tls_are_of_the_address() {
        for error in
            [rustls::Error::InvalidCertificate(CertificateError::NotValidForName), rustls::Error::HandshakeNotComplete]
        {
            assert!(matches!(tls_trouble(&io::Error::other(error)), ApiError::Tls(_)));
        }
        assert!(matches!(tls_trouble(&io::Error::other("reset")), ApiError::Unreachable(_)));
    }
}
