//! What the calls of the authority do (`docs/session.md`, section 4).

use super::Work;
use crate::session::rules::Broken;
use crate::session::state::{Assignment, Named, Phase, SENDERS, SESSIONS_MAX, Sender, Volume};
use crate::session::vocabulary::{Cause, Intent, SenderState, SessionKind};

impl Work<'_> {
    pub(super) fn assign(&mut self, number: u8, assignment: Assignment) {
        let slots: Vec<usize> = self.spec.slots_of(number).collect();
        let Some(at) = slots.first().map(|&slot| self.spec.volume_index(slot)) else {
            return;
        };
        let known = self.state.volumes[at];
        if let Some(known) = known {
            let (ours, theirs) = (
                (known.epoch, known.revision),
                (assignment.epoch, assignment.revision),
            );
            let dropped = theirs.0 == ours.0 && self.broken(Broken::NewerRevisionDropped);
            if ours == theirs || dropped {
                self.out.unchanged = true;
                if self.broken(Broken::UnchangedAssignmentRecovers) {
                    self.intents(&slots, &assignment);
                }
                return;
            }
            if theirs < ours && self.broken(Broken::StaleAssignmentRemoves) {
                return self.remove_unnamed(&slots, &assignment);
            }
        }
        // 1
        if known.is_none_or(|known| assignment.epoch > known.epoch) {
            self.new_epoch(&slots);
        }
        // 2, 3, 4 and the first half of 5
        self.remove_unnamed(&slots, &assignment);
        for &slot in &slots {
            if let Some(named) = assignment.replicas[slot] {
                self.name(slot, named);
            }
        }
        if self.broken(Broken::AssignmentStopsOthers) {
            for slot in (0..SENDERS).filter(|slot| !slots.contains(slot)) {
                self.end(slot, Cause::Removed);
                self.state.senders[slot] = None;
            }
        }
        // 5
        let begin_anew = self.broken(Broken::SessionIdsBeginAnew)
            && known.is_some_and(|known| assignment.epoch > known.epoch);
        let next_session = match known {
            Some(known) if !begin_anew => known.next_session,
            Some(_) | None => 1,
        };
        self.state.volumes[at] = Some(Volume {
            epoch: assignment.epoch,
            revision: assignment.revision,
            serving: true,
            assignment,
            next_session,
            issued: known.map_or([None; SESSIONS_MAX], |known| known.issued),
        });
        // 6
        self.intents(&slots, &assignment);
    }

    /// Every session of the volume ends with its epoch, and so do the promises made in it.
    fn new_epoch(&mut self, slots: &[usize]) {
        for &slot in slots {
            self.end(slot, Cause::EpochChanged);
            if let Some(sender) = &mut self.state.senders[slot] {
                sender.acknowledged = None;
            }
        }
    }

    fn remove_unnamed(&mut self, slots: &[usize], assignment: &Assignment) {
        for &slot in slots {
            if assignment.replicas[slot].is_none() {
                self.end(slot, Cause::Removed);
                self.state.senders[slot] = None;
            }
        }
    }

    /// What an assignment says of a replica: its sender exists, at that place.
    fn name(&mut self, slot: usize, named: Named) {
        let present = self.state.senders[slot];
        if present.is_some_and(|sender| named.endpoint.version > sender.endpoint.version)
            && !self.broken(Broken::SessionSurvivesEndpointChange)
        {
            self.end(slot, Cause::EndpointChanged);
        }
        let sender = self.state.senders[slot].get_or_insert(Sender {
            endpoint: named.endpoint,
            member: named.member,
            state: SenderState::Disconnected,
            reason: None,
            acknowledged: None,
            session: None,
        });
        sender.endpoint = named.endpoint;
        sender.member = named.member;
    }

    fn intents(&mut self, slots: &[usize], assignment: &Assignment) {
        for &slot in slots {
            let (Some(named), Some(sender)) = (assignment.replicas[slot], self.state.senders[slot])
            else {
                continue;
            };
            match named.intent {
                Intent::Nothing => {}
                Intent::Recover(kind) => {
                    if sender.session.is_none() {
                        if sender.state == SenderState::NeedsRebuild {
                            self.out.rebuild_required.push(self.spec.place(slot).1);
                        } else {
                            self.attach(slot, kind);
                        }
                    }
                }
                Intent::Rebuild => {
                    let under_way = sender.session.is_some_and(|session| {
                        session.kind == SessionKind::Rebuild
                            && !matches!(session.phase, Phase::Completed(_))
                    });
                    if !under_way {
                        self.end(slot, Cause::Superseded);
                        self.attach(slot, SessionKind::Rebuild);
                    }
                }
            }
        }
    }

    pub(super) fn fence(&mut self, number: u8, epoch: u8) {
        let slots: Vec<usize> = self.spec.slots_of(number).collect();
        self.new_epoch(&slots);
        for volume in slots
            .iter()
            .take(1)
            .map(|&slot| self.spec.volume_index(slot))
        {
            if let Some(volume) = &mut self.state.volumes[volume] {
                volume.epoch = epoch;
                volume.revision = 0;
                volume.serving = false;
            }
        }
    }

    pub(super) fn stop(&mut self, number: u8) {
        for slot in self.spec.slots_of(number) {
            self.end(slot, Cause::Stopped);
            let at = self.spec.volume_index(slot);
            if let Some(volume) = &mut self.state.volumes[at] {
                volume.serving = false;
            }
        }
    }
}
