//! How a cluster is drawn: the client, the nodes and the authority as lanes, what passes between
//! them as arrows, with positions and entries read from the states on both sides. What each lane
//! knows is in `cards.rs`.

use super::Cluster;
use super::action::Action;
use super::cards::{entry_name, members, phase_name, set_of_writes};
use super::state::{NOBODY, State};
use super::vocabulary::{Letter, Message, Mode, NodeId, Operation, Source};
use crate::explore::{Card, Diagram, Event, Lane, LaneAt, Shape, Tone};

const CLIENT: LaneAt = 0;
/// What is under way to the authority, of which there is at most one.
const REQUEST: &str = "request";

const fn lane(node: NodeId) -> LaneAt {
    node as LaneAt + 1
}

impl Diagram for Cluster {
    fn lanes(&self) -> Vec<Lane> {
        let lane = |name: String, role| Lane { name, role };
        let nodes = 0..self.bounds.nodes;
        [lane("client".to_owned(), "writes, flushes, reads")]
            .into_iter()
            .chain(nodes.map(|node| lane(format!("node {node}"), "a store and its process")))
            .chain([lane("authority".to_owned(), "the record of the volume")])
            .collect()
    }

    fn event(&self, action: Action) -> Event {
        let authority = lane(self.bounds.nodes);
        let local = |node, text: &str| Event::local(lane(node), text);
        let fault = |node, text: &str| Event::local(lane(node), text).toned(Tone::Fault);
        let to_replica = |p, r, text: &str| Event::message(lane(p), lane(r), text);
        let both_ways = |p, r, text: &str| Event::exchange(lane(p), lane(r), text);
        match action {
            Action::Write { primary } => Event::message(CLIENT, lane(primary), "write"),
            Action::AnswerWrites { primary } => {
                Event::message(lane(primary), CLIENT, "writes acknowledged")
            }
            Action::AnswerFlush { primary } => {
                Event::message(lane(primary), CLIENT, "flush acknowledged")
            }
            Action::Read { primary } => Event::exchange(CLIENT, lane(primary), "read"),
            Action::Operate { primary, operation } => {
                Event::message(CLIENT, lane(primary), operation_name(operation))
            }
            Action::Sync { node } => local(node, "syncs its log"),
            Action::Ship { primary, replica } => both_ways(primary, replica, "append"),
            Action::Barrier { primary, replica } => both_ways(primary, replica, "barrier"),
            Action::SendAppend { primary, replica } => to_replica(primary, replica, "send append"),
            Action::SendBarrier { primary, replica } => {
                to_replica(primary, replica, "send barrier")
            }
            Action::Deliver { message } => arrives(message, false),
            Action::DeliverTwin { message } => arrives(message, true),
            Action::Drop { message } => lost(message),
            Action::Handshake { primary, replica } => both_ways(primary, replica, "handshake"),
            Action::Truncate { primary, replica } => both_ways(primary, replica, "truncate"),
            Action::Disconnect { primary, replica } => {
                to_replica(primary, replica, "the stream is lost").toned(Tone::Fault)
            }
            Action::Escalate { primary, replica } => {
                to_replica(primary, replica, "would pin too much: a rebuild").toned(Tone::Fault)
            }
            Action::BeginRebuild {
                primary,
                replica,
                source,
            } => both_ways(primary, replica, rebuild_from(source)),
            Action::CopyChunk { primary, replica } => {
                to_replica(primary, replica, "chunk of the base")
            }
            Action::CopyAnew { primary, replica } => {
                to_replica(primary, replica, "the copy begins anew")
            }
            Action::SwitchBase { primary, replica } => {
                both_ways(primary, replica, "switch to the new base")
            }
            Action::ProposeJoin { primary, replica } => {
                asks(primary, authority, format!("let node {replica} join"))
            }
            Action::ProposeLeave { primary, replica } => {
                asks(primary, authority, format!("let node {replica} leave"))
            }
            Action::ProposeMode { primary, mode } => {
                asks(primary, authority, format!("mode {}", mode_name(mode)))
            }
            Action::ProposeVoter { primary, node } => {
                asks(primary, authority, format!("node {node} as voter, or not"))
            }
            Action::Land => Event::local(authority, "the request lands, granted"),
            Action::LoseRequest => {
                Event::local(authority, "the request is lost").toned(Tone::Fault)
            }
            Action::ReadRecord { primary } => {
                Event::message(authority, lane(primary), "the record, read anew")
            }
            Action::Withdraw { primary } => {
                Event::exchange(lane(primary), authority, "withdraws its request")
            }
            Action::ForgetRequest { primary } => fault(primary, "forgets its request"),
            Action::LeaseRunsOut { primary } => fault(primary, "its lease runs out"),
            Action::RenewLease { primary } => {
                Event::exchange(lane(primary), authority, "renews its lease")
            }
            Action::AskLease { primary } => {
                Event::message(lane(primary), authority, "asks for its lease to be renewed")
            }
            Action::GrantLease => Event::local(authority, "grants the lease"),
            Action::HearLease { primary } => {
                Event::message(authority, lane(primary), "the lease is renewed")
            }
            Action::LeaseOver => Event::local(authority, "takes the lease for over"),
            Action::StopServing { primary } => {
                Event::message(lane(primary), authority, "gives its role up")
            }
            Action::RestartAuthority => {
                Event::local(authority, "CRASH, and restart").toned(Tone::Fault)
            }
            Action::BackUp => Event::local(authority, "backs the record up"),
            Action::RollBack => {
                Event::local(authority, "the record is ROLLED BACK").toned(Tone::Fault)
            }
            Action::Recover { node } => {
                Event::message(authority, lane(node), "recovered, to go on with this copy")
                    .toned(Tone::Repair)
            }
            Action::ReportCommitted { primary } => {
                Event::message(lane(primary), authority, "reports what is committed")
            }
            Action::Heartbeat { node } => Event::message(lane(node), authority, "heartbeat"),
            Action::Mint => Event::local(authority, "mints the next epoch"),
            Action::MintAgain => Event::local(authority, "mints another epoch: nobody can serve"),
            Action::Fence { node } => Event::exchange(authority, lane(node), "fence"),
            Action::Promote {
                node,
                shrink: false,
            } => Event::message(authority, lane(node), "promote"),
            Action::Promote { node, shrink: true } => {
                Event::message(authority, lane(node), "promote; silent members leave")
            }
            Action::ForcePromote { node } => {
                Event::message(authority, lane(node), "FORCED promotion").toned(Tone::Fault)
            }
            Action::WriteBack { node } => local(node, "write-back"),
            Action::Perform { node } => local(node, "performs the volume operation"),
            Action::LoseTail { node } => {
                fault(node, "CRASH, and its disk LOST what it had called durable")
            }
            Action::Checkpoint { node } => local(node, "checkpoint"),
            Action::Reclaim { node } => local(node, "reclaims log"),
            Action::Crash { node } if self.bounds.downtime => fault(node, "CRASH"),
            Action::Crash { node } => fault(node, "CRASH, and restart"),
            Action::Restart { node } => local(node, "restarts").toned(Tone::Repair),
            Action::LoseStore { node } => {
                fault(node, "its STORE IS LOST; an empty one takes its place")
            }
        }
    }

    fn detail(&self, before: &State, action: Action, after: &State, event: &mut Event) {
        self.note(before, action, after, event);
        self.note_letters(before, action, after, event);
        self.note_answers(before, action, after, event);
    }

    fn cards(&self, s: &State) -> Vec<Card> {
        let nodes = (0..self.bounds.nodes).map(|node| self.node_card(s, node));
        [self.client_card(&s.client)]
            .into_iter()
            .chain(nodes)
            .chain([self.authority_card(&s.record)])
            .collect()
    }
}

impl Cluster {
    /// Positions and entries.
    fn note(&self, before: &State, action: Action, after: &State, event: &mut Event) {
        match action {
            Action::Write { primary } => {
                let lsn = before.node(primary).head.saturating_add(1);
                let entry = after.node(primary).log.at(lsn);
                event.add(&format!("w{} becomes entry {lsn}", entry.write));
            }
            Action::Ship { primary, replica } => {
                let lsn = before.peer(primary, replica).next;
                let entry = before.node(primary).log.at(lsn);
                event.add(&format!("entry {lsn} = {}", entry_name(entry)));
            }
            Action::Barrier { replica, .. } => {
                event.add(&format!("durable {}", after.node(replica).durable));
            }
            Action::Sync { node } => {
                event.add(&format!("durable {}", after.node(node).durable));
            }
            Action::Handshake { primary, replica } => {
                let peer = after.peer(primary, replica);
                event.add(phase_name(peer.phase));
                if let Some(cut) = peer.cut {
                    event.add(&format!("cut after {cut}"));
                }
            }
            Action::Truncate { replica, .. } => {
                event.add(&format!("keeps up to {}", after.node(replica).head));
            }
            Action::Operate { primary, .. } => {
                let lsn = before.node(primary).head.saturating_add(1);
                event.add(&format!("becomes entry {lsn}"));
            }
            Action::Perform { node } => {
                event.add(&format!("checkpoint {}", after.node(node).checkpoint));
            }
            Action::ReportCommitted { .. } => {
                let (epoch, lsn) = after.record.seen;
                event.add(&format!("{lsn} of epoch {epoch}"));
            }
            Action::Crash { node } | Action::LoseTail { node } => {
                let (was, is) = (before.node(node).head, after.node(node).head);
                if was > is + 1 {
                    event.add(&format!("entries {} to {was} are gone", is + 1));
                } else if was > is {
                    event.add(&format!("entry {was} is gone"));
                }
            }
            Action::Mint | Action::MintAgain => event.add(&after.record.epoch.to_string()),
            Action::Fence { node } => {
                if let Some(report) = &after.record.reports[usize::from(node)] {
                    let (last, durable) = (report.last, report.durable);
                    event.add(&format!("reports epoch {last} up to {durable}"));
                }
            }
            Action::Promote { node, .. } | Action::ForcePromote { node } => {
                event.add(&format!("epoch {}", after.node(node).promised));
            }
            Action::Land | Action::ReadRecord { .. } => {
                event.add(&format!("isr {}", members(after.record.members.isr)));
            }
            Action::WriteBack { node } => {
                event.add(&format!("entries up to {}", after.node(node).bound));
            }
            Action::Checkpoint { node } => {
                event.add(&after.node(node).checkpoint.to_string());
            }
            Action::Reclaim { node } => {
                event.add(&format!("up to {}", after.node(node).tail));
            }
            Action::Read { .. } => {
                let new = after.client.shown.without(before.client.shown);
                event.add(&format!("shows {}", set_of_writes(new)));
            }
            Action::CopyChunk { primary, replica } => {
                event.add(&after.peer(primary, replica).chunks.to_string());
            }
            Action::AnswerWrites { .. }
            | Action::AnswerFlush { .. }
            | Action::SendAppend { .. }
            | Action::SendBarrier { .. }
            | Action::Deliver { .. }
            | Action::DeliverTwin { .. }
            | Action::Drop { .. }
            | Action::Disconnect { .. }
            | Action::Escalate { .. }
            | Action::BeginRebuild { .. }
            | Action::SwitchBase { .. }
            | Action::ProposeJoin { .. }
            | Action::ProposeLeave { .. }
            | Action::ProposeMode { .. }
            | Action::LoseRequest
            | Action::Withdraw { .. }
            | Action::ForgetRequest { .. }
            | Action::LeaseRunsOut { .. }
            | Action::RenewLease { .. }
            | Action::CopyAnew { .. }
            | Action::ProposeVoter { .. }
            | Action::AskLease { .. }
            | Action::GrantLease
            | Action::HearLease { .. }
            | Action::LeaseOver
            | Action::StopServing { .. }
            | Action::RestartAuthority
            | Action::BackUp
            | Action::RollBack
            | Action::Recover { .. }
            | Action::Heartbeat { .. }
            | Action::Restart { .. }
            | Action::LoseStore { .. } => {}
        }
    }

    /// What is put on the wire, and what becomes of a request that was under way.
    fn note_letters(&self, before: &State, action: Action, after: &State, event: &mut Event) {
        for message in after.wire.iter().flatten() {
            if before.wire.contains(&Some(*message)) {
                continue;
            }
            let departs = Shape::Departs {
                from: lane(message.from),
                to: lane(message.to),
                letter: letter(message),
            };
            if matches!(
                action,
                Action::SendAppend { .. } | Action::SendBarrier { .. }
            ) {
                (event.text, event.shape) = (letter(message), departs);
            } else {
                event.also.push((letter(message), departs));
            }
        }
        if before.record.request.is_some() && after.record.request.is_none() {
            let asker = match before.record.primary {
                NOBODY => before.record.last,
                primary => primary,
            };
            let (from, to) = (lane(asker), lane(self.bounds.nodes));
            let letter = REQUEST.to_owned();
            if action == Action::Land {
                event.shape = Shape::Arrives {
                    from,
                    to,
                    letter,
                    again: false,
                };
            } else {
                let lost = Shape::Lost { from, to, letter };
                if action == Action::LoseRequest {
                    event.shape = lost;
                } else {
                    event.also.push(("can land no more".to_owned(), lost));
                }
            }
        }
    }

    /// What the client was told: as an answer of its own, or promptly, with the step that allowed
    /// it.
    fn note_answers(&self, before: &State, action: Action, after: &State, event: &mut Event) {
        let told = [
            ("acknowledged", before.client.acked, after.client.acked),
            (
                "flush acknowledged",
                before.client.flushed,
                after.client.flushed,
            ),
        ];
        let is_answer = matches!(
            action,
            Action::AnswerWrites { .. } | Action::AnswerFlush { .. }
        );
        for (what, old, new) in told {
            let new = set_of_writes(new.without(old));
            if is_answer && !new.is_empty() {
                event.add(&new);
            } else if !new.is_empty() {
                let node = after.acting_primary().unwrap_or(before.record.primary);
                let shape = Shape::Message(lane(node), CLIENT);
                event.also.push((format!("{what}: {new}"), shape));
            }
        }
    }
}

/// A request to the authority is under way from here on.
fn asks(primary: NodeId, to: LaneAt, text: String) -> Event {
    let from = lane(primary);
    let letter = REQUEST.to_owned();
    Event::of(text, Shape::Departs { from, to, letter })
}

/// What a message says, and under which authority: that is what makes it this message.
fn letter(message: &Message) -> String {
    let what = match message.letter {
        Letter::Append { lsn, entry, .. } => format!("append {lsn} = {}", entry_name(entry)),
        Letter::Barrier { lsn, .. } => format!("barrier {lsn}"),
        Letter::Ack { received, durable } => format!("received {received}, durable {durable}"),
    };
    format!("{what} [e{}/s{}]", message.epoch, message.session)
}

fn arrives(message: Message, again: bool) -> Event {
    let text = if again {
        format!("arrives, and will again: {}", letter(&message))
    } else {
        format!("arrives: {}", letter(&message))
    };
    let shape = Shape::Arrives {
        from: lane(message.from),
        to: lane(message.to),
        letter: letter(&message),
        again,
    };
    let tone = if again { Tone::Fault } else { Tone::Plain };
    Event::of(text, shape).toned(tone)
}

fn lost(message: Message) -> Event {
    let shape = Shape::Lost {
        from: lane(message.from),
        to: lane(message.to),
        letter: letter(&message),
    };
    Event::of(format!("lost: {}", letter(&message)), shape).toned(Tone::Fault)
}

const fn rebuild_from(source: Source) -> &'static str {
    match source {
        Source::Snapshot => "rebuild begins, from a snapshot",
        Source::FullBase => "rebuild begins, from the live extent",
    }
}

const fn operation_name(operation: Operation) -> &'static str {
    match operation {
        Operation::Snapshot => "take a snapshot",
        Operation::Restore => "restore the snapshot",
    }
}

/// The word of the prose.
pub(super) const fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::BestEffort => "best_effort",
        Mode::SyncAll => "sync_all",
        Mode::SyncQuorum => "sync_quorum",
    }
}
