//! Reads the certificates with which a connection to the broker is encrypted, for each connection, because they are renewed in place.

use std::path::{Path, PathBuf};

use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Amqp;

/// A file that cannot be used, and why.
pub(super) struct Unusable {
    pub(super) file: PathBuf,
    pub(super) cause: String,
}

/// Returns the authority to trust beside those of the system, and the certificate of the client, as far as they are configured.
///
/// # Errors
/// When a file cannot be read, or holds something else.
pub(super) fn certificates(config: &Amqp) -> Result<OwnedTLSConfig, Unusable> {
    let authority = config.ca_file.as_deref().map(|file| read(file, is_certificate, "certificate")).transpose()?;
    let identity = match (&config.client_cert_file, &config.client_key_file) {
        (Some(certificate), Some(key)) => Some(OwnedIdentity::PKCS8 {
            pem: read(certificate, is_certificate, "certificate")?,
            key: read(key, is_key, "private key")?,
        }),
        (Some(_) | None, _) => None,
    };
    let cert_chain = authority.map(|pem| String::from_utf8_lossy(&pem).into_owned());
    Ok(OwnedTLSConfig { identity, cert_chain })
}

fn read(file: &Path, is_right: fn(&[u8]) -> bool, what: &str) -> Result<Vec<u8>, Unusable> {
    let unusable = |cause: String| Unusable { file: file.into(), cause };
    let bytes = std::fs::read(file).map_err(|error| unusable(error.to_string()))?;
    if is_right(&bytes) { Ok(bytes) } else { Err(unusable(format!("it holds no {what} in PEM"))) }
}

fn is_certificate(pem: &[u8]) -> bool {
    let mut found = CertificateDer::pem_slice_iter(pem).peekable();
    found.peek().is_some() && found.all(|certificate| certificate.is_ok())
}

fn is_key(pem: &[u8]) -> bool {
    PrivateKeyDer::from_pem_slice(pem).is_ok()
}
