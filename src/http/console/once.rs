//! Shows a secret once, right after it was made.

use askama::Template;

use super::frame::Frame;

/// A secret that was just made; it is not stored, and the page is not kept.
#[derive(Template)]
#[template(path = "once.html")]
pub(super) struct Once {
    pub(super) frame: Frame,
    /// What was made.
    pub(super) what: String,
    pub(super) secret: String,
    /// The address that it opens.
    pub(super) open: Option<String>,
    /// Where to go then.
    pub(super) back: String,
}
