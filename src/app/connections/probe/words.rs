//! Words what is assumed of Testmo, and what follows where it does not hold.

use crate::store::connections::{Assumption, Found};

/// Returns the assumption as a sentence.
pub fn sentence(assumption: Assumption) -> &'static str {
    match assumption {
        Assumption::DateHeader => "Answers have a Date that is close to this machine's clock",
        Assumption::CreatedAtUtc => "The times of creation are UTC",
        Assumption::SortAccepted => "Lists of cases can be sorted by id",
        Assumption::ListOrder => "Lists of cases come in the order that is asked for",
        Assumption::ListPages => "A page has as many rows as asked for, and pages do not overlap",
        Assumption::FolderFilter => "folder_id lists the cases of this folder alone",
        Assumption::TagFilter => "tags lists the cases with this tag alone",
        Assumption::TagFilterAny => "Several tags list the cases with any of them",
        Assumption::TagsListed => "Lists show the tags of cases",
        Assumption::IdsAscend => "Ids ascend in the order in which cases are created",
        Assumption::TemplatesListed => "Templates can be listed",
        Assumption::StatesListed => "States can be listed",
        Assumption::FieldsListed => "Fields can be listed",
        Assumption::FieldKinds => "Each field has a column and a kind",
        Assumption::RetryAfter => "A 429 says in Retry-After for how long",
        Assumption::RightToCreate => "The key's user may create cases",
        Assumption::ListedAtOnce => "A new case is listed at once",
        Assumption::NamesKept => "Names stay as they are, except for blanks at their ends",
        Assumption::NameEndsTrimmed => "Blanks at the ends of names are removed",
        Assumption::TextKept => "Text is shown as it was written",
        Assumption::MarkupKept => "HTML stays as it is, except for &",
        Assumption::TagLength => "Tags of 32 characters are accepted",
        Assumption::TagCase => "Capitals in tags become small letters",
        Assumption::TagCharacters => "Tags with blanks or dots are refused",
        Assumption::RightToEdit => "The key's user may edit cases",
        Assumption::RightToDelete => "The key's user may delete cases",
    }
}

/// Returns what follows where the assumption does not hold.
pub fn consequence(assumption: Assumption) -> &'static str {
    match assumption {
        Assumption::DateHeader => "After an unknown outcome more of a list is read; nothing else depends on it.",
        Assumption::CreatedAtUtc => {
            "After an unknown outcome lists are read further back. Cases are recognized by their batch tag, whatever their \
             time."
        }
        Assumption::SortAccepted | Assumption::ListOrder => {
            "After an unknown outcome the list of the folder is read to its end, which takes longer in a folder with many \
             cases."
        }
        Assumption::ListPages => {
            "After an unknown outcome cases may be missed and created twice: report this, and give each generator a folder \
             with few cases."
        }
        Assumption::FolderFilter => "Lists are longer. Cases of other folders are passed over.",
        Assumption::TagFilter | Assumption::TagFilterAny => {
            "After an unknown outcome the newest cases of the folder are read without the filter."
        }
        Assumption::TagsListed => {
            "After an unknown outcome cases are not recognized, and may be created twice: report this."
        }
        Assumption::IdsAscend => {
            "After an unknown outcome a person decides about each case with the batch's tag; nothing is sent again."
        }
        Assumption::TemplatesListed | Assumption::StatesListed | Assumption::FieldsListed | Assumption::FieldKinds => {
            "Write ids and columns instead of names in the mapping; they are not compared with Testmo."
        }
        Assumption::RetryAfter => "Without it, requests to the account pause for 60 s after a 429.",
        Assumption::RightToCreate => {
            "Batches wait. Give the key's user the right \"Edit repository\", or correct the fields that Testmo names in \
             the mapping."
        }
        Assumption::ListedAtOnce => {
            "Raise testmo.reconcile_delay_answered and testmo.reconcile_delay_unanswered above the time that the list \
             takes."
        }
        Assumption::NameEndsTrimmed => "Nothing: names are sent without blanks at their ends.",
        Assumption::NamesKept => {
            "After an unknown outcome a case whose name changed is left to a person (`unclear_in_testmo`). Keep `batch_tag` on \
             in the mapping: without it such a case is created again."
        }
        Assumption::TextKept => "People read texts other than those of the generator: report this.",
        Assumption::MarkupKept => "Only HTML that a generator writes into `fields` is affected; texts are encoded.",
        Assumption::TagLength => {
            "Testmo refuses cases with long tags. The batch tag has 17 characters; keep other tags short."
        }
        Assumption::TagCase | Assumption::TagCharacters => {
            "Nothing: tags are sent in small letters, and without other characters."
        }
        Assumption::RightToEdit | Assumption::RightToDelete => {
            "Nothing for batches: a worker does neither. Delete the probe's case in Testmo."
        }
    }
}

/// Returns the words for a result.
pub fn word(found: Found) -> &'static str {
    match found {
        Found::Holds => "holds",
        Found::DoesNotHold => "does not hold",
        Found::NotSeen => "not seen",
    }
}
