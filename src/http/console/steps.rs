//! Turns the commands that help with entries of the shelf into the buttons of a page.

use super::frame::Frame;
use super::moment::grouped;
use crate::app::shelf::{Deed, ShelfCommand};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Something that helps, with its button.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) label: String,
    /// What it does, or when it helps.
    pub(super) purpose: &'static str,
    /// The command that does the same.
    pub(super) line: String,
    pub(super) way: Way,
    /// Why the viewer may not do it.
    pub(super) barred: Option<String>,
}

/// What a button does.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// It sends a form.
    Send {
        /// Where to.
        action: &'static str,
        /// What the form has in it.
        fields: Vec<(&'static str, String)>,
    },
    /// It opens a page.
    Open(String),
}

/// The entries that the commands are about.
#[derive(Clone, Debug)]
pub(super) struct Entries {
    /// How they are selected, as fields of forms and queries.
    pub(super) selection: Vec<(&'static str, String)>,
    /// How many there are.
    pub(super) count: u64,
}

impl Entries {
    /// Returns the selection as a query.
    pub(super) fn query(&self) -> String {
        let mut writer = url::form_urlencoded::Serializer::new(String::new());
        writer.extend_pairs(&self.selection);
        writer.finish()
    }
}

/// Writes a part of a path.
pub(super) fn in_path(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Returns the address of the page of a batch that is named as `TENANT/BATCH`.
pub(super) fn batch_address(key: &str) -> String {
    let (tenant, batch) = key.split_once('/').unwrap_or((key, ""));
    format!("/batches/{}/{}", in_path(tenant), in_path(batch))
}

/// Returns a button for each command.
pub(super) fn steps(commands: &[ShelfCommand], entries: &Entries, frame: &Frame) -> Vec<Step> {
    commands.iter().map(|command| step(command, entries, frame)).collect()
}

fn step(command: &ShelfCommand, entries: &Entries, frame: &Frame) -> Step {
    let open = |address: String| Way::Open(address);
    let count = grouped(entries.count);
    let (label, way, barred) = match &command.deed {
        Deed::Replay { unchanged_too } => {
            let mut fields = entries.selection.clone();
            fields.push(("expected", entries.count.to_string()));
            fields.extend(unchanged_too.then(|| ("unchanged", "yes".to_owned())));
            (format!("Replay {count}"), Way::Send { action: "/replays", fields }, frame.operate_all())
        }
        Deed::Discard => {
            (format!("Discard {count}…"), open(format!("/failures/discard?{}", entries.query())), frame.operate())
        }
        Deed::Edit(id) => ("Edit the message".into(), open(format!("/entries/{id}/edit")), frame.operate()),
        Deed::SetField => {
            (format!("Set a field in {count}…"), open(format!("/failures/set?{}", entries.query())), frame.operate())
        }
        Deed::ChooseOnRepeat(choice) => {
            let set =
                url::form_urlencoded::byte_serialize(format!("on_repeat={choice}").as_bytes()).collect::<String>();
            let address = format!("/failures/set?{}&set={set}", entries.query());
            (format!("Choose “{choice}”…"), open(address), frame.operate())
        }
        Deed::Candidates(id) => ("Decide on cases".into(), open(format!("/entries/{id}/candidates")), frame.operate()),
        Deed::Save(id) => ("Save the message".into(), open(format!("/entries/{id}/body")), None),
        Deed::List => ("List the entries".into(), open(format!("/failures/entries?{}", entries.query())), None),
        Deed::SetConnection(tenant) => (
            "Open the connection".into(),
            open(format!("/tenants/{}#connection", in_path(tenant.as_str()))),
            frame.administer(),
        ),
        Deed::VerifyConnection(tenant) => {
            ("Verify the connection".into(), open(format!("/tenants/{}", in_path(tenant.as_str()))), frame.operate())
        }
        Deed::DraftMapping(tenant) => (
            "Change the mapping".into(),
            open(format!("/tenants/{}/mapping", in_path(tenant.as_str()))),
            frame.administer(),
        ),
        Deed::ResumeLane { lane, now } => {
            let mut fields = vec![("lane", lane.clone())];
            fields.extend(now.then(|| ("now", "yes".to_owned())));
            ("Resume sending".into(), Way::Send { action: "/lanes/resume", fields }, frame.operate())
        }
        Deed::Story(key) => ("Open the batch".into(), open(batch_address(key)), None),
        Deed::CustomerText(id) => ("Text for the customer".into(), open(format!("/entries/{id}#customer")), None),
    };
    Step { label, purpose: command.purpose, line: command.line.clone(), way, barred }
}
