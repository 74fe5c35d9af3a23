//! What the checker and the specifications must show of themselves.

mod agreement;
mod cli;
mod meta;
mod mutants;
mod published;
mod traces;
