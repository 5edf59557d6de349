//! Shows how far a command has come.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Returns a progress bar on standard error, if that is a terminal.
pub(super) fn bar(all: u64, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}  {elapsed}");
    let bar = ProgressBar::with_draw_target(Some(all), ProgressDrawTarget::stderr()).with_message(what);
    style.map(|style| bar.clone().with_style(style)).unwrap_or(bar)
}
