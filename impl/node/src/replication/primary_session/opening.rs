//! From the attachment of a session to the plan: connect, hello, report, and what the engine makes
//! of it.

use std::time::Duration;

use holdfast_blockvol::{MIN_LOG_BYTES, PinError};
use holdfast_engine::{
    CatchUpEvidence, Command, Interruption, PinRequest, PinSlot, PinSubject, StoreStanding,
};
use holdfast_types::{Endpoint, ReplicaFacts, StoreId};
use holdfast_wire::{Frame, Hello, Message, Refusal, SUPPORTED_VERSIONS};

use super::{
    ConnectionFault, Finding, Given, Note, OUT_OF_TURN, PrimarySession, SessionError, Stage,
    StoreFault, Todo, UNEXPECTED_COMMAND, Want, ungiven,
};

/// How far a session is before its plan.
#[derive(Clone, Debug)]
pub(super) enum Opening {
    /// The engine is told that the connection is being made.
    Announced { endpoint: Endpoint },
    /// It is being made.
    Dialing { until: Duration },
    /// The hello is being composed, sent and told.
    Greeting,
    /// The replica's report is awaited.
    Listening { until: Duration },
    /// It came: whether its store counts.
    Judging { facts: Box<ReplicaFacts> },
    /// The engine is told, with this node's history of this moment.
    Reporting { facts: Option<Box<ReplicaFacts>> },
    /// The engine decides.
    Classifying,
    /// It asked for the log to be kept.
    Pinning { slot: PinSlot },
    /// Which was not possible.
    Unpinned,
}

impl Opening {
    pub(super) fn plan(&self, now: Duration) -> Result<Todo, SessionError> {
        match self {
            Self::Listening { until } if now >= *until => Err(timed_out("waiting for the replica")),
            Self::Listening { until } => Ok(Todo::Wait { until: *until }),
            Self::Announced { .. }
            | Self::Dialing { .. }
            | Self::Greeting
            | Self::Judging { .. }
            | Self::Reporting { .. }
            | Self::Classifying
            | Self::Pinning { .. }
            | Self::Unpinned => Err(OUT_OF_TURN),
        }
    }
}

fn timed_out(doing: &'static str) -> SessionError {
    ConnectionFault::TimedOut { doing }.into()
}

impl PrimarySession {
    /// Asked again while the connection is not up.
    pub(super) fn still_dialing(&self, now: Duration) -> Result<Todo, SessionError> {
        match self.stage {
            Stage::Opening(Opening::Dialing { until }) if now < until => Ok(Todo::Wait { until }),
            Stage::Opening(Opening::Dialing { .. }) => Err(timed_out("connecting")),
            Stage::Opening(
                Opening::Announced { .. }
                | Opening::Greeting
                | Opening::Listening { .. }
                | Opening::Judging { .. }
                | Opening::Reporting { .. }
                | Opening::Classifying
                | Opening::Pinning { .. }
                | Opening::Unpinned,
            )
            | Stage::Base(_)
            | Stage::Transfer(_)
            | Stage::Positioning(_)
            | Stage::Stream(_)
            | Stage::Over => Err(OUT_OF_TURN),
        }
    }

    pub(super) fn opening_commanded(
        &mut self,
        now: Duration,
        opening: Opening,
        command: Command,
        pins: &[PinRequest],
    ) -> Result<Stage, SessionError> {
        let until = now + self.bounds.stall;
        let next = match opening {
            Opening::Announced { endpoint } if command == Command::SendHello => {
                self.agenda.push_back(Todo::Dial { endpoint, until });
                Opening::Dialing { until }
            }
            Opening::Greeting if command == Command::AwaitReport => Opening::Listening { until },
            Opening::Classifying => return self.classified(now, command, pins),
            Opening::Pinning { .. } => match command {
                Command::CatchUp(command) => return self.position_catch_up(now, command, true),
                Command::Dial { .. }
                | Command::SendHello
                | Command::AwaitReport
                | Command::SelectSource
                | Command::Rebuild(_)
                | Command::KeepUp
                | Command::Ended { .. } => return Err(UNEXPECTED_COMMAND),
            },
            // Its budget was looked at, and goes on for the moment that it takes to say the rest.
            Opening::Unpinned if !self.agenda.is_empty() => Opening::Unpinned,
            Opening::Announced { .. }
            | Opening::Dialing { .. }
            | Opening::Greeting
            | Opening::Listening { .. }
            | Opening::Judging { .. }
            | Opening::Reporting { .. }
            | Opening::Unpinned => return Err(UNEXPECTED_COMMAND),
        };
        Ok(Stage::Opening(next))
    }

    /// The engine's decision.
    fn classified(
        &mut self,
        now: Duration,
        command: Command,
        pins: &[PinRequest],
    ) -> Result<Stage, SessionError> {
        match command {
            Command::CatchUp(command) => {
                let Some(request) = pins.first() else {
                    return self.position_catch_up(now, command, false);
                };
                let from = match request.subject {
                    PinSubject::History { from } => from,
                    PinSubject::Snapshot { .. } | PinSubject::LiveExtent { .. } => {
                        return Err(UNEXPECTED_COMMAND);
                    }
                };
                self.want(Want::PinHistory {
                    from,
                    max_bytes: self.bounds.pin_bytes,
                });
                Ok(Stage::Opening(Opening::Pinning {
                    slot: request.id.slot,
                }))
            }
            Command::SelectSource => Ok(Stage::Base(self.begin_base())),
            Command::Dial { .. }
            | Command::SendHello
            | Command::AwaitReport
            | Command::Rebuild(_)
            | Command::KeepUp
            | Command::Ended { .. } => Err(UNEXPECTED_COMMAND),
        }
    }

    pub(super) fn opening_given(
        &mut self,
        opening: Opening,
        given: Given,
    ) -> Result<Stage, SessionError> {
        let next = match opening {
            Opening::Greeting => {
                let Given::Greeting {
                    blocks,
                    last,
                    primary,
                    store,
                } = given
                else {
                    return Err(ungiven(given));
                };
                self.agenda.push_back(Todo::Send(Message::Hello(Hello {
                    versions: SUPPORTED_VERSIONS,
                    blocks,
                    head: last,
                    primary,
                    store,
                })));
                self.agenda.push_back(Todo::Flush);
                self.tell(Finding::HelloSent);
                Opening::Greeting
            }
            Opening::Reporting { facts } => {
                let Given::History(history) = given else {
                    return Err(ungiven(given));
                };
                self.tell(Finding::Report { facts, history });
                Opening::Classifying
            }
            Opening::Pinning { slot } => {
                if let Given::Failed(StoreFault::Pin(error)) = &given {
                    self.unpinned(slot, error)
                } else if let Given::Pinned { retained_from } = given {
                    self.tell_catch_up(CatchUpEvidence::Pinned { retained_from });
                    Opening::Pinning { slot }
                } else {
                    return Err(ungiven(given));
                }
            }
            Opening::Announced { .. }
            | Opening::Dialing { .. }
            | Opening::Listening { .. }
            | Opening::Judging { .. }
            | Opening::Classifying
            | Opening::Unpinned => return Err(OUT_OF_TURN),
        };
        Ok(Stage::Opening(next))
    }

    /// A pin that would hold back more than it may is over the budget, and another attempt would be
    /// as well: the session ends by that, not by a fault which is tried again for ever (T4).
    fn unpinned(&mut self, slot: PinSlot, error: &PinError) -> Opening {
        match error {
            PinError::TooLarge { held, .. } => {
                // Half of a small log may be the tighter bound of the two.
                let over = self.bounds.budget_bytes.saturating_add(1).max(*held);
                self.interrupt(Interruption::Tick { pinned_bytes: over });
            }
            PinError::BeyondHead { .. }
            | PinError::Recycled { .. }
            | PinError::Revoked { .. }
            | PinError::Closed => {}
        }
        self.interrupt(Interruption::PinFailed { slot });
        Opening::Unpinned
    }

    pub(super) fn opening_frame(
        &mut self,
        opening: Opening,
        frame: Frame,
    ) -> Result<Stage, SessionError> {
        match opening {
            Opening::Listening { .. } => {}
            Opening::Announced { .. }
            | Opening::Dialing { .. }
            | Opening::Greeting
            | Opening::Judging { .. }
            | Opening::Reporting { .. }
            | Opening::Classifying
            | Opening::Pinning { .. }
            | Opening::Unpinned => return Err(OUT_OF_TURN),
        }
        let ours = (frame.volume, frame.epoch, frame.session)
            == (self.token.volume, self.token.epoch, self.token.session);
        let next = match frame.message {
            Message::HelloAck(ack) if ours && ack.log_bytes < MIN_LOG_BYTES => {
                return Err(SessionError::Malformed {
                    what: "the replica has a smaller log than any store",
                });
            }
            Message::HelloAck(ack) if ours => {
                self.note(Note::LogBytes(ack.log_bytes));
                self.agenda.push_back(Todo::ReadRecord);
                Opening::Judging {
                    facts: Box::new(ack.facts),
                }
            }
            Message::Refusal(Refusal::UnknownVolume) => {
                self.want(Want::History);
                Opening::Reporting { facts: None }
            }
            Message::Refusal(refusal) => return Err(SessionError::Refused(refusal)),
            Message::HelloAck(_)
            | Message::Hello(_)
            | Message::Append(_)
            | Message::Received { .. }
            | Message::Barrier { .. }
            | Message::BarrierAck { .. }
            | Message::Truncate { .. }
            | Message::Truncated { .. }
            | Message::RebuildBegin(_)
            | Message::RebuildReady
            | Message::RebuildChunk(_)
            | Message::RebuildProgress { .. }
            | Message::Manifest(_)
            | Message::BaseInstalled(_)
            | Message::Heartbeat { .. }
            | Message::ControlRequest(_)
            | Message::ControlReply(_) => {
                return Err(SessionError::Malformed {
                    what: "the hello was answered by something else",
                });
            }
        };
        Ok(Stage::Opening(next))
    }

    /// The facts that count, which the engine decides by the identity of the store.
    pub(super) fn judged(
        &mut self,
        opening: Opening,
        recorded: Option<StoreId>,
        in_set: bool,
    ) -> Result<Stage, SessionError> {
        let facts = match opening {
            Opening::Judging { facts } => facts,
            Opening::Announced { .. }
            | Opening::Dialing { .. }
            | Opening::Greeting
            | Opening::Listening { .. }
            | Opening::Reporting { .. }
            | Opening::Classifying
            | Opening::Pinning { .. }
            | Opening::Unpinned => return Err(OUT_OF_TURN),
        };
        self.store = Some(facts.store);
        let standing = StoreStanding::of(&facts, recorded, in_set);
        if standing != StoreStanding::Recorded {
            let store = facts.store;
            self.note(Note::OtherStore { store, standing });
        }
        self.want(Want::History);
        Ok(Stage::Opening(Opening::Reporting {
            facts: standing.counts().then_some(facts),
        }))
    }
}
