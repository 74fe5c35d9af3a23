//! Requests between nodes, and from commands: JSON in the wire's control frames, one at a time on a
//! connection, over TCP (nodes) or the node's Unix socket (commands).

mod client;
mod request;
mod server;

pub use client::{ControlClient, NodePlace};
pub use request::{ControlError, ControlReply, ControlRequest, MemberPlan, NodeFacts, VolumePlan};
pub(crate) use server::{serve_tcp, serve_unix};
