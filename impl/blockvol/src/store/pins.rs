//! What of the log is kept: behind the checkpoint for copies that fall behind, and pinned for
//! sessions that were promised it (T10). Always bounded in bytes (F42), so that back-pressure
//! always ends (F23): a pin that holds more than it may is revoked, and says so.

use holdfast_types::Lsn;

use super::Store;
use crate::error::PinError;
use crate::superblock::LogStart;

/// Names a pin within its store.
pub(crate) type PinId = u64;

/// Entries after `from` stay, as long as they are no more than `max_bytes` of log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pin {
    pub(crate) from: Lsn,
    pub(crate) max_bytes: u64,
    pub(crate) revoked: Option<&'static str>,
}

const TOO_MUCH: &str = "the log behind it grew beyond what the pin may hold";
pub(crate) const CUT: &str = "the log was cut or replaced";

impl Store {
    /// Keeps the entries after `from`; at most half of the ring can be held.
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
        let held = self.bytes_after(from);
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

    /// Bytes of log after entry `lsn`, which must be retained.
    fn bytes_after(&self, lsn: Lsn) -> u64 {
        self.point_after(lsn)
            .map_or(0, |point| self.tail.position - point.position)
    }

    /// Where the log may begin: behind the durable checkpoint as far as retention and pins ask,
    /// never before the present start (F12). Pins that hold too much end here.
    pub(crate) fn next_start(&mut self) -> LogStart {
        let checkpoint = self.superblock.checkpoint;
        let retain = self.retain_bytes();
        let keep_from = self.tail.position.saturating_sub(retain);
        let before = self.metas.partition_point(|meta| meta.position < keep_from);
        let mut lsn = checkpoint.min(Lsn(self.superblock.start.lsn.0 + before as u64));
        let ids: Vec<PinId> = self.pins.keys().copied().collect();
        for id in ids {
            let held = self
                .pins
                .get(&id)
                .map_or(0, |pin| self.bytes_after(pin.from));
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

    fn retain_bytes(&self) -> u64 {
        let most = self.ring.bytes() / 4;
        self.options
            .retain_bytes
            .map_or(most, |bytes| bytes.min(most))
    }
}
