//! Ends the process at a point that `COURIER_CRASH_AT` names, in builds for tests.
//!
//! Invariant: a release build contains nothing of this. `docs/architecture.md` lists what a crash at each point leaves;
//! a kill from outside hits these points too seldom to test that.

/// A point on the path of a batch, right after something that a crash must not undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failpoint {
    /// Its cases are claimed, and nothing was sent.
    Claim,
    /// A create request has ended, and nothing of it is recorded.
    Push,
    /// A create request for a folder has ended, and nothing of it is stored.
    Folder,
    /// The end of a push is recorded, and the batch goes on.
    Record,
    /// Cases whose fields are to be written are claimed, and nothing was sent.
    UpdateClaim,
    /// A request that writes fields of cases has ended, and nothing of it is recorded.
    Update,
    /// Rows were read from Testmo, and nothing of them is recorded.
    Reconcile,
    /// It is finished, not acknowledged, and its event waits in the outbox.
    Settle,
    /// It is on the shelf, and not acknowledged.
    Park,
    /// It is acknowledged.
    Ack,
    /// Its event is confirmed by the broker, and not marked as sent.
    Publish,
}

#[cfg(not(debug_assertions))]
pub(super) fn after(_: Failpoint) {}

#[cfg(debug_assertions)]
pub(super) use self::ordered::{after, order};

#[cfg(debug_assertions)]
mod ordered {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use crate::worker::failpoint::Failpoint;

    /// The order of this process: a crash ends all of it, so there is one for all workers in it.
    static ORDER: OnceLock<Order> = OnceLock::new();

    #[derive(Debug)]
    struct Order {
        at: Failpoint,
        passings_left: AtomicU32,
    }

    const POINTS: [(&str, Failpoint); 11] = [
        ("after_claim", Failpoint::Claim),
        ("after_push", Failpoint::Push),
        ("after_folder", Failpoint::Folder),
        ("after_record", Failpoint::Record),
        ("after_update_claim", Failpoint::UpdateClaim),
        ("after_update", Failpoint::Update),
        ("after_reconcile", Failpoint::Reconcile),
        ("after_settle", Failpoint::Settle),
        ("after_park", Failpoint::Park),
        ("after_ack", Failpoint::Ack),
        ("after_publish", Failpoint::Publish),
    ];

    /// Records an order such as `after_claim:3`: to end at the third passing of a point.
    ///
    /// # Panics
    /// When the order cannot be read: a test whose order has no effect would prove nothing.
    pub(in crate::worker) fn order(text: &str) {
        let order = parse(text).unwrap_or_else(|| panic!("COURIER_CRASH_AT cannot be {text:?}"));
        // Several workers of one process, as in tests, share the first order.
        drop(ORDER.set(order));
    }

    fn parse(text: &str) -> Option<Order> {
        let (name, passings) = text.split_once(':')?;
        let at = POINTS.iter().find(|(known, _)| *known == name)?.1;
        let passings = passings.parse().ok().filter(|passings| *passings > 0)?;
        Some(Order { at, passings_left: AtomicU32::new(passings) })
    }

    /// Ends the process as a crash would, if it was ordered to end at this passing of this point.
    pub(in crate::worker) fn after(point: Failpoint) {
        let Some(order) = ORDER.get().filter(|order| order.at == point) else { return };
        if order.passings_left.fetch_sub(1, Ordering::SeqCst) == 1 {
            tracing::error!(?point, "ending at a failpoint");
            std::process::abort();
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn an_order_names_a_point_and_a_passing() {
            for (name, point) in POINTS {
                let order = parse(&format!("{name}:3")).unwrap();
                assert_eq!((order.at, order.passings_left.into_inner()), (point, 3));
            }
            for wrong in ["after_claim", "after_claim:", "after_claim:0", "after_lunch:1", "after_claim:x", ""] {
                assert!(parse(wrong).is_none(), "{wrong}");
            }
        }
    }
}
