//! The program `mobula`: it finds out the role of its process, then runs it.
//!
//! The order matters. evcxr marks its child with an environment variable, and cargo starts this program in the place of
//! rustc. All roles must be told apart before a thread or a runtime exists.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    mobula_session::rustc_wrapper::run_if_asked();
    mobula_session::analyst::run_if_asked(cli::EMBEDDED_CRATE);
    mobula::worker::role_from_env();
    cli::cell_host::run_if_asked();
    cli::main()
}
