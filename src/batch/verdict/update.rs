//! Decides what follows the failure of a request that writes fields of cases.

use super::answer::{ApiError, FieldRefusal};
use super::{Verdict, after_failed_read};

/// What the failure of such a request means for its cases.
#[derive(Clone, Debug, PartialEq)]
pub enum UpdateFailure {
    /// The fields may have been written: the cases are read again, once the request can no longer be carried out.
    Unclear(Verdict),
    /// Testmo refused what was sent; nothing was written.
    Refused(Vec<FieldRefusal>),
    /// Nothing was written, and what was sent is not to blame.
    NotWritten(Verdict),
}

/// Decides what the failure of a request that writes fields of cases means. Such a request creates nothing.
pub fn after_failed_update(error: &ApiError) -> UpdateFailure {
    match error {
        ApiError::Invalid(refusals) => UpdateFailure::Refused(refusals.all()),
        ApiError::TooLarge | ApiError::Rejected { .. } => {
            UpdateFailure::Refused(vec![FieldRefusal { field: String::new(), message: error.to_string() }])
        }
        ApiError::NotTestmo { .. } if error.may_have_committed() => UpdateFailure::Unclear(after_failed_read(error)),
        ApiError::Server { .. }
        | ApiError::TimedOut
        | ApiError::Broken(_)
        | ApiError::Unreadable(_)
        | ApiError::Inconclusive { .. } => UpdateFailure::Unclear(after_failed_read(error)),
        ApiError::AddressRefused(_)
        | ApiError::UnknownHost
        | ApiError::Unreachable(_)
        | ApiError::NoSocket(_)
        | ApiError::Tls(_)
        | ApiError::Untrusted(_)
        | ApiError::KeyRefused
        | ApiError::Forbidden
        | ApiError::Missing
        | ApiError::NotTestmo { .. }
        | ApiError::Throttled { .. }
        | ApiError::NotProcessed { .. } => UpdateFailure::NotWritten(after_failed_read(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::Refusals;
    use super::*;
    use crate::batch::Reason;

    #[test]
    fn whatever_may_have_been_carried_out_is_unclear() {
        let errors = [
            ApiError::UnknownHost,
            ApiError::Unreachable("x".into()),
            ApiError::NoSocket("x".into()),
            ApiError::KeyRefused,
            ApiError::Forbidden,
            ApiError::Missing,
            ApiError::NotTestmo { status: 301 },
            ApiError::NotTestmo { status: 302 },
            ApiError::NotTestmo { status: 200 },
            ApiError::TooLarge,
            ApiError::Invalid(Refusals::default()),
            ApiError::Throttled { retry_after: None },
            ApiError::Rejected { status: 400 },
            ApiError::NotProcessed { status: 425 },
            ApiError::Inconclusive { status: 408 },
            ApiError::Server { status: 500 },
            ApiError::TimedOut,
            ApiError::Broken("x".into()),
            ApiError::Unreadable("x".into()),
        ];
        for error in errors {
            let is_unclear = matches!(after_failed_update(&error), UpdateFailure::Unclear(_));
            assert_eq!(is_unclear, error.may_have_committed(), "{error:?}");
        }
    }

    #[test]
    fn the_connection_is_to_blame_for_what_it_is_to_blame_for_everywhere() {
        assert_eq!(
            after_failed_update(&ApiError::KeyRefused),
            UpdateFailure::NotWritten(Verdict::Park(Reason::KeyRefused))
        );
        let said = after_failed_update(&ApiError::Rejected { status: 400 });
        assert!(matches!(said, UpdateFailure::Refused(said) if said[0].message.contains("400")));
    }
}
