//! Serves the style sheet, the script and the icon, each under an address that names its content.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

/// A file that pages load.
pub(super) struct Asset {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) content: &'static str,
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
        Self { name, kind, content, hash }
    }

    /// Returns whether an address names the content that is served; another one is not to be kept.
    pub(super) fn is(&self, hash: &str) -> bool {
        self.hash == hash
    }
}

/// Returns the file of a name.
pub(super) fn asset(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

/// Returns the address of a file.
pub(super) fn address(name: &str) -> String {
    asset(name).map_or_else(String::new, |asset| format!("/assets/{}?v={}", asset.name, asset.hash))
}
