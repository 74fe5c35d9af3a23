//! The state: what the disks hold, what the processes remember, what the authority recorded, what
//! is under way, and what the client was told.
//!
//! One plain value. Parts that mean nothing at the moment (the memory of a node that is down, the
//! sessions of a node that is no primary) are kept at their defaults, so that equal situations
//! are equal values.

use std::hash::{Hash, Hasher};

use super::vocabulary::{
    BLOCKS, Entry, Epoch, Log, Lsn, Members, Message, Mode, NODES, NodeId, Phase, SLOTS, SessionId,
    Source, StoreId, UNTRUSTED, Writes,
};

/// No node.
pub const NOBODY: NodeId = NODES as NodeId;
/// The most messages under way at once.
pub const WIRE: usize = 3;

/// Everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
}

/// Who must acknowledge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Membership {
    /// The in-sync set.
    pub isr: Members,
    /// The voters (of `sync_quorum`).
    pub voters: Members,
    /// The durability mode.
    pub mode: Mode,
}

/// A change of the record that the primary asked for and the authority has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// The membership asked for.
    pub to: Membership,
    /// The member that joins, and the identity of the store it was proven with.
    pub newcomer: Option<(NodeId, StoreId)>,
}

/// What a fenced candidate said of its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
}

/// One node: its store, and what its process remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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
    /// The extent: the last write in each block.
    pub extent: [u8; BLOCKS],
    /// Highest epoch made durable.
    pub sworn: Epoch,
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
    pub image: [u8; BLOCKS],
}

/// The client's history: sets of writes, by what happened to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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
}

impl Peer {
    /// Its canonical encoding.
    #[must_use]
    pub fn code(&self) -> [u8; 6] {
        [
            self.phase as u8 | self.session << 4,
            self.received | self.durable << 4,
            self.next | self.target << 4,
            self.cut.unwrap_or(15) | self.split << 4,
            self.chunks | (self.source as u8) << 2 | self.store << 4,
            self.image[0] | self.image[1] << 4,
        ]
    }
}

impl Hash for Peer {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let code = self.code();
        hasher.write_u64(
            code.iter()
                .fold(0, |word, byte| word << 8 | u64::from(*byte)),
        );
    }
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
    pub fn replayed(&self, to: Lsn) -> [u8; BLOCKS] {
        let mut image = self.extent;
        redo(&mut image, &self.log, self.checkpoint.max(self.tail), to);
        image
    }
}

/// The block a write goes to: writes alternate over the blocks.
#[must_use]
pub fn block_of(write: u8) -> usize {
    usize::from(write.saturating_sub(1)) % BLOCKS
}

/// Redoes the entries `after+1..=to` of a log on an image.
pub fn redo(image: &mut [u8; BLOCKS], log: &Log, after: Lsn, to: Lsn) {
    for lsn in after.saturating_add(1)..=to.min(SLOTS as Lsn) {
        let Entry { write, .. } = log.at(lsn);
        if write != 0 {
            image[block_of(write)] = write;
        }
    }
}

/// The reference: what the volume holds at a position of a log, from an all-zero device.
#[must_use]
pub fn contents(log: &Log, at: Lsn) -> [u8; BLOCKS] {
    let mut image = [0; BLOCKS];
    redo(&mut image, log, 0, at);
    image
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

/// The canonical encoding: a byte for each field that can differ, several where they fit.
pub fn encode(state: &State, code: &mut Vec<u8>) {
    let members = |m: &Membership| [m.isr.0 | m.voters.0 << 3 | (m.mode as u8) << 6];
    let maybe = |m: &Option<Membership>| m.as_ref().map_or([u8::MAX], members);
    let record = &state.record;
    code.extend([record.epoch | record.primary << 3 | record.last << 5]);
    code.extend(members(&record.members));
    code.push(
        record.stores[0]
            | record.stores[1] << 2
            | record.stores[2] << 4
            | u8::from(record.news) << 6,
    );
    for report in &record.reports {
        let bits = report.map_or(0, |r| {
            1 | u16::from(r.last) << 1
                | u16::from(r.durable) << 4
                | u16::from(r.promised) << 7
                | u16::from(r.whole) << 10
        });
        code.extend(bits.to_le_bytes());
    }
    code.extend(maybe(&record.request.map(|r| r.to)));
    let newcomer = record.request.and_then(|r| r.newcomer);
    code.push(newcomer.map_or(u8::MAX, |(node, store)| node | store << 2));
    for node in &state.nodes {
        encode_node(node, code);
    }
    for message in &state.wire {
        encode_message(message.as_ref(), code);
    }
    let c = &state.client;
    code.extend([
        c.issued,
        c.acked.0,
        c.flushed.0,
        c.shown.0,
        c.excused.0,
        c.dropped.0,
    ]);
    encode_log(&state.past.log, code);
    let past = &state.past;
    code.push(
        past.committed
            | u8::from(past.split) << 3
            | past.forced << 4
            | u8::from(past.reported) << 6,
    );
}

fn encode_log(log: &Log, code: &mut Vec<u8>) {
    code.extend((1..=SLOTS as Lsn).map(|lsn| log.at(lsn).code()));
}

fn encode_node(node: &Node, code: &mut Vec<u8>) {
    encode_log(&node.log, code);
    code.push(node.durable | node.tail << 4);
    let bound = if node.bound == UNTRUSTED {
        15
    } else {
        node.bound
    };
    code.push(node.checkpoint | bound << 4);
    code.push(node.extent[0] | node.extent[1] << 4);
    code.push(node.store | node.sworn << 2 | u8::from(node.up) << 5 | u8::from(node.whole) << 6);
    code.push(node.head | node.committed << 4);
    code.push(node.promised | u8::from(node.primary) << 3 | u8::from(node.lease) << 4);
    code.push(node.session | node.next_session << 4);
    code.push(node.view.isr.0 | node.view.voters.0 << 3 | (node.view.mode as u8) << 6);
    code.push(
        node.pending
            .map_or(u8::MAX, |m| m.isr.0 | m.voters.0 << 3 | (m.mode as u8) << 6),
    );
    node.peers.iter().for_each(|peer| code.extend(peer.code()));
}

fn encode_message(message: Option<&Message>, code: &mut Vec<u8>) {
    use super::vocabulary::Letter;
    let Some(message) = message else {
        code.extend([0; 6]);
        return;
    };
    let (kind, letter) = match message.letter {
        Letter::Append {
            lsn,
            entry,
            previous,
            committed,
        } => (
            1,
            [
                lsn | committed << 4,
                entry.epoch | entry.write << 4,
                previous,
            ],
        ),
        Letter::Barrier { lsn, committed } => (2, [lsn | committed << 4, 0, 0]),
        Letter::Ack { received, durable } => (3, [received | durable << 4, 0, 0]),
    };
    code.extend([
        kind | message.from << 2 | message.to << 4,
        message.epoch,
        message.session,
    ]);
    code.extend(letter);
}
