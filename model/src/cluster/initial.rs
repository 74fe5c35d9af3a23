//! The first state.

use super::Cluster;
use super::state::{Client, Membership, NOBODY, Node, Past, Peer, Record, State, WIRE};
use super::vocabulary::{Entry, Log, Members, Mode, NODES, Phase, Renewal};

impl Cluster {
    /// A volume in service: epoch 1, its epoch-start entry committed on the whole in-sync set,
    /// sessions in sync; nodes outside the set run with empty, recorded stores.
    pub(super) fn in_service(&self) -> State {
        let isr = self.bounds.isr;
        let mut log = Log::default();
        log.put(1, Entry { epoch: 1, write: 0 });
        let members = Membership {
            isr,
            voters: match self.bounds.mode {
                Mode::SyncQuorum => Members::first(self.bounds.nodes),
                Mode::BestEffort | Mode::SyncAll => isr,
            },
            mode: self.bounds.mode,
        };
        let mut nodes = [Node::default(); NODES];
        for node in 0..self.bounds.nodes {
            let n = &mut nodes[usize::from(node)];
            n.up = true;
            n.whole = true;
            if isr.has(node) {
                *n = Node {
                    log,
                    durable: 1,
                    head: 1,
                    committed: 1,
                    ..*n
                };
                (n.promised, n.sworn, n.session) = (1, 1, u8::from(node != 0));
                n.led = self.bounds.rollback.then_some(0);
            }
        }
        let record = Record {
            epoch: 1,
            primary: 0,
            last: 0,
            members,
            stores: [0; NODES],
            reports: [None; NODES],
            request: None,
            news: false,
            granted: self.bounds.clocks,
            renewal: Renewal::None,
            seen: (0, 0),
        };
        let past = Past {
            log,
            committed: 1,
            ..Past::default()
        };
        let wire = [None; WIRE];
        debug_assert!(record.primary != NOBODY, "somebody serves");
        let mut state = State {
            record,
            nodes,
            wire,
            client: Client::default(),
            past,
            backup: None,
        };
        let p = state.node_mut(0);
        (p.primary, p.lease, p.view) = (true, true, members);
        p.next_session = if self.bounds.wire > 0 { 2 } else { 1 };
        for replica in isr.iter().filter(|node| *node != 0) {
            *state.peer_mut(0, replica) = Peer {
                phase: Phase::InSync,
                session: 1,
                received: 1,
                durable: 1,
                next: 2,
                ..Peer::default()
            };
        }
        state
    }
}
