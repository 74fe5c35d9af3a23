//! Pins: what a session asks the owner of the primary's disk to keep for it.
//!
//! The engine knows a pin by its id alone. It says when one is to be acquired and when it is to be
//! released; the owner of the disk holds the guard. From the request on, a pin is *with the
//! engine*, and every pin that is with it when its session ends, in whatever way, is released by
//! that end, exactly once (F71). A release can therefore overtake its own acquisition: the owner
//! treats the release of a pin that it does not hold as final for that id.

use holdfast_types::{FencingToken, Lsn};

use crate::cause::named;

/// Which of a session's two pins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PinSlot {
    /// The log, from the position that is to be replayed from.
    Retention,
    /// The base image of a rebuild.
    Base,
}

named!(PinSlot {
    Retention => "retention",
    Base => "base",
});

/// Whether a pin was only asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PinState {
    /// Asked for; promises nothing yet (F73).
    Requested,
    /// Held at the source.
    Held,
}

named!(PinState {
    Requested => "requested",
    Held => "held",
});

/// The name of one pin. A session asks for each slot at most once, so it is never reused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PinId {
    /// The session that asked.
    pub token: FencingToken,
    /// Which of its pins.
    pub slot: PinSlot,
}

/// What a pin is to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PinSubject {
    /// Entries after `from` (exclusive) stay in the log.
    History {
        /// The position that will be replayed from.
        from: Lsn,
    },
    /// The snapshot image of exactly that position.
    Snapshot {
        /// Its position.
        base_lsn: Lsn,
    },
    /// The live extent, copied while it is written. What is fixed is the split: the copy holds
    /// everything up to it, and replay begins there (T17).
    LiveExtent {
        /// The checkpoint at the decision.
        split: Lsn,
    },
}

/// A pin to be acquired.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PinRequest {
    /// Its name, under which it is reported held and later released.
    pub id: PinId,
    /// What it keeps.
    pub subject: PinSubject,
}
