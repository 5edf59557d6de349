//! Sets up TLS and the runtime, and hands over to the command line.

mod cli;

use std::num::NonZeroUsize;
use std::process::ExitCode;

use tokio::runtime::Builder;

/// More threads would only use memory, because the worker mostly waits for Testmo, the broker and the store.
const MOST_THREADS: usize = 4;

fn main() -> ExitCode {
    // This fails only if a provider was installed before, and nothing runs before this line.
    drop(rustls::crypto::ring::default_provider().install_default());
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_THREADS);
    let runtime = match Builder::new_multi_thread().worker_threads(threads).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cli::cannot_start(&error),
    };
    let code = runtime.block_on(cli::main(std::env::args_os()));
    // A task that is still running does not keep the process alive.
    runtime.shutdown_background();
    code
}
