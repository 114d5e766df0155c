//! The `hormesis` binary. Everything is in the library: `cli` reads the arguments and picks the
//! command, `config` reads the files, `app` wires what runs.

use std::process::ExitCode;

fn main() -> ExitCode {
    hormesis::cli::main()
}
