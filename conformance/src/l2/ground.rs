//! What a cluster stands on: where its stores are, and what lies between the two ends of a session.
//! Here a stream in memory and simulated disks ([`super::line`]); at level 3 sockets and files.

use std::sync::Arc;
use std::time::Duration;

use holdfast_blockvol::{PinError, Volume};
use holdfast_engine::{Command, PinRequest, Refusal, ReportedFault};
use holdfast_node::replication::{Finding, Given, SessionError, View, Want};
use holdfast_node::runtime::{LocalStore, SessionSource};
use holdfast_types::{FencingToken, Lsn, ReplicaId, StoreId, VolumeId};

use super::disks::Unmade;

/// Longer than any run: time-outs are the rig's to make.
pub const LONG: Duration = Duration::from_secs(1_000_000);

/// Between two looks of a session at its pins.
pub const LOOK: Duration = Duration::from_millis(500);

/// What the rig does to a session besides letting it go on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Levers {
    /// The head that the session sees; the log's own unless given.
    pub head: Option<Lsn>,
    /// The barrier that clients ask for.
    pub barrier: Lsn,
    /// What its pins are said to hold back when it looks.
    pub pinned_bytes: u64,
    /// Have it look at its pins.
    pub look: bool,
    /// Its pins are taken away.
    pub lose_pin: bool,
    /// Its pin cannot be taken.
    pub fail_pin: bool,
}

impl Levers {
    /// What a session sees of the store that it replicates.
    #[must_use]
    pub fn view(&self, store: &LocalStore) -> View {
        let positions = store.positions();
        View {
            head: self.head.unwrap_or(positions.head),
            committed: positions.committed,
            barrier: self.barrier,
            base_rate: None,
        }
    }

    /// Has the store do what a session wants.
    pub fn give(&self, source: &mut SessionSource, want: Want) -> Given {
        match want {
            Want::PinHistory { .. } if self.fail_pin => Given::Failed(PinError::Closed.into()),
            Want::Pins => match source.give(want) {
                Given::Pins { lost, .. } => Given::Pins {
                    held_bytes: self.pinned_bytes,
                    lost: if self.lose_pin {
                        Some(PinError::Closed)
                    } else {
                        lost
                    },
                },
                given @ (Given::Greeting { .. }
                | Given::History(_)
                | Given::Epoch(_)
                | Given::Entries(_)
                | Given::Pinned { .. }
                | Given::BasePinned(_)
                | Given::Chunk { .. }
                | Given::Manifest(_)
                | Given::Failed(_)) => given,
            },
            Want::Entries { .. } => match (source.give(want), self.head) {
                // What was logged since is not there yet.
                (Given::Entries(mut entries), Some(head)) => {
                    entries.retain(|entry| entry.lsn <= head);
                    Given::Entries(entries)
                }
                (given, _) => given,
            },
            Want::Greeting
            | Want::History
            | Want::EpochAt { .. }
            | Want::PinHistory { .. }
            | Want::PinBase { .. }
            | Want::Chunk { .. }
            | Want::Manifest => source.give(want),
        }
    }
}

/// What the replica's node does at a connection.
pub enum ReplicaNode {
    /// It holds the volume.
    Holds(Arc<LocalStore>),
    /// It does not.
    HoldsNothing,
}

/// How a session went on.
#[derive(Debug)]
pub enum Went {
    /// It has something to tell the engine, and waits.
    Tells(Finding),
    /// It ended by itself.
    Ended(SessionError),
    /// There is nothing to do, and nothing on its way.
    Rests,
}

/// The label of the primary, which the specification does not name.
///
/// # Panics
/// Never.
#[must_use]
pub fn primary() -> ReplicaId {
    ReplicaId::new("primary").expect("a short word")
}

/// One session between two stores.
pub trait Line {
    /// Its token.
    fn token(&self) -> &FencingToken;

    /// The store at the other end, once it is connected to one.
    fn replica(&self) -> Option<&Arc<LocalStore>>;

    /// Whether anything is held back for it.
    fn holds_anything(&self) -> bool;

    /// What was told last, or is to be told next.
    fn told(&self) -> Option<&Finding>;

    /// Whether the replica's store is the recorded one and a member.
    fn set_member(&mut self, member: bool);

    /// Goes on until the engine has to be told something, or nothing is left to do.
    ///
    /// # Errors
    /// A defect of the rig, or a session that never rests.
    fn go_on(&mut self, node: &ReplicaNode, levers: &Levers) -> Result<Went, String>;

    /// The engine's answer to what was told.
    ///
    /// # Errors
    /// The end of the session.
    fn commanded(&mut self, command: Command, pins: &[PinRequest]) -> Result<(), SessionError>;

    /// The engine does not take what was told, which ends the session: what it tells of that.
    ///
    /// # Errors
    /// When it does not end.
    fn refused(&mut self, refusal: &Refusal) -> Result<ReportedFault, String>;

    /// Does what a completed session has left to do at once: it lets go of what it held.
    ///
    /// # Errors
    /// When it has anything else to do first.
    fn settle(&mut self) -> Result<(), String>;

    /// The stream is lost, as late as it can be or earlier. It ends of that; a look at its pins may
    /// come first, to be told and answered before this is called again.
    ///
    /// # Errors
    /// When the session neither ends nor looks.
    fn lose(&mut self, node: &ReplicaNode) -> Result<Went, String>;

    /// What of this session can still come late once it is over: what was sent and not delivered,
    /// and what was taken last, once more.
    fn into_late(self: Box<Self>) -> Option<Box<dyn Late>>;
}

/// Frames of a session that is over, and the connection that they are on.
pub trait Late {
    /// The store that they are for.
    fn store(&self) -> &Arc<LocalStore>;

    /// Delivers them all; each must be refused, and nothing changed (T7). How many they were.
    ///
    /// # Errors
    /// What one of them did.
    fn deliver(self: Box<Self>) -> Result<usize, String>;
}

/// Where a store stands under its authority.
pub(crate) fn standing(store: &LocalStore) -> impl PartialEq + use<> {
    let volume = store.volume();
    (volume.positions(), volume.promise(), volume.lineage())
}

/// What one cluster stands on.
pub trait Ground {
    /// An open store that runs nothing unasked but what it is asked for, and keeps no log that no pin
    /// keeps.
    ///
    /// # Errors
    /// What stopped it.
    fn format(&mut self, volume: VolumeId, store: StoreId) -> Result<Volume, Unmade>;

    /// A session that was just attached, to the replica of a number.
    ///
    /// # Errors
    /// When the engine's first command is another than to connect, or there is no way to it.
    fn begin(
        &mut self,
        token: FencingToken,
        replica: u8,
        command: Command,
        source: &Arc<LocalStore>,
    ) -> Result<Box<dyn Line>, String>;
}

/// Makes the ground of each fresh cluster.
pub trait Grounds: Sync {
    /// The level, as reports name it.
    fn level(&self) -> &'static str;

    /// Ground for the cluster of a number, on which alone depends what takes turns there.
    ///
    /// # Errors
    /// What stopped it.
    fn fresh(&self, number: u64) -> Result<Box<dyn Ground>, Unmade>;
}
