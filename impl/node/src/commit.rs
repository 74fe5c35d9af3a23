//! Who must acknowledge before a client may be answered: the commit rule, pure.
//!
//! Promises: a position is reported only when every rule in force is met by acknowledgements of
//! present sessions (A8); `committed` moves by entries of the current epoch alone, and never back
//! (T1, M06, M07); an empty or unknown required set acknowledges nothing (F40). Must never: count a
//! replica twice, count one without a session, or drop a required one silently (M11, M12).
//!
//! Rule: `docs/protocol.md`, section 2.

mod change;
mod ledger;
mod requirement;

pub use change::Promised;
pub use ledger::{CommitLedger, Progress};
pub use requirement::{Acknowledged, Requirement};
