//! Decides a connection's light, green, amber or red, and says why, from everything that is known of it.

use jiff::civil::Date;

use super::super::plural::counted;
use super::super::time::{day_of, days_left, relative};
use crate::account::Throttle;
use crate::batch::Reason;
use crate::store::accounts::LaneSelector;
use crate::store::connections::{ConnectionRow, Interruption, LeftCase, Verification};
use crate::store::shelf::{Held, Waiting};

/// How many days before it expires a key is to be replaced.
const SOON_DAYS: i32 = 14;
/// How long a batch may wait before a person is to know, in milliseconds.
const LONG_WAIT: i64 = 3_600_000;
/// How long a rate-limit pause may last before a person is to know, in milliseconds.
const LONG_PAUSE: i64 = 60_000;

/// The light of a connection, the better ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatusLight {
    /// It works, as far as it was tried.
    Green,
    /// It works, and a person should know of something or act soon.
    Amber,
    /// It was not seen to work, or its key has expired.
    Red,
}

impl StatusLight {
    /// Returns the word for the light.
    pub fn name(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Amber => "amber",
            Self::Red => "red",
        }
    }
}

/// What is known around a connection.
#[derive(Clone, Debug, Default)]
pub struct Circumstances {
    /// Who or what is paused by a person, if that stops the tenant.
    pub paused: Option<LaneSelector>,
    /// What is known of the account.
    pub throttle: Throttle,
    /// What waits on the shelf.
    pub waiting: Waiting,
    /// What of that waits for a person although the connection works.
    pub held: Vec<Held>,
}

/// The state of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The light.
    pub light: StatusLight,
    /// What there is to know, the most important first.
    pub remarks: Vec<String>,
}

impl Status {
    /// Decides for a connection at `now`, in milliseconds on the store's clock.
    pub fn of(row: &ConnectionRow, around: &Circumstances, now: i64) -> Self {
        let known = [
            unverified(row),
            expiry(row, day_of(now)),
            refused(row, now),
            not_there(row),
            interrupted(row, &around.throttle, now),
            successor(row),
            paused(row, around),
            account(row, &around.throttle, now),
            held(row, around),
            waiting(row, around, now),
            left_by_probe(row),
            untried(row, now),
            not_as_assumed(row, now),
        ];
        let mut remarks: Vec<(StatusLight, String)> = known.into_iter().flatten().collect();
        // Stable, so that remarks of one light keep their order.
        remarks.sort_by_key(|(light, _)| std::cmp::Reverse(*light));
        let light = remarks.first().map_or(StatusLight::Green, |(light, _)| *light);
        Self { light, remarks: remarks.into_iter().map(|(_, remark)| remark).collect() }
    }

    /// Returns all remarks as one text; empty if there is none.
    pub fn note(&self) -> String {
        self.remarks.join("; ")
    }
}

/// Returns the days until a connection's key expires, if that day is known.
pub fn days_until_expiry(row: &ConnectionRow, today: Date) -> Option<i32> {
    row.expires_on.as_deref().and_then(|day| days_left(day, today))
}

type Remark = Option<(StatusLight, String)>;

fn unverified(row: &ConnectionRow) -> Remark {
    if row.is_verified() {
        return None;
    }
    let remark = match &row.finding {
        Some(Verification::Fails { reason, detail }) => format!("{reason}: {detail}"),
        Some(Verification::Works { .. }) | None => "not verified since it was changed".into(),
    };
    Some((StatusLight::Red, remark))
}

fn expiry(row: &ConnectionRow, today: Date) -> Remark {
    let (days, day) = (days_until_expiry(row, today)?, row.expires_on.as_deref()?);
    let until = match days {
        0 => "today".to_owned(),
        1 => "tomorrow".to_owned(),
        days => format!("in {days} days"),
    };
    if days < 0 {
        let remark =
            format!("the API key expired on {day}: enter a new one, or correct the date if the key still works");
        return Some((StatusLight::Red, remark));
    }
    let remark = format!("the API key expires {until}, on {day}: enter a new one");
    (days <= SOON_DAYS).then_some((StatusLight::Amber, remark))
}

fn refused(row: &ConnectionRow, now: i64) -> Remark {
    let refusal = row.refusal.as_ref().filter(|_| row.is_verified())?;
    let created_since = row.probed().and_then(|probe| probe.created_at).is_some_and(|at| at > refusal.at);
    if created_since && refusal.reason == Reason::Forbidden {
        return None;
    }
    let (reason, ago) = (refusal.reason, relative(refusal.at, now));
    let detail = refusal.detail.trim_end_matches('.');
    // What verifying found has a remark of its own.
    let found = if not_there(row).is_some() { "" } else { " and finds nothing wrong" };
    let remark = format!(
        "Testmo refused the last request ({reason}, {ago}): {detail}; verifying only reads{found}, and no case has been \
         created since"
    );
    Some((StatusLight::Amber, remark))
}

fn not_there(row: &ConnectionRow) -> Remark {
    match &row.finding {
        Some(Verification::Works { not_there, .. }) if row.is_verified() && !not_there.is_empty() => {
            let remark = format!("Testmo will probably refuse what the mapping sends: {}", not_there.join("; "));
            Some((StatusLight::Amber, remark))
        }
        Some(Verification::Works { .. } | Verification::Fails { .. }) | None => None,
    }
}

/// Says that the last verification was not completed, until another one is or a case arrives.
fn interrupted(row: &ConnectionRow, throttle: &Throttle, now: i64) -> Remark {
    let Interruption { reason, detail, at } = row.seen.interruption.as_ref().filter(|_| row.is_verified())?;
    let arrived_since = row.last_success_at.is_some_and(|arrived| arrived > *at);
    // A pause has a remark of its own.
    let is_paused = *reason == Reason::Throttled && throttle.rate_limited_until > now;
    if arrived_since || is_paused {
        return None;
    }
    let (ago, detail, tenant) = (relative(*at, now), detail.trim_end_matches('.'), &row.tenant);
    let remark = format!(
        "the last verification was not completed ({reason}, {ago}): {detail}; batches are still sent. `testmo-courier \
         tenants verify {tenant}` tries again"
    );
    Some((StatusLight::Amber, remark))
}

fn successor(row: &ConnectionRow) -> Remark {
    let next = row.successor.as_ref()?;
    let why = match &next.finding {
        Verification::Fails { reason, detail } => format!("{reason}: {detail}"),
        Verification::Works { .. } => "not verified yet".into(),
    };
    Some((StatusLight::Amber, format!("the last change is not in force, because it does not work ({why})")))
}

fn paused(row: &ConnectionRow, around: &Circumstances) -> Remark {
    let lane = match around.paused.as_ref()? {
        LaneSelector::Tenant(_) => row.tenant.as_str(),
        LaneSelector::Account(account) => account,
    };
    Some((StatusLight::Amber, format!("paused by a person: `testmo-courier lanes resume {lane}` ends the pause")))
}

fn account(row: &ConnectionRow, throttle: &Throttle, now: i64) -> Remark {
    if let Some(until) = throttle.breaker_until {
        let remark = match until > now {
            true => format!(
                "Testmo failed repeatedly; it is tried again {}, or at once by `testmo-courier lanes resume {} --now`",
                relative(until, now),
                row.tenant
            ),
            false => "Testmo failed repeatedly; it is tried again with the next request".into(),
        };
        return Some((StatusLight::Amber, remark));
    }
    let left = throttle.rate_limited_until.saturating_sub(now);
    if left <= 0 {
        return None;
    }
    let light = if left > LONG_PAUSE { StatusLight::Amber } else { StatusLight::Green };
    Some((light, format!("paused by Testmo's rate limit; it ends {}", relative(throttle.rate_limited_until, now))))
}

fn held(row: &ConnectionRow, around: &Circumstances) -> Remark {
    let Held { reason, .. } = around.held.first().filter(|_| row.is_verified())?;
    let number = |held: &Held| format!("{} for {}", counted(held.batches, "batch", "batches"), held.reason.code());
    let what = around.held.iter().map(number).collect::<Vec<_>>().join(", ");
    let tenant = &row.tenant;
    let remark = format!(
        "other batches are sent, but some wait for a person ({what}): `testmo-courier shelf list --tenant {tenant} --reason \
         {reason}`"
    );
    Some((StatusLight::Amber, remark))
}

fn waiting(row: &ConnectionRow, around: &Circumstances, now: i64) -> Remark {
    let since = around.waiting.since?;
    let is_long = now.saturating_sub(since) > LONG_WAIT;
    let light = if is_long { StatusLight::Amber } else { StatusLight::Green };
    let batches = batches_wait(&around.waiting);
    let then = if row.is_verified() && around.paused.is_none() { " to be sent automatically" } else { "" };
    let tenant = &row.tenant;
    let arrived = relative(since, now);
    let remark =
        format!("{batches}{then}, the oldest arrived {arrived}: `testmo-courier shelf list --tenant {tenant}`");
    Some((light, remark))
}

/// Says how many batches wait.
pub fn batches_wait(waiting: &Waiting) -> String {
    let batches = counted(waiting.batches, "batch waits", "batches wait");
    if waiting.is_more { format!("more than {batches}") } else { batches }
}

/// Says that a probe has left a case in Testmo, or may have.
fn left_by_probe(row: &ConnectionRow) -> Remark {
    let LeftCase { project, folder, case, name, .. } = row.probe.as_ref()?.left.as_ref()?;
    let left = match case {
        Some(id) => format!("a probe left case {id} in folder {folder} of project {project}"),
        None => format!("a probe may have left a case in folder {folder} of project {project}"),
    };
    let tenant = &row.tenant;
    let remark = format!("{left} (\"{name}\"): delete it in Testmo, then run `testmo-courier tenants probe {tenant}`");
    Some((StatusLight::Amber, remark))
}

/// Says what no verification can try, and whether a probe has tried it.
fn untried(row: &ConnectionRow, now: i64) -> Remark {
    let is_new = row.is_verified() && row.refusal.is_none() && row.last_success_at.is_none();
    is_new.then(|| {
        let remark = match row.probed().and_then(|probe| probe.created_at) {
            Some(at) => format!("no batch yet: the right to create cases was tried by a probe, {}", relative(at, now)),
            None => format!(
                "no batch yet: the right to create cases (\"Edit repository\") has not been tried; `testmo-courier \
                 tenants probe {} --write FOLDER` tries it",
                row.tenant
            ),
        };
        (StatusLight::Green, remark)
    })
}

/// Says which assumptions a probe has found not to hold.
fn not_as_assumed(row: &ConnectionRow, now: i64) -> Remark {
    let probe = row.probed()?;
    let wrong = probe.not_as_assumed(row.last_success_at);
    let wrong: Vec<&str> = wrong.map(|found| found.assumption.code()).collect();
    let (ago, tenant) = (relative(probe.at, now), &row.tenant);
    let remark = format!(
        "a probe {ago} found what is not as assumed ({}): `testmo-courier tenants show {tenant}`",
        wrong.join(", ")
    );
    (!wrong.is_empty()).then_some((StatusLight::Green, remark))
}

#[cfg(test)]
mod tests;
