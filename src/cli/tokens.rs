//! `tokens`: creates, lists and revokes the tokens of the API.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use testmo_courier::app::access::{self, CreatedToken, TokenInput, TokenName, TokenRow};
use testmo_courier::app::actor::{Actor, Role};
use testmo_courier::app::view::{CreatedTokenView, TokenView};
use testmo_courier::app::{Store, TenantId, store_now};

use super::failure::Failure;
use super::open::{configuration, store};
use super::output::Output;
use super::table::{Form, List};
use super::time_format::both;

/// How many tokens are read at once.
const AT_ONCE: u32 = 200;

const CREATE_EXAMPLES: &str = "\
The token is printed once, on a line of its own; only its hash is stored. With --tenant its holder sees and changes nothing
of other tenants. A name is never used again, so that the audit stays clear.

Roles:
  viewer    reads
  operator  also replays, discards, pauses and verifies
  admin     also changes tenants and tokens

Examples:
  testmo-courier tokens create integrations-page --role admin
  testmo-courier tokens create acme-support --role operator --tenant acme --expires 90";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a token and print it
    Create(Create),
    /// List the tokens, also those that were revoked
    List(Listing),
    /// Revoke a token, at once for every worker
    Revoke(Revoke),
}

#[derive(Args, Debug)]
#[command(after_help = CREATE_EXAMPLES)]
pub(super) struct Create {
    /// The name of the token, by which it is revoked: 1 to 64 of the characters A-Z a-z 0-9 . _ -
    name: TokenName,
    /// What its holder may do
    #[arg(long, value_parser = roles())]
    role: Role,
    /// The only tenant that its holder sees
    #[arg(long)]
    tenant: Option<TenantId>,
    /// After how many days it expires; never if it is left out
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=i64::from(access::MOST_DAYS)))]
    expires: Option<u32>,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(super) struct Listing {
    #[command(flatten)]
    form: Form,
}

#[derive(Args, Debug)]
pub(super) struct Revoke {
    /// The name of the token
    name: TokenName,
}

fn roles() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::ALL.map(Role::name)).try_map(|name| name.parse::<Role>())
}

pub(super) async fn execute(
    command: Command,
    files: &[PathBuf],
    actor: &Actor,
    out: &mut Output,
) -> Result<(), Failure> {
    let store = store(&configuration(files)?).await?;
    match command {
        Command::Create(arguments) => create(arguments, &store, actor, out).await,
        Command::List(arguments) => list(arguments.form, &store, out).await,
        Command::Revoke(Revoke { name }) => {
            let row = access::revoke(&store, actor, name).await?;
            out.line(format_args!("Revoked {}. It is not accepted any more.", row.name))
        }
    }
}

async fn create(arguments: Create, store: &Store, actor: &Actor, out: &mut Output) -> Result<(), Failure> {
    let Create { name, role, tenant, expires, json } = arguments;
    let created = access::create(store, actor, TokenInput { name, role, tenant, days: expires }).await?;
    if json {
        return out.json(&CreatedTokenView::of(&created));
    }
    let CreatedToken { row, secret } = created;
    let of = row.tenant.map(|tenant| format!(" for {tenant}")).unwrap_or_default();
    let until = row.expires_at.map(|at| format!(", until {}", both(at, store_now(store)))).unwrap_or_default();
    out.line(format_args!(
        "Created the token {} with the role {}{of}{until}. It is shown this once:",
        row.name,
        role.name()
    ))?;
    out.line(secret)
}

async fn list(form: Form, store: &Store, out: &mut Output) -> Result<(), Failure> {
    let mut rows: Vec<TokenRow> = Vec::new();
    loop {
        let after = rows.last().map(|row| row.name.clone()).unwrap_or_default();
        let page = access::list(store, &after, AT_ONCE).await?;
        if page.is_empty() {
            break;
        }
        rows.extend(page);
    }
    if form.json {
        return out.json(&rows.iter().map(TokenView::of).collect::<Vec<_>>());
    }
    table(&rows, store_now(store)).write(
        out,
        form.plain,
        "There is no token. `testmo-courier tokens create` makes one.",
    )
}

fn table(rows: &[TokenRow], now: i64) -> List {
    let mut list = List::new(&["name", "role", "tenant", "created by", "created", "expires", "last used", "state"]);
    for row in rows {
        let at = |time: Option<i64>| time.map_or_else(|| "never".into(), |at| both(at, now));
        let state = match (row.revoked_at, row.expires_at) {
            (Some(_), _) => "revoked",
            (None, Some(end)) if end <= now => "expired",
            (None, _) => "valid",
        };
        list.add(vec![
            row.name.clone(),
            row.role.name().into(),
            row.tenant.as_ref().map_or_else(|| "all".into(), ToString::to_string),
            row.created_by.clone(),
            both(row.created_at, now),
            at(row.expires_at),
            at(row.last_used_at),
            state.into(),
        ]);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_which_tokens_are_accepted() {
        let row = TokenRow {
            name: "ci".into(),
            hash: String::new(),
            role: Role::Viewer,
            tenant: None,
            created_at: 0,
            created_by: "anna".into(),
            expires_at: Some(86_400_000),
            revoked_at: None,
            last_used_at: None,
        };
        let revoked = TokenRow { name: "old".into(), revoked_at: Some(9), tenant: "acme".parse().ok(), ..row.clone() };
        let used = TokenRow { name: "page".into(), expires_at: None, last_used_at: Some(60_000), ..row.clone() };
        let states = |now| table(&[row.clone(), revoked.clone(), used.clone()], now).columns().join("\n");
        insta::assert_snapshot!(states(120_000));
        assert!(states(86_400_000).contains("expired"));
    }
}
