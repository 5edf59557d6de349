//! Shows everything on the shelf that has one cause, in one line or on a page of its own.

use super::frame::Frame;
use super::moment::Moment;
use super::steps::{Entries, Step, steps};
use crate::app::attention::Party;
use crate::app::shelf::Group;

/// A cause.
#[derive(Clone, Debug)]
pub(super) struct CauseLine {
    pub(super) id: String,
    pub(super) title: &'static str,
    /// What is wrong, in a sentence.
    pub(super) sentence: &'static str,
    pub(super) remedy: &'static str,
    /// What the details of its entries have in common.
    pub(super) shape: String,
    /// Who has to act.
    pub(super) who: &'static str,
    pub(super) entries: u64,
    pub(super) dead: u64,
    pub(super) parked: u64,
    pub(super) cases: u64,
    /// Entries whose cases are not counted yet.
    pub(super) uncounted: u64,
    /// How many entries each tenant has.
    pub(super) tenants: Vec<(Option<String>, u64)>,
    pub(super) since: Moment,
    pub(super) last: Moment,
    pub(super) note: Option<Note>,
    pub(super) steps: Vec<Step>,
}

/// What a person has noted.
#[derive(Clone, Debug)]
pub(super) struct Note {
    pub(super) text: String,
    pub(super) actor: String,
    pub(super) at: Moment,
}

impl CauseLine {
    /// Shows a group to a viewer at `now`. Whose token is for one tenant sees no note, which is about every tenant.
    pub(super) fn of(group: &Group, frame: &Frame, now: i64) -> Self {
        let at = |at: i64| Moment { at, now };
        let mut selection = vec![("group", group.cause.to_string())];
        let own = frame.viewer.as_ref().and_then(|viewer| viewer.tenant.clone());
        selection.extend(own.map(|tenant| ("tenant", tenant)));
        let entries = Entries { selection, count: group.entries() };
        let note = group.note.as_ref().filter(|_| frame.sees_all());
        let (title, sentence, remedy) = match group.reason {
            Some(reason) => (reason.title(), reason.cause(), reason.remedy()),
            None => (
                "A reason that this version does not know",
                "The batches are on the shelf for a reason that this version does not know.",
                "Run the newest version on every worker.",
            ),
        };
        Self {
            id: group.cause.to_string(),
            title,
            sentence,
            remedy,
            shape: group.shape.clone(),
            who: match Party::of(group.reason) {
                Party::Generator => "the generator",
                Party::Tenant => "the tenant",
                Party::Support => "support",
                Party::Operator => "the operator",
            },
            entries: group.entries(),
            dead: group.dead,
            parked: group.parked,
            cases: group.cases,
            uncounted: group.uncounted,
            tenants: group.tenants.iter().map(|(tenant, n)| (tenant.as_ref().map(ToString::to_string), *n)).collect(),
            since: at(group.first_at),
            last: at(group.last_at),
            note: note.map(|note| Note { text: note.text.clone(), actor: note.actor.clone(), at: at(note.at) }),
            steps: steps(&group.commands, &entries, frame),
        }
    }

    /// Returns what helps most.
    pub(super) fn main(&self) -> Option<&Step> {
        self.steps.first()
    }
}
