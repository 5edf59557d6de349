//! Holds the filters that templates use by name.

#![expect(unreachable_pub, reason = "the macro makes a public type of each filter")]

use super::moment;
use super::short::short as shortened;

/// Writes a number with spaces between its thousands.
#[askama::filter_fn]
pub(super) fn grouped(number: &u64, _: &dyn askama::Values) -> askama::Result<String> {
    Ok(moment::grouped(*number))
}

/// Cuts a text that others chose and that may be of any length.
#[askama::filter_fn]
pub(super) fn short(text: &str, _: &dyn askama::Values) -> askama::Result<String> {
    Ok(shortened(text))
}

/// Returns an address that a page may link to: one of the web.
#[askama::filter_fn]
pub(super) fn web(address: &str, _: &dyn askama::Values) -> askama::Result<String> {
    let is_of_web = address.starts_with("https://") || address.starts_with("http://");
    Ok(if is_of_web { address.to_owned() } else { "#".to_owned() })
}
