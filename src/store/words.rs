//! Separates what is wrong with the store from what a person can do about it.

use super::StoreError;

impl StoreError {
    /// Returns what is wrong, and what a person can do about it.
    pub fn fact_and_remedy(&self) -> (String, String) {
        let text = self.to_string();
        let parts = match self {
            // The rest of their texts is what a library says.
            Self::Database(_) | Self::Migration(_) | Self::Malformed(_) | Self::Closed => {
                return (text, "check store.url, the owner of the store, and the free space on its disk".to_owned());
            }
            Self::Data(_) | Self::Panicked(_) => {
                return (text, "report this defect with the log lines before this one".to_owned());
            }
            Self::Encoding { .. } => text.split_once(": "),
            Self::Missing(_)
            | Self::InUse(_)
            | Self::SetBack { .. }
            | Self::Restored
            | Self::Incomplete(_)
            | Self::Moved { .. }
            | Self::Occupied { .. }
            | Self::Away(_)
            | Self::Tls { .. }
            | Self::Refused(_)
            | Self::NoDatabase(_)
            | Self::Full(_)
            | Self::Pooler(_)
            | Self::Slow(_)
            | Self::Exhausted(_)
            | Self::NoRoom(_)
            | Self::Locked(_)
            | Self::ReadOnly(_)
            | Self::NotOpened(_)
            | Self::Disk(_)
            | Self::Damaged(_)
            | Self::Forbidden(_)
            | Self::NotWritable(_)
            | Self::Unreadable(_)
            | Self::Newer => text.rsplit_once(": "),
        };
        let (fact, remedy) = parts.unwrap_or((&text, "check store.url"));
        (fact.to_owned(), remedy.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_remedy_is_no_part_of_what_a_library_says() {
        for (error, fact, remedy) in [
            (StoreError::Away("a: b".into()), "the store does not respond (a: b)", "check that the database runs"),
            (StoreError::Newer, "the store was created by a newer version", "run that version"),
            (
                StoreError::Database(Arc::new(sqlx::Error::Protocol("a: b".into()))),
                "the store failed: ",
                "check store.url",
            ),
            (StoreError::Panicked("a: b".into()), "a defect stopped the work: a: b", "report this defect"),
            (StoreError::Closed, "the store is closed", "check store.url"),
        ] {
            let (said, what_to_do) = error.fact_and_remedy();
            assert!(said.starts_with(fact) && what_to_do.starts_with(remedy), "{said} / {what_to_do}");
        }
    }
}
