//! Rebuild = frozen target + trusted pinned base + tail + barrier (`protocol.md` section 6).
//!
//! A base is copied in chunks, one block each, beside live writes. A snapshot is an image of its
//! own; a full base is the live extent, and what changed under the copy is mended by the tail
//! from the split on. Chunks arrive in order; on the wire they would each be verified.

use super::Cluster;
use super::action::Refusal;
use super::broken::Broken;
use super::conjuncts::{Conditions, Conjunct, Granted, unless};
use super::state::{Membership, Peer, State};
use super::vocabulary::{BLOCKS, Image, NodeId, Phase, Source, UNTRUSTED};

impl Cluster {
    pub(super) fn may_begin_rebuild(
        &self,
        s: &State,
        primary: NodeId,
        replica: NodeId,
        source: Source,
    ) -> Granted {
        let (p, peer) = (s.node(primary), s.peer(primary, replica));
        let offered = match source {
            Source::Snapshot => self.bounds.snapshots,
            Source::FullBase => self.bounds.full_base,
        };
        unless(offered, Refusal::Bound)?;
        let needed = p.primary && peer.phase == Phase::NeedsRebuild;
        self.must(Conjunct::BeginPhase, needed, Refusal::NoSession)?;
        let connected = s.connected(primary, replica);
        self.must(Conjunct::BeginConnected, connected, Refusal::NoSession)?;
        let member = |of: &Membership| of.isr.has(replica) && !self.is(Broken::RebuildMember);
        let outside = !member(&p.view);
        self.must(Conjunct::BeginOutside, outside, Refusal::StillMember)?;
        let outside = !p.pending.as_ref().is_some_and(member);
        self.must(Conjunct::BeginOutsideNew, outside, Refusal::StillMember)?;
        self.must(Conjunct::BeginTrusted, p.trusted(), Refusal::NotEligible)?;
        let exact = p.bound == p.checkpoint || self.is(Broken::InexactSnapshot);
        let exact = source == Source::FullBase || exact;
        self.must(Conjunct::BeginExact, exact, Refusal::NoExactImage)?;
        // A copy that may still be worth something is overwritten only once others suffice.
        let worthless = !s.recorded(replica) || !s.node(replica).trusted();
        let durable = self.durable_at(s, primary, self.acknowledged_so_far(s, primary));
        let spared = worthless || Self::held(primary, &p.view, durable);
        self.must(Conjunct::BeginForgets, spared, Refusal::WouldForget)
    }

    /// Source and pins first (the log from the split on is pinned by `next`), then the durable
    /// mark on the replica, and only then the first chunk.
    pub(super) fn begin_rebuild(
        &self,
        s: &mut State,
        primary: NodeId,
        replica: NodeId,
        source: Source,
    ) {
        let p = *s.node(primary);
        let start = p.log.first_of(p.promised).unwrap_or(p.head);
        let outlives = self.is(Broken::AckOutlivesRebuild);
        let r = s.node_mut(replica);
        if !self.is(Broken::NoUntrustedMark) {
            r.bound = UNTRUSTED;
        }
        let said = if outlives { r.durable } else { 0 };
        let peer = s.peer_mut(primary, replica);
        *peer = Peer {
            phase: Phase::Copying,
            session: peer.session,
            store: peer.store,
            received: said,
            durable: said,
            next: p.checkpoint + 1,
            target: p.committed.max(start),
            cut: None,
            source,
            split: p.checkpoint,
            chunks: 0,
            image: match source {
                Source::Snapshot => p.extent,
                Source::FullBase => Image::default(),
            },
        };
    }

    pub(super) fn may_copy_chunk(&self, s: &State, primary: NodeId, replica: NodeId) -> Granted {
        let peer = s.peer(primary, replica);
        let connected = s.connected(primary, replica);
        self.must(Conjunct::ChunkConnected, connected, Refusal::NoSession)?;
        let late = self.is(Broken::LateChunkInstalled)
            && peer.source == Source::Snapshot
            && usize::from(peer.chunks) == BLOCKS
            && (peer.phase == Phase::Replaying || peer.phase == Phase::InSync);
        let copying = peer.phase == Phase::Copying;
        self.must(Conjunct::ChunkPhase, copying || late, Refusal::NoSession)?;
        let missing = usize::from(peer.chunks) < BLOCKS;
        unless(missing || late, Refusal::NoSession)
    }

    pub(super) fn copy_chunk(&self, s: &mut State, primary: NodeId, replica: NodeId) {
        let peer = s.peer_mut(primary, replica);
        let block = usize::from(peer.chunks) % BLOCKS;
        peer.chunks += 1;
        let (source, image) = (peer.source, peer.image);
        let chunk = match source {
            Source::Snapshot => image.blocks[block],
            Source::FullBase => s.node(primary).extent.blocks[block],
        };
        s.node_mut(replica).extent.blocks[block] = chunk;
    }

    /// Whether a volume operation fell between the split and what the copy of a full base may
    /// hold: replayed on such an image it would have another outcome.
    fn operation_inside(s: &State, primary: NodeId, replica: NodeId) -> bool {
        let (p, peer) = (s.node(primary), s.peer(primary, replica));
        let due = p.log.operation_after(peer.split);
        peer.source == Source::FullBase && due.is_some_and(|at| at <= p.bound)
    }

    pub(super) fn may_copy_anew(&self, s: &State, primary: NodeId, replica: NodeId) -> Granted {
        let connected = s.connected(primary, replica);
        self.must(Conjunct::AnewConnected, connected, Refusal::NoSession)?;
        let copying = s.peer(primary, replica).phase == Phase::Copying;
        self.must(Conjunct::AnewPhase, copying, Refusal::NoSession)?;
        let inside = Self::operation_inside(s, primary, replica);
        unless(inside, Refusal::NothingToDo)
    }

    /// The copy begins anew, from the present checkpoint.
    pub(super) fn copy_anew(&self, s: &mut State, primary: NodeId, replica: NodeId) {
        let split = s.node(primary).checkpoint;
        let peer = s.peer_mut(primary, replica);
        peer.split = split;
        peer.next = split + 1;
        peer.chunks = 0;
    }

    pub(super) fn may_switch_base(&self, s: &State, primary: NodeId, replica: NodeId) -> Granted {
        let peer = s.peer(primary, replica);
        let connected = s.connected(primary, replica);
        self.must(Conjunct::SwitchConnected, connected, Refusal::NoSession)?;
        let copying = peer.phase == Phase::Copying;
        self.must(Conjunct::SwitchPhase, copying, Refusal::NoSession)?;
        let complete = usize::from(peer.chunks) == BLOCKS || self.is(Broken::SwitchBeforeCopied);
        self.must(Conjunct::SwitchWhole, complete, Refusal::NotHeld)?;
        let inside = Self::operation_inside(s, primary, replica);
        let sound = !inside || self.is(Broken::OperationOnFuzzyBase);
        self.must(Conjunct::SwitchInside, sound, Refusal::OperationDue)
    }

    /// Checkpoint, extent bound, lineage and an empty log in one durable step. The image becomes
    /// trusted when replay passes the bound that the source had when the copy ended; the session
    /// is not over before that.
    pub(super) fn switch_base(&self, s: &mut State, primary: NodeId, replica: NodeId) {
        let p = *s.node(primary);
        let peer = s.peer_mut(primary, replica);
        let mut split = peer.split;
        if self.is(Broken::SplitMovesWithCopy) && peer.source == Source::FullBase {
            split = p.checkpoint;
        }
        if self.is(Broken::TailBeyondSplit) && split < p.head {
            split += 1;
        }
        let carried = match peer.source {
            Source::FullBase if !self.is(Broken::BoundNotCarried) => p.bound.max(split),
            Source::FullBase | Source::Snapshot => split,
        };
        let carried_snapshot = match peer.source {
            _ if self.is(Broken::SnapshotNotCarried) => None,
            Source::FullBase => p.extent.snapshot,
            Source::Snapshot => peer.image.snapshot,
        };
        peer.phase = Phase::Replaying;
        peer.split = split;
        peer.next = split + 1;
        if !self.is(Broken::CompleteBelowImage) {
            peer.target = peer.target.max(carried);
        }
        if !self.is(Broken::LateChunkInstalled) {
            peer.image = Image::default();
            peer.chunks = 0;
        }
        let r = s.node_mut(replica);
        r.log = p.log.prefix(split);
        r.head = split;
        r.durable = split;
        r.tail = split;
        r.checkpoint = split;
        r.bound = carried;
        r.committed = r.committed.min(split);
        r.extent.snapshot = carried_snapshot;
    }
}
