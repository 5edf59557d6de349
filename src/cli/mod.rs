//! Declares the commands and starts the one that is given; each has a file of its own.
//!
//! Commands declare options, ask and print. What they do is in `app`, which also passes on the values they need; beyond
//! it they name only `config`, `contract`, `telemetry` and, to run them, `worker` and `http`.

mod actor;
mod attention;
mod audit;
mod batches;
mod completions;
mod config;
mod confirm;
mod console;
mod doctor;
mod event_view;
mod events;
mod failure;
mod find;
mod health;
mod init;
mod lanes;
mod lint;
mod listen;
mod message_file;
#[cfg(test)]
mod names;
mod open;
mod output;
mod progress;
mod publish;
mod reload;
mod renamed;
mod replay;
mod replays;
mod run;
mod schema;
mod settings;
mod shelf;
mod signals;
mod store;
mod table;
mod tenant_hint;
mod tenants;
#[cfg(test)]
mod tests;
mod time_format;
mod tokens;
mod topology;
mod trend;
mod waiting;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::NonEmptyStringValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};
use testmo_courier::config::Sources;

use self::failure::Failure;
use self::output::Output;

/// The heading of options that every command has.
const GLOBAL: &str = "Options of every command";

const EXAMPLES: &str = "\
First steps:
  testmo-courier init
  testmo-courier topology declare
  testmo-courier tenants set acme --base-url https://acme.testmo.net --project 3 --folder 428
  testmo-courier run

When batches do not arrive:
  testmo-courier doctor                   examines broker, store, settings and tenants, with a remedy for each finding
  testmo-courier attention                shows what needs attention, who has to act, and the next command
  testmo-courier tenants list             shows which connections work, and how to fix the others
  testmo-courier shelf groups             shows what failed, by cause, with the commands that help
  testmo-courier find TEXT                finds a batch by what a customer pastes
  testmo-courier batches compare TENANT   shows which delivered cases are in Testmo now
  testmo-courier audit                    shows who changed what

Exit codes:
  0  done
  1  the command found a problem that needs your attention
  2  the command line or the configuration is wrong
  3  the broker, the store or the worker cannot be reached
  4  the worker's store was moved, deleted or replaced under it
  5  the worker stopped on request, but something had to be cut when the drain time was over
130  interrupted by a second signal";

/// Carries batches of generated test cases from RabbitMQ into Testmo
#[derive(Debug, Parser)]
#[command(name = "testmo-courier", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// A TOML file with settings; can be given several times, later files take precedence
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    config: Vec<PathBuf>,
    /// Your name for the audit, if it is not your login name
    #[arg(long = "as", global = true, value_name = "NAME", help_heading = GLOBAL, value_parser = NonEmptyStringValueParser::new())]
    acting_as: Option<String>,
    /// Never use colors; NO_COLOR in the environment does the same
    #[arg(long, global = true, help_heading = GLOBAL)]
    no_color: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create the master key and the store
    Init(init::Arguments),
    /// Run the worker
    #[command(after_help = run::EXAMPLES)]
    Run,
    /// Serve the console without a worker, for several workers on PostgreSQL
    #[command(after_help = console::EXAMPLES)]
    Console,
    /// Back the store up, restore it, or move it to another place
    #[command(subcommand)]
    Store(store::Command),
    /// Declare or check the exchanges and queues
    #[command(subcommand)]
    Topology(topology::Command),
    /// Set, verify and show the tenants' Testmo connections
    #[command(subcommand)]
    Tenants(tenants::Command),
    /// Check messages without publishing them
    Lint(lint::Arguments),
    /// Print the schemas of messages and events, for programs
    #[command(subcommand)]
    Schema(schema::Command),
    /// Publish batches of test cases
    Publish(publish::Arguments),
    /// Watch the events about batches, connections and API keys
    #[command(subcommand)]
    Events(events::Command),
    /// Show what needs attention: causes, tenants that are not green, and pauses
    Attention(attention::Arguments),
    /// Show how many batches were delivered, failed and waited over the last hours and days
    Trend(trend::Arguments),
    /// Find batches and cases by an id, a name, a key, a tag, or a link into Testmo
    Find(find::Arguments),
    /// Show batches, their cases and their events, and compare them with Testmo
    #[command(subcommand)]
    Batches(batches::Command),
    /// Show, edit, discard and restore the batches that were not delivered
    #[command(subcommand)]
    Shelf(shelf::Command),
    /// List the batches that are not retried automatically: the same as `shelf list --state dead`
    DeadLetters(shelf::DeadLetters),
    /// Replay batches on the shelf: plan, confirm, and send them again
    Replay(replay::Arguments),
    /// Show replays, and start, pause, resume and cancel them
    #[command(subcommand)]
    Replays(replays::Command),
    /// Show the queue of each Testmo account, and pause or limit it
    Lanes(lanes::Arguments),
    /// List what people have changed
    Audit(audit::Arguments),
    /// Create, list and revoke the tokens of the console and the API
    #[command(subcommand)]
    Tokens(tokens::Command),
    /// Check or show the settings
    #[command(subcommand)]
    Config(config::Command),
    /// Print a script that has a shell complete commands and options
    Completions(completions::Arguments),
    /// Check whether the worker is ready
    Health(health::Arguments),
    /// Examine everything that a worker needs, and say what is wrong and what to do; changes nothing
    Doctor(doctor::Arguments),
}

/// Reads the command line and executes the command.
pub(crate) async fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return print_misuse(&error, &arguments),
    };
    let wanted_plain = Sources::of_process(Vec::new()).environment.get("NO_COLOR").is_some_and(|text| !text.is_empty());
    let mut out = Output::stdout(cli.no_color || wanted_plain);
    match execute(cli, &mut out).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.print(),
    }
}

/// Reports that the system gives no threads.
pub(crate) fn cannot_start(error: &std::io::Error) -> ExitCode {
    Failure::unreachable(format!("the process cannot start ({error})"), "check the process limits, such as `ulimit -u`")
        .print()
}

async fn execute(cli: Cli, out: &mut Output) -> Result<(), Failure> {
    let files = cli.config;
    let actor = actor::actor(cli.acting_as.as_deref());
    match cli.command {
        Command::Init(arguments) => init::execute(&arguments, &files, out).await,
        Command::Run => run::execute(&files).await,
        Command::Console => console::execute(&files).await,
        Command::Store(command) => store::execute(command, &files, &actor, out).await,
        Command::Topology(command) => topology::execute(command, &files, out).await,
        Command::Tenants(command) => tenants::execute(command, &files, &actor, out).await,
        Command::Lint(arguments) => lint::execute(&arguments, &files, out).await,
        Command::Schema(command) => schema::execute(command, out),
        Command::Publish(arguments) => publish::execute(arguments, &files, &actor, out).await,
        Command::Events(command) => events::execute(command, &files, out).await,
        Command::Attention(arguments) => attention::execute(&arguments, &files, out).await,
        Command::Trend(arguments) => trend::execute(&arguments, &files, out).await,
        Command::Find(arguments) => find::execute(&arguments, &files, out).await,
        Command::Batches(command) => batches::execute(command, &files, &actor, out).await,
        Command::Shelf(command) => shelf::execute(command, &files, &actor, out).await,
        Command::DeadLetters(arguments) => shelf::dead_letters(arguments, &files, out).await,
        Command::Replay(arguments) => replay::execute(arguments, &files, &actor, out).await,
        Command::Replays(command) => replays::execute(command, &files, &actor, out).await,
        Command::Lanes(arguments) => lanes::execute(arguments, &files, &actor, out).await,
        Command::Audit(arguments) => audit::execute(arguments, &files, out).await,
        Command::Tokens(command) => tokens::execute(command, &files, &actor, out).await,
        Command::Config(command) => config::execute(&command, &files, out),
        Command::Completions(arguments) => completions::execute(&arguments, Cli::command(), out),
        Command::Health(arguments) => health::execute(&arguments, &files, out),
        Command::Doctor(arguments) => doctor::execute(&arguments, &files, out).await,
    }
}

fn print_misuse(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    if let Some((former, present)) = renamed::present_name(error, arguments) {
        return Failure::usage(format!("`{former}` was renamed"), format!("Use `{present}`.")).print();
    }
    if names_a_key(error) {
        let what = "an API key on the command line would be visible in the shell's history and to other users";
        let remedy = "remove the option to be asked for the key, or use --api-key-stdin or --api-key-file FILE";
        return Failure::usage(what, remedy).print();
    }
    // A help text or an error that nobody reads is no reason to fail.
    drop(error.print());
    u8::try_from(error.exit_code()).unwrap_or(2).into()
}

/// Returns whether somebody tried to give an API key as an option; its value is not repeated.
fn names_a_key(error: &clap::Error) -> bool {
    let option = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(option)) if error.kind() == ErrorKind::UnknownArgument => option.as_str(),
        Some(_) | None => return false,
    };
    let name = option.split('=').next().unwrap_or(option);
    matches!(name, "--key" | "--api-key" | "--apikey" | "--token" | "--api-token")
}
