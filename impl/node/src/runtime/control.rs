//! The API of a node, HTTP and JSON, one request on a connection or many: on its Unix socket for
//! commands, on TCP for other nodes, and for commands elsewhere. `route` lists the routes.

mod client;
mod copy;
mod order;
mod problem;
mod request;
mod route;
mod server;

pub use client::{ControlClient, NodePlace};
pub use copy::{CopyAuthority, CopyReply, CopyRequest};
pub use order::{ChunkRow, Order, OrderReply};
pub use problem::{Problem, ProblemKind};
pub use request::{
    ControlError, ControlReply, ControlRequest, MemberPlan, NodeFacts, SettingsChange, VolumePlan,
};
pub(crate) use server::{serve_tcp, serve_unix};
