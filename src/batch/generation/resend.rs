//! Decides whether cases are sent again after Testmo refused a request that changes or deletes them.

use std::collections::BTreeSet;

use crate::batch::verdict::answer::FieldRefusal;

/// What was learned from refusals of requests that change or delete cases.
#[derive(Debug, Default)]
pub struct Resend {
    /// Whether each case is sent in a request of its own, as Testmo refused one with several.
    is_apart: bool,
    /// Columns that Testmo asked for in every request.
    asked_for: BTreeSet<String>,
    /// Cases that are read again, as Testmo refused an id of a request with them.
    read_again: BTreeSet<u64>,
}

impl Resend {
    /// Returns whether each case is sent in a request of its own.
    pub fn is_apart(&self) -> bool {
        self.is_apart
    }

    /// Has each case be sent in a request of its own.
    pub fn go_apart(&mut self) {
        self.is_apart = true;
    }

    /// Returns the columns that Testmo asked for.
    pub fn asked_for(&self) -> impl Iterator<Item = &str> {
        self.asked_for.iter().map(String::as_str)
    }

    /// Returns whether the cases of a refused request are read and sent again: those that are still there, if one has just
    /// been deleted; with a field that Testmo asks for and that was not sent; or one by one where there were several.
    ///
    /// A case is read again once only for a refused id, so that this comes to an end with any Testmo.
    pub fn after(&mut self, said: &[FieldRefusal], is_sent: impl Fn(&str) -> bool, ids: &[u64]) -> bool {
        let (of_ids, of_fields): (Vec<_>, Vec<_>) = said.iter().partition(|said| said.names_an_id());
        let asked_for = of_fields.iter().map(|said| &said.field);
        let asked_for = asked_for.filter(|field| !field.is_empty() && !is_sent(field));
        let is_new = asked_for.filter(|field| self.asked_for.insert((*field).clone())).count() > 0;
        let is_read_again = !of_ids.is_empty() && ids.iter().filter(|id| self.read_again.insert(**id)).count() > 0;
        if is_new || is_read_again {
            return true;
        }
        self.is_apart |= ids.len() > 1;
        ids.len() > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(fields: &[&str]) -> Vec<FieldRefusal> {
        fields.iter().map(|field| FieldRefusal { field: (*field).into(), message: "no".into() }).collect()
    }

    #[test]
    fn a_refused_id_is_no_column_and_its_cases_are_read_again_once() {
        let mut resend = Resend::default();
        assert!(resend.after(&said(&["ids.1"]), |_| false, &[7, 8]));
        assert!(resend.after(&said(&["ids"]), |_| false, &[9]));
        assert_eq!((resend.asked_for().count(), resend.is_apart()), (0, false));
        // Both are still shown, and one is still refused.
        assert!(resend.after(&said(&["ids.1"]), |_| false, &[7, 8]));
        assert!(resend.is_apart());
        assert!(!resend.after(&said(&["ids.0"]), |_| false, &[8]));
    }

    #[test]
    fn a_field_that_was_not_sent_is_asked_for_once_and_several_cases_are_sent_one_by_one() {
        let mut resend = Resend::default();
        assert!(resend.after(&said(&["custom_risk"]), |_| false, &[7]));
        assert_eq!(resend.asked_for().collect::<Vec<_>>(), ["custom_risk"]);
        assert!(!resend.after(&said(&["custom_risk"]), |_| false, &[7]), "was asked for before");
        assert!(!resend.after(&said(&["name"]), |_| true, &[7]), "was sent");
        assert!(!resend.after(&said(&[""]), |_| false, &[7]));
        assert!(!resend.is_apart());
        assert!(resend.after(&said(&["name"]), |_| true, &[7, 8]));
        assert!(resend.is_apart());
    }
}
