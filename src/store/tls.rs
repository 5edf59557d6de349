//! Says what a person can do where a TLS connection to the database is not established.

use crate::tls_fault::TlsFault;

/// Returns what a person can do about a fault of TLS.
pub(super) fn remedy(fault: TlsFault) -> &'static str {
    match fault {
        TlsFault::UnknownAuthority => {
            "name the file with the certificate of its authority by sslrootcert=FILE in store.url"
        }
        TlsFault::Expired => "renew the database's certificate, or set the clock of this machine if it is wrong",
        TlsFault::NotYetValid => "set the clock of this machine",
        TlsFault::OtherHost => "write the host name that is in the database's certificate into store.url",
        TlsFault::CertificateRequired => {
            "name the files of a client certificate by sslcert=FILE and sslkey=FILE in store.url"
        }
        TlsFault::CertificateRefused => {
            "check that the client certificate, sslcert in store.url, has not expired and is signed by an authority that the \
             database trusts"
        }
        TlsFault::Other => {
            "check sslmode, sslrootcert, sslcert and sslkey in store.url, and the database's certificate"
        }
    }
}
