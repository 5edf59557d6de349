//! Remembers for a piece of work to which batches it belongs, so that each request to Testmo carries their trace.
//!
//! A request is sent several calls below the code that knows its batches, and reads of a list go through further requests; none of
//! them decides anything by the trace. So it goes with the task, not with every call.

use super::context::TraceContext;

tokio::task_local! {
    static SCOPE: Scope;
}

/// The contexts of the batches to which a piece of work belongs, without those that have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    contexts: Vec<TraceContext>,
}

impl Scope {
    /// Returns the scope of work on batches with these contexts. Equal ones count once.
    pub fn of<'a>(contexts: impl IntoIterator<Item = Option<&'a TraceContext>>) -> Self {
        let mut scope = Self::default();
        for context in contexts.into_iter().flatten() {
            if !scope.contexts.contains(context) {
                scope.contexts.push(context.clone());
            }
        }
        scope
    }

    /// Returns the context that the work carries on: a request has one only. Of several it is the first one that is recorded.
    pub fn parent(&self) -> Option<&TraceContext> {
        self.contexts.iter().find(|context| context.is_sampled()).or(self.contexts.first())
    }

    /// Returns the contexts of its other batches.
    pub fn others(&self) -> impl Iterator<Item = &TraceContext> {
        let parent = self.parent().cloned();
        self.contexts.iter().filter(move |context| Some(*context) != parent.as_ref())
    }
}

/// Does a piece of work in a scope. It replaces the scope of the work around it.
pub async fn within<T>(scope: Scope, work: impl Future<Output = T>) -> T {
    SCOPE.scope(scope, work).await
}

/// Returns the scope of the work under way; an empty one if that belongs to no batch.
pub fn current() -> Scope {
    SCOPE.try_with(Scope::clone).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(trace: u8, flags: &str) -> TraceContext {
        let trace = format!("{trace:02x}").repeat(16);
        TraceContext::read(&format!("00-{trace}-00f067aa0ba902b7-{flags}"), None).unwrap()
    }

    #[test]
    fn of_several_batches_the_first_one_that_is_recorded_is_carried_on() {
        let (a, b, c) = (context(1, "00"), context(2, "01"), context(3, "01"));
        let scope = Scope::of([Some(&a), None, Some(&b), Some(&c), Some(&b)]);
        assert_eq!(scope.parent(), Some(&b));
        assert_eq!(scope.others().collect::<Vec<_>>(), [&a, &c]);
        assert_eq!(Scope::of([Some(&a)]).parent(), Some(&a), "it is handed on, although nobody records it");
        assert_eq!(Scope::of([None]).parent(), None);
    }

    #[tokio::test]
    async fn a_scope_holds_for_its_work_alone() {
        let scope = |trace| Scope::of([Some(&context(trace, "01"))]);
        assert_eq!(current(), Scope::default());
        let seen = within(scope(1), async {
            let inner = within(scope(2), async { current() }).await;
            (inner, current())
        });
        assert_eq!(seen.await, (scope(2), scope(1)));
        assert_eq!(current(), Scope::default());
    }
}
