//! Locks over ranges of blocks, so that the read-modify-write of one block never writes back
//! bytes that another write has replaced meanwhile.
//!
//! Writes of whole blocks share a block with each other (NBD does not order overlapping
//! requests); a read-modify-write excludes everything else on its blocks. Requests are granted in
//! the order of their arrival where they conflict, so nobody starves; and as each request takes
//! its whole range at once and waits only for earlier ones, there is no deadlock.
//!
//! While no read-modify-write is about, a lock costs two short critical sections and no search.

use std::sync::{Mutex, MutexGuard, PoisonError};

use holdfast_types::BlockRange;
use tokio::sync::Notify;

/// How a request uses its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Whole blocks are replaced.
    Replace,
    /// Parts of blocks are read, changed and written back.
    Modify,
}

#[derive(Debug)]
struct Entry {
    ticket: u64,
    range: BlockRange,
    mode: Mode,
}

#[derive(Debug, Default)]
struct State {
    next_ticket: u64,
    /// Held and waiting, in no order; tickets tell who was first.
    entries: Vec<Entry>,
    /// How many of them modify.
    modifying: usize,
}

impl State {
    fn is_blocked(&self, ticket: u64, range: BlockRange, mode: Mode) -> bool {
        if mode == Mode::Replace && self.modifying == 0 {
            return false;
        }
        self.entries.iter().any(|other| {
            other.ticket < ticket
                && (other.mode == Mode::Modify || mode == Mode::Modify)
                && other.range.overlaps(range)
        })
    }
}

/// The locks of one export.
#[derive(Debug, Default)]
pub(super) struct BlockLocks {
    state: Mutex<State>,
    released: Notify,
}

/// Holds a range until it is dropped.
#[derive(Debug)]
pub(super) struct BlockGuard<'a> {
    locks: &'a BlockLocks,
    ticket: u64,
}

impl BlockLocks {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic between two lines of bookkeeping is impossible; the content is sound.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no earlier request conflicts, then holds the range. Dropping the future gives
    /// up the place in the line.
    pub(super) async fn lock(&self, range: BlockRange, mode: Mode) -> BlockGuard<'_> {
        let (guard, mut blocked) = {
            let mut state = self.state();
            let ticket = state.next_ticket;
            state.next_ticket += 1;
            let blocked = state.is_blocked(ticket, range, mode);
            state.entries.push(Entry {
                ticket,
                range,
                mode,
            });
            state.modifying += usize::from(mode == Mode::Modify);
            let guard = BlockGuard {
                locks: self,
                ticket,
            };
            (guard, blocked)
        };
        while blocked {
            // Registered before the state is looked at, so that no release is missed.
            let released = self.released.notified();
            blocked = self.state().is_blocked(guard.ticket, range, mode);
            if blocked {
                released.await;
            }
        }
        guard
    }
}

impl Drop for BlockGuard<'_> {
    fn drop(&mut self) {
        let mut state = self.locks.state();
        if let Some(at) = state.entries.iter().position(|e| e.ticket == self.ticket) {
            let entry = state.entries.swap_remove(at);
            let waiters = state.modifying > 0;
            state.modifying -= usize::from(entry.mode == Mode::Modify);
            drop(state);
            if waiters {
                self.locks.released.notify_waiters();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use holdfast_types::BlockRange;

    use super::{BlockGuard, BlockLocks, Mode};

    fn blocks(start: u64, count: u64) -> BlockRange {
        BlockRange::new(start, count).unwrap()
    }

    /// Polls once: granted or not.
    fn granted<'a>(future: std::pin::Pin<&mut impl Future<Output = BlockGuard<'a>>>) -> bool {
        future
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }

    #[test]
    fn writes_of_whole_blocks_do_not_wait_for_each_other() {
        let locks = BlockLocks::default();
        let mut first = pin!(locks.lock(blocks(0, 8), Mode::Replace));
        let mut second = pin!(locks.lock(blocks(4, 8), Mode::Replace));
        assert!(granted(first.as_mut()) && granted(second.as_mut()));
    }

    #[tokio::test]
    async fn a_read_modify_write_excludes_every_write_of_its_blocks_and_no_other() {
        let locks = BlockLocks::default();
        let held = locks.lock(blocks(4, 1), Mode::Modify).await;
        let mut whole = pin!(locks.lock(blocks(0, 8), Mode::Replace));
        let mut partial = pin!(locks.lock(blocks(4, 1), Mode::Modify));
        let mut elsewhere = pin!(locks.lock(blocks(5, 3), Mode::Replace));
        assert!(!granted(whole.as_mut()));
        assert!(!granted(partial.as_mut()));
        assert!(granted(elsewhere.as_mut()));
        drop(held);
        let whole = whole.await;
        assert!(!granted(partial.as_mut()), "the earlier write still holds");
        drop(whole);
        drop(partial.await);
    }

    #[tokio::test]
    async fn a_waiting_read_modify_write_is_not_overtaken() {
        let locks = BlockLocks::default();
        let first = locks.lock(blocks(0, 4), Mode::Replace).await;
        let mut partial = pin!(locks.lock(blocks(0, 1), Mode::Modify));
        assert!(!granted(partial.as_mut()));
        let mut later = pin!(locks.lock(blocks(0, 4), Mode::Replace));
        assert!(!granted(later.as_mut()));
        drop(first);
        let partial = partial.await;
        assert!(!granted(later.as_mut()));
        drop(partial);
        drop(later.await);
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_the_line() {
        let locks = BlockLocks::default();
        let held = locks.lock(blocks(0, 1), Mode::Modify).await;
        {
            let mut quitter = pin!(locks.lock(blocks(0, 1), Mode::Modify));
            assert!(!granted(quitter.as_mut()));
        }
        drop(held);
        let mut next = pin!(locks.lock(blocks(0, 1), Mode::Replace));
        assert!(granted(next.as_mut()));
        assert_eq!(locks.state().modifying, 0);
    }
}
