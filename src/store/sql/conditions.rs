//! Builds the `WHERE` clause of a statement from the conditions that apply.

use super::Bound;

/// Conditions that all have to hold, with their parameters.
#[derive(Default)]
pub(in crate::store) struct Conditions {
    conditions: Vec<String>,
    parameters: Vec<Bound>,
}

impl Conditions {
    /// Adds a condition that needs no parameter.
    pub(in crate::store) fn fixed(mut self, condition: &str) -> Self {
        self.conditions.push(condition.to_owned());
        self
    }

    /// Adds a comparison, such as `tenant_id =`, with a value if there is one.
    pub(in crate::store) fn maybe(mut self, comparison: &str, value: Option<Bound>) -> Self {
        if let Some(value) = value {
            let placeholder = self.parameter(value);
            self.conditions.push(format!("{comparison} {placeholder}"));
        }
        self
    }

    /// Adds a parameter, and returns its placeholder for another part of the statement.
    pub(in crate::store) fn parameter(&mut self, value: Bound) -> String {
        self.parameters.push(value);
        format!("${}", self.parameters.len())
    }

    /// Returns the `WHERE` clause, which is empty where there are no conditions.
    pub(in crate::store) fn clause(&self) -> String {
        if self.conditions.is_empty() { String::new() } else { format!("WHERE {}", self.conditions.join(" AND ")) }
    }

    /// Returns the parameters, in the order of their placeholders.
    pub(in crate::store) fn into_parameters(self) -> Vec<Bound> {
        self.parameters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_conditions_with_a_value_are_in_the_clause() {
        let mut conditions = Conditions::default()
            .maybe("a =", None)
            .maybe("b >=", Some(Bound::Int(1)))
            .fixed("c > 0")
            .maybe("d =", Some(Bound::Int(2)));
        let limit = conditions.parameter(Bound::Int(3));
        assert_eq!((conditions.clause().as_str(), limit.as_str()), ("WHERE b >= $1 AND c > 0 AND d = $2", "$3"));
        assert_eq!(conditions.into_parameters().len(), 3);
        assert_eq!(Conditions::default().clause(), "");
    }
}
