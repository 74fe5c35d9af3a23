//! Mutual TLS: who is at the other end of a connection between nodes, proven by certificates of the
//! cluster's own authority, and nobody else let in.
//!
//! | part | is |
//! | --- | --- |
//! | `issue` | the cluster's certificate authority, and certificates for nodes and operators |
//! | `names` | what a certificate says about its holder |
//! | `protection` | what a node shows and accepts: nothing, or its certificate and that of its peer |
//! | `stream` | one stream type, with TLS and without |
//! | `error` | why no connection came about |
//!
//! Promises: both sides are authenticated, or there is no connection; a node that is dialled is the one
//! that was meant, by the name in its certificate and not by its address; a handshake costs a bounded
//! time; what speaks TLS to a node without keys, or no TLS to one with keys, is told so.
//!
//! Must never: go on without TLS where it was configured.
//!
//! Rule: `docs/decisions/035-*`.

mod error;
mod issue;
mod names;
mod protection;
mod stream;

pub(crate) use error::later_refusal;
pub use error::{HandshakeError, LoadError};
pub use issue::{Holder, IssueError, Issued, Validity, init, issue};
pub use names::{Expected, Peer};
pub use protection::Protection;
pub use stream::{ReadHalf, Stream, WriteHalf};
