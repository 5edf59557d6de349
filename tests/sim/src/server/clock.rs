//! Reads the machine's clock, at the only place that does so.

use jiff::Timestamp;

use crate::time::Time;

/// Returns the current time.
pub(crate) fn now() -> Time {
    Time(Timestamp::now().as_millisecond())
}
