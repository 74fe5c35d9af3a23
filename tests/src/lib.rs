//! The whole system under test: real processes of the real binary, real NBD clients, faults.
//!
//! This crate holds what such tests stand on; the tests are in `tests/`. Three rules:
//!
//! - **Nothing is skipped.** A binary or tool that is missing fails the test, and the message says
//!   how to get it.
//! - **Nothing sleeps and hopes.** A test waits for a fact, with a deadline, and what it says when
//!   the deadline passes names the fact and shows the logs ([`wait`]).
//! - **Nothing is left behind.** Processes die with the value that holds them, directories with
//!   the test; other processes are never touched.
//!
//! | part | is for |
//! | --- | --- |
//! | [`binary`], [`command`] | finding the `holdfast` binary, and running its commands |
//! | [`cluster`] | several nodes and an authority as processes, with keys or without |
//! | [`node`] | the configuration and life of one node |
//! | [`kept`] | a whole cluster with a volume, left up by the demo |
//! | [`network`] | hosts on a switch, in network namespaces |
//! | [`process`] | starting, killing, stopping and waiting for programs |
//! | [`ports`] | free TCP ports |
//! | [`tools`] | qemu-io, qemu-img, nbdcopy, nbdinfo, fio |
//! | [`content`] | disk content that shows every misplaced block |
//! | [`wait`] | waiting for facts |

pub mod binary;
pub mod cluster;
pub mod command;
pub mod content;
pub mod kept;
pub mod network;
pub mod node;
pub mod ports;
pub mod process;
pub mod tools;
pub mod wait;
