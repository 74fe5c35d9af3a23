//! `holdfast-model`: exhausts the specification, breaks its rules, shows its runs.
//!
//! Exit codes: 0 good; 1 a finding (a property falls or is vacuous, the checkers disagree, a
//! published figure drifted, a mutant survives, a trace departs, a twin counts otherwise);
//! 2 usage; 3 environment (a program is missing, an address is taken, a file cannot be written).

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
