//! What time is it? The only place that asks the machine.

use jiff::Timestamp;

use crate::time::Time;

/// The current time.
pub(crate) fn now() -> Time {
    Time(Timestamp::now().as_millisecond())
}
