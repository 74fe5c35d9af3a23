//! What of the log is kept behind the checkpoint: some for copies that fall behind, and what is
//! pinned for sessions that were promised it (T10).
//!
//! A pin is charged for what it alone keeps back: the log from its position up to the checkpoint.
//! What lies beyond the checkpoint stays in any case, pinned or not, and is charged to nobody (F84).
//! A charge is at most half of the ring, all pins together keep back what the oldest does, and so
//! the other half has room again when all of the log is written back (F23, F42). A pin that keeps
//! back more than it may is revoked, but only when the log is about to be freed, and its holder
//! learns it when he asks ([`Store::pinned`]). Time bounds nothing here: that is the holder's part.

use holdfast_types::Lsn;

use super::Store;
use crate::error::PinError;
use crate::superblock::LogStart;

/// Names a pin within its store.
pub(crate) type PinId = u64;

/// Entries after `from` stay, as long as that keeps back no more than `max_bytes` of log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pin {
    pub(crate) from: Lsn,
    pub(crate) max_bytes: u64,
    pub(crate) revoked: Option<&'static str>,
}

const TOO_MUCH: &str = "it kept back more of the log than it may";
pub(crate) const CUT: &str = "the log was cut or replaced";

impl Store {
    /// Keeps the entries after `from`; at most half of the ring can be kept back.
    pub(crate) fn pin(&mut self, from: Lsn, max_bytes: u64) -> Result<PinId, PinError> {
        if from > self.tail.lsn {
            return Err(PinError::BeyondHead {
                from,
                head: self.tail.lsn,
            });
        }
        if self.is_blank() || from < self.retained.lsn {
            return Err(PinError::Recycled {
                from,
                retained_from: self.positions().retained_from,
            });
        }
        let max_bytes = max_bytes.min(self.ring.bytes() / 2);
        let held = self.kept_back_by(from);
        if held > max_bytes {
            return Err(PinError::TooLarge {
                from,
                held,
                max_bytes,
            });
        }
        let id = self.next_pin;
        self.next_pin += 1;
        self.pins.insert(
            id,
            Pin {
                from,
                max_bytes,
                revoked: None,
            },
        );
        Ok(id)
    }

    /// Ends a pin; releasing twice has no effect.
    pub(crate) fn unpin(&mut self, id: PinId) {
        self.pins.remove(&id);
    }

    /// Whether a pin still holds, and from where.
    pub(crate) fn pinned(&self, id: PinId) -> Result<Lsn, PinError> {
        let Some(pin) = self.pins.get(&id) else {
            return Err(PinError::Closed);
        };
        match pin.revoked {
            None => Ok(pin.from),
            Some(why) => Err(PinError::Revoked {
                from: pin.from,
                why,
            }),
        }
    }

    /// What a pin is charged for at present; nothing once it was revoked.
    pub(crate) fn held_by(&self, id: PinId) -> u64 {
        let pin = self.pins.get(&id).filter(|pin| pin.revoked.is_none());
        pin.map_or(0, |pin| self.kept_back_by(pin.from))
    }

    /// Moves a pin forward, never back.
    pub(crate) fn advance_pin(&mut self, id: PinId, to: Lsn) -> Result<(), PinError> {
        self.pinned(id)?;
        let head = self.tail.lsn;
        if to > head {
            return Err(PinError::BeyondHead { from: to, head });
        }
        if let Some(pin) = self.pins.get_mut(&id) {
            pin.from = pin.from.max(to);
        }
        Ok(())
    }

    /// Revokes every pin that reaches beyond a cut; `None`: every pin.
    pub(crate) fn revoke_beyond(&mut self, cut: Option<Lsn>) {
        for pin in self.pins.values_mut() {
            if cut.is_none_or(|to| pin.from > to) && pin.revoked.is_none() {
                pin.revoked = Some(CUT);
            }
        }
    }

    /// Bytes of log that only a pin at `from` keeps from being freed: up to the durable checkpoint,
    /// where the log could begin without it.
    fn kept_back_by(&self, from: Lsn) -> u64 {
        let end = |lsn| self.point_after(lsn).map(|point| point.position);
        match (end(from), end(self.superblock.checkpoint)) {
            (Some(from), Some(checkpoint)) => checkpoint.saturating_sub(from),
            (None, _) | (_, None) => 0,
        }
    }

    /// Where the log may begin: behind the durable checkpoint as far as retention and pins ask,
    /// never before the present start (F12). Pins that keep back too much end here.
    pub(crate) fn next_start(&mut self) -> LogStart {
        let checkpoint = self.superblock.checkpoint;
        let retain = self.retain_bytes();
        let keep_from = self.tail.position.saturating_sub(retain);
        let before = self.entries.before_position(keep_from);
        let mut lsn = checkpoint.min(Lsn(self.superblock.start.lsn.0 + before as u64));
        let ids: Vec<PinId> = self.pins.keys().copied().collect();
        for id in ids {
            let held = self
                .pins
                .get(&id)
                .map_or(0, |pin| self.kept_back_by(pin.from));
            if let Some(pin) = self.pins.get_mut(&id)
                && pin.revoked.is_none()
            {
                if held > pin.max_bytes {
                    pin.revoked = Some(TOO_MUCH);
                } else {
                    lsn = lsn.min(pin.from);
                }
            }
        }
        let lsn = lsn.max(self.retained.lsn);
        self.point_after(lsn).unwrap_or(self.retained)
    }

    /// How much of the room that write-back can make is taken by entries that it has not reached, in
    /// thousandths. What retention and pins keep back is no such room.
    pub(crate) fn pressure(&self) -> u64 {
        let begin = self.superblock.start.position;
        let reached = self
            .point_after(self.superblock.checkpoint)
            .map_or(begin, |point| point.position);
        let kept_back = (reached - begin).min(self.ring.bytes() / 2);
        let room = self.ring.bytes() - kept_back - self.reserve();
        (self.tail.position - reached) * 1000 / room
    }

    fn retain_bytes(&self) -> u64 {
        let most = self.ring.bytes() / 4;
        self.options
            .retain_bytes
            .map_or(most, |bytes| bytes.min(most))
    }
}
