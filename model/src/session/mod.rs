//! The `session` specification: how a primary's engine recovers its replicas.
//!
//! **Scope.** `docs/session.md`, whole: the registry with one or two senders (two replicas of one
//! volume, or one replica of each of two volumes), every call with every token ever issued and
//! with forged near misses of the current one, handshakes with concrete logs, budgets, pins,
//! truncation, rebuild from both sources, assignments, fence and stop.
//!
//! **What it is judged by.** The machine decides from lineages and reports. The properties decide
//! from ghosts: the concrete logs of both sides, entry by entry, and what is truly pinned at the
//! source. They never look at a rule of the machine.
//!
//! **Simplifications.** A replica's disk is looked at only through a session: between sessions it
//! may become anything that a disk could hold, so nothing is remembered of it. A primary's log is
//! synced up to its head and is never cut. Snapshots neither appear nor vanish. A pin that is lost
//! and the call that reports it are one step. Chunks are counted, not held. Time is a few ticks.
//!
//! **How to break it.** Replace a rule where [`rules::Rules::keeps`] is asked, or run
//! `holdfast-model mutants`, which does so for each of them, then `holdfast-model trace --mutant
//! M18-below-tail-sent-to-catch-up` to read the shortest run on which a property falls.
//!
//! Read in this order: [`vocabulary`], [`state`], [`classify`], `guards.rs`, `effects/`,
//! `properties/`; then `ghosts.rs` and `surroundings.rs` for what the properties rest on.

pub mod action;
mod calls;
mod cards;
pub mod classify;
mod conjuncts;
mod diagram;
mod effects;
mod encode;
mod ghosts;
mod guards;
mod hash;
pub mod instances;
pub mod log;
mod mutants;
mod properties;
pub mod refusal;
pub mod rules;
mod show;
pub mod state;
mod surroundings;
pub mod view;
pub mod vocabulary;
mod witnesses;

use crate::checking::{Conjunct, Instance, Mutant, Property, Spec};

pub use action::{Action, Authority, Begin, Call, Facts, Inputs, Move, Retained};
pub use effects::Outputs;
pub use instances::{Bounds, Layout};
pub use refusal::Refusal;
pub use rules::Rules;
pub use state::State;
pub use view::{View, view};

use state::{SENDERS, Volume};
use vocabulary::Budget;

/// The specification at the bounds of one instance, under one set of rules.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// The bounds.
    pub bounds: &'static Bounds,
    /// The rules in force.
    pub rules: Rules,
}

impl Session {
    /// The protocol at these bounds.
    #[must_use]
    pub const fn new(bounds: &'static Bounds) -> Self {
        Self {
            bounds,
            rules: Rules::holdfast(),
        }
    }

    /// The budget of every session.
    #[must_use]
    pub const fn budget(&self) -> Budget {
        self.bounds.budget
    }

    /// One granted call: the state after it, and what it tells the world. The conformance suite
    /// compares both with the engine's.
    ///
    /// # Errors
    /// The refusal; then nothing has changed.
    pub fn step(&self, before: &State, action: Action) -> Result<(State, Outputs), Refusal> {
        self.guard(before, action)?;
        Ok(self.apply(before, action))
    }

    /// The volume and replica of a sender's slot.
    #[must_use]
    pub const fn place(&self, slot: usize) -> (u8, u8) {
        match (self.bounds.layout, slot) {
            (_, 0) => (1, 1),
            (Layout::OneSender | Layout::TwoSenders, _) => (1, 2),
            (Layout::TwoVolumes, _) => (2, 1),
        }
    }

    /// The slot of a sender, if the instance has one for this volume and replica.
    #[must_use]
    pub const fn slot(&self, volume: u8, replica: u8) -> Option<usize> {
        match (self.bounds.layout, volume, replica) {
            (_, 1, 1) => Some(0),
            (Layout::TwoSenders, 1, 2) | (Layout::TwoVolumes, 2, 1) => Some(1),
            (Layout::OneSender | Layout::TwoSenders | Layout::TwoVolumes, _, _) => None,
        }
    }

    /// How many senders there can be.
    #[must_use]
    pub const fn senders(&self) -> usize {
        match self.bounds.layout {
            Layout::OneSender => 1,
            Layout::TwoSenders | Layout::TwoVolumes => SENDERS,
        }
    }

    /// The slots of a volume's senders, in order of replica id.
    pub fn slots_of(&self, volume: u8) -> impl Iterator<Item = usize> + use<> {
        let spec = *self;
        (0..self.senders()).filter(move |&slot| spec.place(slot).0 == volume)
    }

    /// Where the volume of a sender stands in [`State::volumes`] and [`State::histories`].
    #[must_use]
    pub const fn volume_index(&self, slot: usize) -> usize {
        match self.bounds.layout {
            Layout::OneSender | Layout::TwoSenders => 0,
            Layout::TwoVolumes => slot,
        }
    }

    /// The numbers of the instance's volumes.
    #[must_use]
    pub const fn volumes(&self) -> &'static [u8] {
        match self.bounds.layout {
            Layout::OneSender | Layout::TwoSenders => &[1],
            Layout::TwoVolumes => &[1, 2],
        }
    }

    /// Where a volume stands in [`State::volumes`] and [`State::histories`], if the instance has it.
    #[must_use]
    pub const fn volume_place(&self, volume: u8) -> Option<usize> {
        match (self.bounds.layout, volume) {
            (_, 1) => Some(0),
            (Layout::TwoVolumes, 2) => Some(1),
            (Layout::OneSender | Layout::TwoSenders | Layout::TwoVolumes, _) => None,
        }
    }

    /// The state with the two senders exchanged: replicas of one volume, or of one volume each.
    fn exchanged(&self, state: &State) -> State {
        let mut s = *state;
        s.senders.swap(0, 1);
        s.ghosts.swap(0, 1);
        for volume in s.volumes.iter_mut().flatten() {
            volume.assignment.replicas.swap(0, 1);
        }
        match self.bounds.layout {
            Layout::OneSender => {}
            Layout::TwoSenders => {
                let issued = s.volumes.iter_mut().flatten();
                let issued = issued.flat_map(|volume| volume.issued.iter_mut());
                for issued in issued.flatten() {
                    issued.replica = 3 - issued.replica;
                }
            }
            Layout::TwoVolumes => {
                s.volumes.swap(0, 1);
                s.histories.swap(0, 1);
            }
        }
        s
    }

    /// A volume, if it is known.
    #[must_use]
    pub fn volume<'s>(&self, state: &'s State, volume: u8) -> Option<&'s Volume> {
        state.volumes[self.volume_place(volume)?].as_ref()
    }
}

impl Spec for Session {
    const NAME: &'static str = "session";
    type State = State;
    type Action = Action;
    type Outputs = Outputs;
    type Refusal = Refusal;

    fn instance(&self) -> &Instance {
        &self.bounds.instance
    }

    fn initial(&self) -> Vec<(&'static str, State)> {
        let scene = |scene: &instances::Scene| (scene.name, scene.state(self.bounds.layout));
        self.bounds.scenes.iter().map(scene).collect()
    }

    fn calls(&self, state: &State, calls: &mut Vec<Action>) {
        self.every_call(state, calls);
    }

    fn guard(&self, state: &State, action: Action) -> Result<(), Refusal> {
        self.granted(state, action)
            .map_err(|objection| objection.refusal)
    }

    fn conjuncts() -> &'static [Conjunct] {
        conjuncts::NAMES
    }

    fn objection(&self, state: &State, action: Action) -> Option<usize> {
        let objection = self.granted(state, action).err()?;
        Some(objection.conjunct as usize)
    }

    fn without(&self, conjunct: usize) -> Self {
        Self {
            rules: self.rules.without(conjuncts::ALL[conjunct]),
            ..*self
        }
    }

    fn apply(&self, state: &State, action: Action) -> (State, Outputs) {
        let (mut after, outputs) = self.carried_out(state, action);
        if let Action::World(moves) = action {
            self.surroundings_follow(state, moves, &mut after);
        }
        self.ghosts_follow(state, action, &outputs, &mut after);
        (after, outputs)
    }

    fn encode(&self, state: &State, code: &mut Vec<u8>) {
        encode::state(self, state, code);
    }

    fn is_fault(&self, action: Action) -> bool {
        match action {
            Action::Authority(Authority::Fence { .. } | Authority::Stop { .. })
            | Action::OnSession(
                _,
                Call::Fail { .. }
                | Call::PinFailed { .. }
                | Call::PinLost { .. }
                | Call::TruncationRefused,
            ) => true,
            Action::Authority(Authority::Assign { .. })
            | Action::Begin(_)
            | Action::OnSession(..)
            | Action::World(_) => false,
        }
    }

    fn show(&self, state: &State) -> String {
        show::state(self, state)
    }

    fn refusals() -> &'static [&'static str] {
        refusal::REASONS
    }

    fn refusal_index(refusal: &Refusal) -> usize {
        refusal.index()
    }

    fn properties() -> Vec<Property<Self>> {
        properties::all()
    }

    fn symmetries(&self) -> usize {
        self.senders() - 1
    }

    fn renamed(&self, state: &State, _symmetry: usize) -> State {
        self.exchanged(state)
    }

    fn instances() -> &'static [Instance] {
        instances::LIST
    }

    fn at(instance: &str) -> Option<Self> {
        let bounds = instances::ALL
            .iter()
            .find(|bounds| bounds.instance.name == instance)?;
        Some(Self::new(bounds))
    }

    fn mutants() -> Vec<Mutant<Self>> {
        mutants::all()
    }
}
