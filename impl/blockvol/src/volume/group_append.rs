//! One write for everyone who appends at the same time.
//!
//! Whoever comes while nobody writes takes the *turn*: he writes his own entry in his own thread, with no
//! hand-over and no delay. Whoever comes meanwhile waits, and the first of those takes the next turn,
//! with everything that waits and may be written together. So entries are numbered in the order in
//! which they are written, however many threads append, and the volume's lock is held over no disk
//! operation: readers, syncs and write-back go on while the log is written.
//!
//! A few changes must not come between the numbering of an entry and its place in memory: a promise
//! that comes into force, the end of a cut or of a switch of bases. They take a turn too
//! ([`Shared::between_appends`]).

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::thread::panicking;

use holdfast_types::Lsn;

use super::Shared;
use crate::error::{AppendError, DiskError, DiskOp};
use crate::store::{AppendGroup, AppendRequest, Store};
use crate::threads::thread::{self, Thread};
use crate::threads::{LOOKS, atomic};

use atomic::{AtomicBool, Ordering};

/// What someone who waits is called for.
#[derive(Clone, Debug)]
enum Call {
    /// It is his turn.
    Turn,
    /// His entries are in the log, or never will be.
    Done(Result<Lsn, AppendError>),
    /// The turn was lost: whoever comes first takes it.
    Again,
}

/// Someone who waits, with what he wants to append, if he wants to.
#[derive(Debug)]
struct Waiter {
    request: Option<Arc<AppendRequest>>,
    thread: Thread,
    called: AtomicBool,
    call: OnceLock<Call>,
}

impl Waiter {
    fn wait(&self) -> Call {
        for () in std::iter::repeat_n((), LOOKS) {
            if self.called.load(Ordering::Acquire) {
                break;
            }
            std::hint::spin_loop();
        }
        // Whatever else unparks this thread changes nothing.
        while !self.called.load(Ordering::Acquire) {
            thread::park();
        }
        self.call.get().cloned().unwrap_or(Call::Again)
    }

    fn call(&self, call: Call) {
        let _ = self.call.set(call);
        self.called.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Whose turn it is to append, under the volume's lock.
#[derive(Debug, Default)]
pub(super) struct AppendQueue {
    taken: bool,
    waiting: VecDeque<Arc<Waiter>>,
}

impl AppendQueue {
    fn join(&mut self, request: Option<Arc<AppendRequest>>) -> Arc<Waiter> {
        let waiter = Arc::new(Waiter {
            request,
            thread: thread::current(),
            called: AtomicBool::new(false),
            call: OnceLock::new(),
        });
        self.waiting.push_back(Arc::clone(&waiter));
        waiter
    }

    /// Those who wait and whose requests go with the first one, in the order in which they came.
    fn gather(&mut self, first: Arc<AppendRequest>) -> (AppendGroup, Vec<Arc<Waiter>>) {
        let mut group = AppendGroup::of(first);
        let mut members = Vec::new();
        while let Some(request) = self.waiting.front().and_then(|next| next.request.as_ref())
            && group.takes(request)
        {
            group.add(Arc::clone(request));
            members.extend(self.waiting.pop_front());
        }
        (group, members)
    }

    /// Ends a turn: who takes the next one, if anybody waits.
    fn pass_on(&mut self) -> Option<Arc<Waiter>> {
        let next = self.waiting.pop_front();
        self.taken = next.is_some();
        next
    }
}

/// A turn under way. If whoever has it panics, those who wait must not sleep for ever: nobody knows what
/// is on the disk, so it counts as a write that failed.
struct Turn<'a> {
    shared: &'a Shared,
    members: Vec<Arc<Waiter>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !panicking() {
            return;
        }
        let lost = match self.shared.state.lock() {
            // Whoever wakes finds the same.
            Err(broken) => std::mem::take(&mut broken.into_inner().append_queue.waiting),
            Ok(state) => {
                drop(state);
                self.shared.with_state(|state| {
                    let died = std::io::Error::other("the thread that appended to it panicked");
                    let log = state.store.disks().log.name().to_owned();
                    let error = DiskError::new(DiskOp::Write, &log, 0, 0, &died);
                    state.store.poison(error);
                    state.append_queue.taken = false;
                    std::mem::take(&mut state.append_queue.waiting)
                })
            }
        };
        for waiter in self.members.drain(..).chain(lost) {
            waiter.call(Call::Again);
        }
    }
}

impl Shared {
    /// Appends what is asked for, all or nothing, together with whatever others ask for meanwhile.
    pub(super) fn append(&self, request: &Arc<AppendRequest>) -> Result<Lsn, AppendError> {
        let mut turn = match self.take_turn(Some(request)) {
            Ok(turn) => turn,
            Err(done) => return done,
        };
        let mut state = self.lock();
        let (group, members) = state.append_queue.gather(Arc::clone(request));
        turn.members = members;
        let (mut verdicts, step) = state.store.begin_append(&group);
        drop(state);
        let written = step.map(|step| (step.run(), step));
        let next = self.with_state(|state| {
            if let Some((result, step)) = written
                && let Err(poisoned) = state.store.finish_append(step, result)
            {
                for verdict in verdicts.iter_mut().filter(|verdict| verdict.is_ok()) {
                    *verdict = Err(poisoned.clone().into());
                }
            }
            state.append_queue.pass_on()
        });
        // The next write begins first; those who are done wake meanwhile.
        if let Some(next) = next {
            next.call(Call::Turn);
        }
        let mut verdicts = verdicts.into_iter();
        let own = verdicts.next();
        for (member, verdict) in turn.members.drain(..).zip(verdicts) {
            member.call(Call::Done(verdict));
        }
        match own {
            Some(verdict) => verdict,
            None => unreachable!("a group has a request"),
        }
    }

    /// Runs a step of the core while no append is under way.
    pub(super) fn between_appends<R>(&self, step: impl FnOnce(&mut Store) -> R) -> R {
        let turn = match self.take_turn(None) {
            Ok(turn) => turn,
            Err(_) => unreachable!("nothing was asked for"),
        };
        let (result, next) =
            self.with_state(|state| (step(&mut state.store), state.append_queue.pass_on()));
        if let Some(next) = next {
            next.call(Call::Turn);
        }
        drop(turn);
        result
    }

    /// Waits for the turn; or else somebody has carried the request out.
    fn take_turn(
        &self,
        request: Option<&Arc<AppendRequest>>,
    ) -> Result<Turn<'_>, Result<Lsn, AppendError>> {
        loop {
            let mut state = self.lock();
            if !state.append_queue.taken {
                state.append_queue.taken = true;
                break;
            }
            let waiter = state.append_queue.join(request.cloned());
            drop(state);
            match waiter.wait() {
                Call::Turn => break,
                Call::Done(verdict) => return Err(verdict),
                Call::Again => {}
            }
        }
        Ok(Turn {
            shared: self,
            members: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use holdfast_types::{BLOCK_SIZE, BlockRange, EntryKind, Epoch};

    use super::*;

    fn write(bytes: usize) -> Arc<AppendRequest> {
        let range = BlockRange::new(0, (bytes / BLOCK_SIZE) as u64).unwrap();
        let payload = Bytes::from(vec![0; bytes]);
        let kind = EntryKind::Write;
        Arc::new(AppendRequest::primary(Epoch(1), kind, Some(range), payload))
    }

    fn start() -> Arc<AppendRequest> {
        let kind = EntryKind::EpochStart;
        Arc::new(AppendRequest::primary(Epoch(2), kind, None, Bytes::new()))
    }

    /// How many go along with a first one, and how many wait after that.
    fn gathered(
        first: Arc<AppendRequest>,
        others: &[Option<Arc<AppendRequest>>],
    ) -> (usize, usize) {
        let mut queue = AppendQueue::default();
        for other in others {
            let _ = queue.join(other.clone());
        }
        let (_, members) = queue.gather(first);
        (members.len(), queue.waiting.len())
    }

    #[test]
    fn small_writes_go_together_and_nothing_overtakes_what_goes_alone() {
        let small = || Some(write(BLOCK_SIZE));
        assert_eq!(gathered(write(BLOCK_SIZE), &[small(), small()]), (2, 0));
        let with_start = [small(), Some(start()), small()];
        assert_eq!(gathered(write(BLOCK_SIZE), &with_start), (1, 2));
        assert_eq!(gathered(write(BLOCK_SIZE), &[None, small()]), (0, 2));
        assert_eq!(gathered(start(), &[small()]), (0, 1));
        assert_eq!(gathered(write(BLOCK_SIZE), &[Some(write(1 << 20))]), (0, 1));
    }

    #[test]
    fn the_turn_goes_to_whoever_has_waited_longest() {
        let mut queue = AppendQueue {
            taken: true,
            ..AppendQueue::default()
        };
        let first = queue.join(Some(start()));
        let _ = queue.join(None);
        assert!(
            queue
                .pass_on()
                .is_some_and(|next| Arc::ptr_eq(&next, &first))
        );
        assert!(queue.taken && queue.pass_on().is_some());
        assert!(queue.pass_on().is_none() && !queue.taken);
    }
}
