//! Whether the authority was rolled back: a record that is older than what this node knew before it
//! asked.
//!
//! The authority's answers are linearizable, and a node is fenced only at an epoch that was minted
//! before. So what the node had promised, and what it had read, when it began to ask can only be
//! exceeded by an honest answer (F85, F91). What is learned while an answer is under way says nothing
//! about that answer.
//!
//! Must never: lower anything. The node refuses and says so; moving the authority forward is an
//! operator's explicit recovery.
//!
//! Rule: `docs/protocol.md`, section 7.

use std::fmt;

use holdfast_types::{Epoch, Revision};
use serde::{Deserialize, Serialize};

use crate::authority::RecordVersion;

/// What a node knew of a volume's record before it asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The highest epoch that its store has made durable; 0: none.
    pub promised: Epoch,
    /// The newest record that it has acted on in this life.
    pub read: Option<RecordVersion>,
}

/// The authority went back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolledBack {
    /// The least that the record should be at.
    pub known: RecordVersion,
    /// What it is at; `None`: there is no record any more.
    pub recorded: Option<RecordVersion>,
}

impl Known {
    /// Holds an answer that was asked for after this was known against it.
    #[must_use]
    pub fn against(self, recorded: Option<RecordVersion>) -> Option<RolledBack> {
        let promised = RecordVersion {
            epoch: self.promised,
            revision: Revision(0),
        };
        let known = self.read.map_or(promised, |read| read.max(promised));
        let never_recorded = known.epoch == Epoch(0) && self.read.is_none();
        let is_older = match recorded {
            Some(recorded) => recorded < known,
            None => !never_recorded,
        };
        is_older.then_some(RolledBack { known, recorded })
    }
}

impl fmt::Display for RolledBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the authority was rolled back: {} is known here, ",
            self.known
        )?;
        match self.recorded {
            Some(recorded) => write!(f, "its record is at {recorded}")?,
            None => f.write_str("it has no record of the volume")?,
        }
        f.write_str("; nothing is done on its word before it is moved forward")
    }
}

#[cfg(test)]
mod tests {
    use holdfast_types::{Epoch, Revision};

    use super::{Known, RolledBack};
    use crate::authority::RecordVersion;

    const fn at(epoch: u64, revision: u64) -> RecordVersion {
        RecordVersion {
            epoch: Epoch(epoch),
            revision: Revision(revision),
        }
    }

    fn known(promised: u64, read: Option<RecordVersion>) -> Known {
        Known {
            promised: Epoch(promised),
            read,
        }
    }

    #[test]
    fn f85_a_record_below_the_promised_epoch_is_a_rollback() {
        let found = known(5, None).against(Some(at(4, 90)));
        let expected = RolledBack {
            known: at(5, 0),
            recorded: Some(at(4, 90)),
        };
        assert_eq!(found, Some(expected));
        assert_eq!(known(5, None).against(Some(at(5, 0))), None);
        assert_eq!(known(5, None).against(Some(at(6, 1))), None);
    }

    #[test]
    fn f85_a_record_below_one_that_was_read_is_a_rollback() {
        let read = Some(at(5, 8));
        assert!(known(5, read).against(Some(at(5, 7))).is_some());
        assert_eq!(known(5, read).against(Some(at(5, 8))), None);
        assert!(known(6, read).against(Some(at(5, 9))).is_some());
    }

    #[test]
    fn f91_a_record_that_is_gone_is_a_rollback_and_one_that_never_was_is_not() {
        assert!(known(1, None).against(None).is_some());
        assert!(known(0, Some(at(0, 1))).against(None).is_some());
        assert_eq!(known(0, None).against(None), None);
    }
}
