//! Why a call is refused. A refused call changes nothing at all (T7).

use std::fmt;

use super::vocabulary::{Epoch, Lsn};

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident $({ $($field:ident: $type:ty),* })? = $text:literal,)*) => {
        /// A typed refusal, with what was expected.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Refusal {
            $($(#[$doc])* $name $({
                $(#[doc = "What was expected, or is current."] $field: $type),*
            })?,)*
        }

        /// Every reason, by name.
        pub const REASONS: &[&str] = &[$($text),*];

        impl Refusal {
            /// The name of the reason.
            #[must_use]
            pub const fn reason(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => $text,)*
                }
            }

            /// The place of the reason in [`REASONS`].
            #[must_use]
            pub fn index(&self) -> usize {
                let mut at = 0;
                $(
                    if matches!(self, Self::$name { .. }) {
                        return at;
                    }
                    at += 1;
                )*
                at
            }
        }
    };
}

refusals! {
    /// The volume is unknown or has no sender for the replica.
    UnknownSender = "unknown_sender",
    /// The volume is unknown.
    UnknownVolume = "unknown_volume",
    /// The epoch is not the volume's.
    StaleEpoch { current: Epoch } = "stale_epoch",
    /// The endpoint version is not the sender's.
    StaleEndpoint { current: u8 } = "stale_endpoint",
    /// The session is not the sender's present one.
    StaleSession { current: Option<u8> } = "stale_session",
    /// The call does not belong to the session's phase.
    WrongPhase { phase: &'static str } = "wrong_phase",
    /// The assignment is older than the one in force.
    StaleAssignment { epoch: Epoch, revision: u8 } = "stale_assignment",
    /// Another assignment has the same epoch and revision.
    ConflictingAssignment = "conflicting_assignment",
    /// The endpoint goes back, or moves under its version.
    EndpointRegressed { replica: u8 } = "endpoint_regressed",
    /// A member of the in-sync set is to be rebuilt.
    RebuildOfMember { replica: u8 } = "rebuild_of_member",
    /// No assignment of this epoch is in force.
    NotServing = "not_serving",
    /// There is a session.
    SessionActive { session: u8 } = "session_active",
    /// Only a rebuild can help.
    RebuildRequired = "rebuild_required",
    /// A rebuild begins after its replica has left the in-sync set.
    StillInSyncSet = "still_in_sync_set",
    /// The replica's report contradicts itself.
    MalformedFacts = "malformed_facts",
    /// The primary's history contradicts itself.
    MalformedHistory = "malformed_history",
    /// This node is deposed.
    ReplicaHasNewerEpoch { epoch: Epoch } = "replica_has_newer_epoch",
    /// The primary has not logged its epoch-start entry.
    EpochStartMissing = "epoch_start_missing",
    /// The primary's own base is not trusted.
    PrimaryUntrusted = "primary_untrusted",
    /// The pin is not outstanding.
    PinNotRequested = "pin_not_requested",
    /// The pin is not held.
    PinNotHeld = "pin_not_held",
    /// No truncation is outstanding.
    TruncationNotRequired = "truncation_not_required",
    /// The log was cut elsewhere.
    TruncationMismatch { expected: Lsn } = "truncation_mismatch",
    /// The replica has not confirmed that it cut its log.
    TruncationOutstanding = "truncation_outstanding",
    /// A pin is requested and not held.
    PinOutstanding = "pin_outstanding",
    /// A position goes back.
    ProgressRegressed { at_least: u8 } = "progress_regressed",
    /// A position beyond what is asked for.
    BeyondTarget { goal: u8 } = "beyond_target",
    /// The goal is not reached.
    NotConverged { goal: Lsn } = "not_converged",
    /// A position beyond the primary's own head.
    BeyondHead { head: Lsn } = "beyond_head",
    /// The source was chosen before.
    SourceAlreadySelected = "source_already_selected",
    /// No source was chosen.
    SourceNotSelected = "source_not_selected",
    /// Chunks are missing.
    TransferIncomplete = "transfer_incomplete",
    /// The installed base is not the plan's.
    BaseMismatch = "base_mismatch",
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

#[cfg(test)]
mod tests {
    use super::{REASONS, Refusal};

    #[test]
    fn a_reason_is_found_at_its_index() {
        for refusal in [
            Refusal::UnknownSender,
            Refusal::StaleSession { current: None },
            Refusal::BeyondHead { head: 3 },
            Refusal::BaseMismatch,
        ] {
            assert_eq!(REASONS[refusal.index()], refusal.reason());
        }
    }
}
