//! The state: what the disks hold, what the processes remember, what the authority recorded, what
//! is under way, and what the client was told.
//!
//! One plain value. Parts that mean nothing at the moment (the memory of a node that is down, the
//! sessions of a node that is no primary) are kept at their defaults, so that equal situations
//! are equal values.

use super::vocabulary::{
    Epoch, Image, Log, Lsn, Members, Message, Mode, NODES, NodeId, Phase, Renewal, SessionId,
    Source, StoreId, Writes,
};

/// No node.
pub const NOBODY: NodeId = NODES as NodeId;
/// The most messages under way at once.
pub const WIRE: usize = 3;

/// Everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// What the authority knows, linearizable and durable.
    pub record: Record,
    /// The nodes.
    pub nodes: [Node; NODES],
    /// Messages under way, sorted, `None` last; empty where exchanges are atomic.
    pub wire: [Option<Message>; WIRE],
    /// What the client did and was told.
    pub client: Client,
    /// What was ever committed.
    pub past: Past,
    /// The record as it was when it was backed up.
    pub backup: Option<Backup>,
}

/// Who must acknowledge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// The in-sync set.
    pub isr: Members,
    /// The voters (of `sync_quorum`).
    pub voters: Members,
    /// The durability mode.
    pub mode: Mode,
}

/// A change of the record that the primary asked for and the authority has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The membership asked for.
    pub to: Membership,
    /// The member that joins, and the identity of the store it was proven with.
    pub newcomer: Option<(NodeId, StoreId)>,
}

/// What a fenced candidate said of its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Epoch of its last entry.
    pub last: Epoch,
    /// Its last entry; its log was synced first.
    pub durable: Lsn,
    /// Highest epoch it had promised before (only a broken rule looks at it).
    pub promised: Epoch,
    /// Whether its process still holds everything that it ever acknowledged as received.
    pub whole: bool,
}

/// The authority's record of the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The epoch.
    pub epoch: Epoch,
    /// The primary of this epoch, or [`NOBODY`] until one is promoted.
    pub primary: NodeId,
    /// The last primary there was.
    pub last: NodeId,
    /// Who must acknowledge.
    pub members: Membership,
    /// The recorded identity of each member's store.
    pub stores: [StoreId; NODES],
    /// Reports of this epoch's candidates, until one is promoted.
    pub reports: [Option<Report>; NODES],
    /// The change under way.
    pub request: Option<Request>,
    /// Whether `revision` moved since the primary last read the record.
    pub news: bool,
    /// Whether the authority must take a lease of this epoch for valid (where clocks are apart).
    pub granted: bool,
    /// The renewal under way (where clocks are apart).
    pub renewal: Renewal,
    /// `committed_seen`: the last committed entry that a primary reported (where disks may lie).
    pub seen: (Epoch, Lsn),
}

/// What a backup of the record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The epoch.
    pub epoch: Epoch,
    /// The primary.
    pub primary: NodeId,
    /// The last primary there was.
    pub last: NodeId,
    /// Who must acknowledge.
    pub members: Membership,
}

/// One node: its store, and what its process remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Node {
    // What is on disk.
    /// Identity of the store.
    pub store: StoreId,
    /// Entries; those up to `durable` survive a crash.
    pub log: Log,
    /// Last entry known to survive a crash.
    pub durable: Lsn,
    /// Replay can begin after this position (`retained_from`).
    pub tail: Lsn,
    /// The extent holds all effects up to here.
    pub checkpoint: Lsn,
    /// The extent holds no effects beyond here; [`UNTRUSTED`] under a rebuild.
    pub bound: Lsn,
    /// The extent, with the volume's snapshot.
    pub extent: Image,
    /// Highest epoch made durable.
    pub sworn: Epoch,
    /// Who leads that epoch, as far as this node followed (where the record may be rolled back).
    pub led: Option<NodeId>,
    // What its process remembers.
    /// Whether it runs.
    pub up: bool,
    /// Last appended entry.
    pub head: Lsn,
    /// What it knows to be committed.
    pub committed: Lsn,
    /// Highest epoch it answered for; equal to `sworn` unless a rule is broken.
    pub promised: Epoch,
    /// The session it takes entries from, in the epoch it promised.
    pub session: SessionId,
    /// Whether this process holds everything that this node ever acknowledged as received.
    pub whole: bool,
    /// Whether it acts as primary of the epoch it promised.
    pub primary: bool,
    /// As primary: whether its lease is valid on its own clock.
    pub lease: bool,
    /// As primary: the record as last read.
    pub view: Membership,
    /// As primary: the change whose outcome it does not know.
    pub pending: Option<Membership>,
    /// As primary: number of the next session.
    pub next_session: SessionId,
    /// As primary: its two peers, see [`State::peer`].
    pub peers: [Peer; NODES - 1],
}

/// What a primary knows of one replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// How far it has come.
    pub phase: Phase,
    /// The present session.
    pub session: SessionId,
    /// Identity of the store on the other end.
    pub store: StoreId,
    /// Acknowledged as received in this session.
    pub received: Lsn,
    /// Acknowledged as durable in this session.
    pub durable: Lsn,
    /// Next entry to ship; everything from here on is pinned.
    pub next: Lsn,
    /// Position that a barrier must prove before the session is in sync.
    pub target: Lsn,
    /// The truncation that must come first.
    pub cut: Option<Lsn>,
    /// Source of the rebuild.
    pub source: Source,
    /// Split between image and log.
    pub split: Lsn,
    /// Chunks installed.
    pub chunks: u8,
    /// The pinned image of a snapshot.
    pub image: Image,
}

/// The client's history: sets of writes, by what happened to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// How many writes were logged.
    pub issued: u8,
    /// Acknowledged.
    pub acked: Writes,
    /// Covered by an acknowledged flush.
    pub flushed: Writes,
    /// Shown by a read.
    pub shown: Writes,
    /// Given up by a reported power loss or a forced promotion.
    pub excused: Writes,
    /// Not in the log of a primary that opened service; must never come back.
    pub dropped: Writes,
}

/// What was ever committed, as nobody in the system knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// The committed entries.
    pub log: Log,
    /// How many.
    pub committed: Lsn,
    /// Two different entries were committed at one position.
    pub split: bool,
    /// Forced promotions so far.
    pub forced: u8,
    /// Whether the last promotion said that writes may have been lost.
    pub reported: bool,
    /// A disk lost what it had said to be durable.
    pub lied: bool,
    /// The record was rolled back, and no operator has recovered it since.
    pub rolled: bool,
}

impl Node {
    /// A base is trusted iff no effect beyond the durable log can be in the extent.
    #[must_use]
    pub const fn trusted(&self) -> bool {
        self.durable >= self.bound
    }

    /// Forgets what belongs to the role of a primary.
    pub fn step_down(&mut self) {
        self.primary = false;
        self.lease = false;
        self.view = Membership::default();
        self.pending = None;
        self.next_session = 0;
        self.peers = [Peer::default(); NODES - 1];
    }

    /// The extent after redo of the retained log from the checkpoint up to `to`.
    #[must_use]
    pub fn replayed(&self, to: Lsn) -> Image {
        let mut image = self.extent;
        image.redo(&self.log, self.checkpoint.max(self.tail), to);
        image
    }
}

impl State {
    /// A node.
    #[must_use]
    pub fn node(&self, node: NodeId) -> &Node {
        &self.nodes[usize::from(node)]
    }

    /// A node, to change it.
    pub fn node_mut(&mut self, node: NodeId) -> &mut Node {
        &mut self.nodes[usize::from(node)]
    }

    /// What `primary` knows of `replica`.
    #[must_use]
    pub fn peer(&self, primary: NodeId, replica: NodeId) -> &Peer {
        &self.node(primary).peers[peer_slot(primary, replica)]
    }

    /// What `primary` knows of `replica`, to change it.
    pub fn peer_mut(&mut self, primary: NodeId, replica: NodeId) -> &mut Peer {
        &mut self.node_mut(primary).peers[peer_slot(primary, replica)]
    }

    /// Whether a node's store is the one that the authority recorded.
    #[must_use]
    pub fn recorded(&self, node: NodeId) -> bool {
        self.record.stores[usize::from(node)] == self.node(node).store
    }

    /// The primary of the record, if it acts as such.
    #[must_use]
    pub fn acting_primary(&self) -> Option<NodeId> {
        let primary = self.record.primary;
        (primary != NOBODY
            && self.node(primary).primary
            && self.node(primary).promised == self.record.epoch)
            .then_some(primary)
    }

    /// Whether both ends agree that they are in the same session.
    #[must_use]
    pub fn connected(&self, primary: NodeId, replica: NodeId) -> bool {
        let (p, r, peer) = (
            self.node(primary),
            self.node(replica),
            self.peer(primary, replica),
        );
        p.up && p.primary
            && r.up
            && peer.session != 0
            && r.session == peer.session
            && r.promised == p.promised
    }
}

fn peer_slot(primary: NodeId, replica: NodeId) -> usize {
    usize::from(
        replica
            .wrapping_sub(primary)
            .wrapping_add(NODES as u8)
            .wrapping_sub(1),
    ) % NODES
        % (NODES - 1)
}
