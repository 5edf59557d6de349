//! Serves the style sheet, the script and the icon, each under an address that names its content.

use std::io::Write;
use std::sync::LazyLock;

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_ENCODING;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// A file that pages load.
pub(super) struct Asset {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) content: &'static str,
    /// The same content, compressed by gzip. Pages are not compressed: a page may hold a secret beside a text of somebody else,
    /// and its length would then say something about the secret.
    pub(super) compressed: Vec<u8>,
    hash: String,
}

/// Every file that pages load.
static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [
        Asset::of("console.css", "text/css; charset=utf-8", include_str!("assets/console.css")),
        Asset::of("console.js", "text/javascript; charset=utf-8", include_str!("assets/console.js")),
        Asset::of("icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
    ]
});

impl Asset {
    fn of(name: &'static str, kind: &'static str, content: &'static str) -> Self {
        let digest = Sha256::digest(content.as_bytes());
        let hash = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        Self { name, kind, content, compressed: compressed(content.as_bytes()), hash }
    }

    /// Returns whether an address names the content that is served; another one is not to be kept.
    pub(super) fn is(&self, hash: &str) -> bool {
        self.hash == hash
    }
}

/// Compresses what is sent often, so as small as possible.
fn compressed(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing to memory does not fail.
    match encoder.write_all(content).and_then(|()| encoder.finish()) {
        Ok(compressed) => compressed,
        Err(error) => unreachable!("memory takes every byte: {error}"),
    }
}

/// Returns whether a browser takes an answer that gzip has compressed.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let named = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|header| header.to_str().ok());
    let mut codings = named.flat_map(|header| header.split(','));
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_ok_and(|weight| weight > 0.0)
    })
}

/// Returns the file of a name.
pub(super) fn asset(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

/// Returns the address of a file.
pub(super) fn address(name: &str) -> String {
    asset(name).map_or_else(String::new, |asset| format!("/assets/{}?v={}", asset.name, asset.hash))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use axum::http::HeaderValue;
    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn a_file_is_compressed_for_a_browser_that_takes_it() {
        for (accepted, expected) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, GZIP;q=0.5", true),
            ("gzip;q=0, identity", false),
            ("gzip;q=x", false),
            ("br", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(accepted))]);
            assert_eq!(takes_gzip(&headers), expected, "{accepted}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn what_is_compressed_is_the_whole_content() {
        for asset in &*ASSETS {
            let mut content = String::new();
            GzDecoder::new(asset.compressed.as_slice()).read_to_string(&mut content).unwrap();
            assert_eq!(content, asset.content, "{}", asset.name);
        }
    }
}
