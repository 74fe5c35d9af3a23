//! Whether the authority was rolled back: a record that is older than what this node knew before it
//! asked.
//!
//! The authority's answers are linearizable, and a node is fenced only at an epoch that was minted
//! before. So what the node had promised, and what it had read, when it began to ask can only be
//! exceeded by an honest answer (F85, F91). What is learned while an answer is under way says nothing
//! about that answer. The same holds for who leads the epoch that it promised: an honest record of that
//! epoch names the leader whose hello was answered.
//!
//! Must never: lower anything. The node refuses and says so; moving the authority forward is an
//! operator's explicit recovery.
//!
//! Rule: `docs/protocol.md`, section 7.

use std::fmt;

use holdfast_types::{Epoch, Revision, StoreId, VolumeRecord};
use serde::{Deserialize, Serialize};

use crate::authority::RecordVersion;

/// What a node knew of a volume's record before it asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The highest epoch that its store has made durable; 0: none.
    pub promised: Epoch,
    /// The store that leads that epoch, as far as this one followed it.
    pub leader: Option<StoreId>,
    /// The newest record that it has acted on in this life.
    pub read: Option<RecordVersion>,
}

/// What a record says, as far as it is held against what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it is at.
    pub version: RecordVersion,
    /// The store of its primary.
    pub leader: Option<StoreId>,
}

impl Found {
    /// What a record says.
    #[must_use]
    pub fn of(record: &VolumeRecord) -> Self {
        let primary = record.primary.as_ref();
        let member = primary.and_then(|primary| record.members.get(primary));
        Self {
            version: RecordVersion::of(record),
            leader: member.map(|member| member.store),
        }
    }
}

/// The authority went back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolledBack {
    /// The least that the record should be at.
    pub known: RecordVersion,
    /// What it is at; `None`: there is no record any more.
    pub recorded: Option<RecordVersion>,
    /// Who leads the record's epoch, where the record names another, or nobody: it was minted twice.
    pub led_by: Option<StoreId>,
}

impl Known {
    /// Holds an answer that was asked for after this was known against it.
    #[must_use]
    pub fn against(self, recorded: Option<Found>) -> Option<RolledBack> {
        let promised = RecordVersion {
            epoch: self.promised,
            revision: Revision(0),
        };
        let known = self.read.map_or(promised, |read| read.max(promised));
        let never_recorded = known.epoch == Epoch(0) && self.read.is_none();
        let (is_older, led_by) = match recorded {
            Some(found) => {
                let same_epoch = found.version.epoch == self.promised;
                let other = same_epoch && found.leader != self.leader;
                (found.version < known, self.leader.filter(|_| other))
            }
            None => (!never_recorded, None),
        };
        (is_older || led_by.is_some()).then_some(RolledBack {
            known,
            recorded: recorded.map(|found| found.version),
            led_by,
        })
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
        if let Some(leader) = self.led_by {
            write!(
                f,
                " and does not name the store {leader}, which leads that epoch"
            )?;
        }
        f.write_str("; nothing is done on its word before `holdfast authority recover`")
    }
}

#[cfg(test)]
mod tests {
    use holdfast_types::{Epoch, Revision, StoreId};
    use uuid::Uuid;

    use super::{Found, Known, RolledBack};
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
            leader: None,
            read,
        }
    }

    const fn found(epoch: u64, revision: u64) -> Option<Found> {
        Some(Found {
            version: at(epoch, revision),
            leader: None,
        })
    }

    fn store(number: u128) -> StoreId {
        StoreId(Uuid::from_u128(number))
    }

    #[test]
    fn f85_a_record_below_the_promised_epoch_is_a_rollback() {
        let rolled_back = known(5, None).against(found(4, 90));
        let expected = RolledBack {
            known: at(5, 0),
            recorded: Some(at(4, 90)),
            led_by: None,
        };
        assert_eq!(rolled_back, Some(expected));
        assert_eq!(known(5, None).against(found(5, 0)), None);
        assert_eq!(known(5, None).against(found(6, 1)), None);
    }

    #[test]
    fn f85_a_record_below_one_that_was_read_is_a_rollback() {
        let read = Some(at(5, 8));
        assert!(known(5, read).against(found(5, 7)).is_some());
        assert_eq!(known(5, read).against(found(5, 8)), None);
        assert!(known(6, read).against(found(5, 9)).is_some());
    }

    #[test]
    fn f85_a_record_that_names_another_leader_of_the_promised_epoch_was_minted_twice() {
        let known = Known {
            leader: Some(store(1)),
            ..known(5, None)
        };
        let names = |leader| {
            let version = at(5, 3);
            let rolled_back = known.against(Some(Found { version, leader }));
            rolled_back.and_then(|rolled_back| rolled_back.led_by)
        };
        assert_eq!(names(Some(store(1))), None);
        assert_eq!(names(Some(store(2))), Some(store(1)));
        assert_eq!(names(None), Some(store(1)));
        assert_eq!(known.against(found(6, 4)), None, "a newer epoch is open");
    }

    #[test]
    fn f91_a_record_that_is_gone_is_a_rollback_and_one_that_never_was_is_not() {
        assert!(known(1, None).against(None).is_some());
        assert!(known(0, Some(at(0, 1))).against(None).is_some());
        assert_eq!(known(0, None).against(None), None);
    }
}
