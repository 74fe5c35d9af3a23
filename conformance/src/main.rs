//! `holdfast-conformance`: holds the implementation against the specification, and shows that the
//! checks can fail.
//!
//! Exit codes: 0 good, 1 a finding, 2 usage, 3 environment (a missing program, file or permission).

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
