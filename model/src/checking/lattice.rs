//! Many instances at once: two jobs for each, the exact graph and the second opinion, taken in turn
//! by as many workers as the machine has cores.
//!
//! What is found depends on neither the number of workers nor their luck; rows are handed out in
//! the order in which the instances were asked for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use super::guards::in_turn;
use super::{CheckRow, Counts, Exact, MutantRow, Suite, SuiteError};

/// What one job found.
enum Half {
    Exact(Box<Exact>),
    Second(Counts),
}

/// An instance of which not everything is known yet.
#[derive(Default)]
struct Pending {
    exact: Option<Box<Exact>>,
    second: Option<Counts>,
}

impl Pending {
    fn take(&mut self, half: Half) {
        match half {
            Half::Exact(exact) => self.exact = Some(exact),
            Half::Second(counts) => self.second = Some(counts),
        }
    }

    /// The row, once both halves are there; it is handed out once.
    fn row(&mut self) -> Option<CheckRow> {
        let second = self.second.as_ref()?;
        Some(self.exact.take()?.with(second))
    }
}

/// Exhausts instances with both checkers and hands each row to `report`, in the given order.
///
/// # Errors
/// The first failure of a job or of `report`; jobs that have begun are finished first, and no
/// other is begun.
pub fn check_all<E: From<SuiteError>>(
    wanted: &[(&dyn Suite, &str)],
    mut report: impl FnMut(CheckRow) -> Result<(), E>,
) -> Result<(), E> {
    let jobs = wanted.len() * 2;
    let next = AtomicUsize::new(0);
    let stop = || next.store(jobs, Ordering::Relaxed);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let (done, halves) = mpsc::channel();
        for _ in 0..workers.min(jobs) {
            let (done, next) = (done.clone(), &next);
            scope.spawn(move || {
                loop {
                    let job = next.fetch_add(1, Ordering::Relaxed);
                    let Some((suite, instance)) = wanted.get(job / 2) else {
                        return;
                    };
                    let half = if job % 2 == 0 {
                        let exact = suite.exhaust(instance);
                        exact.map(|exact| Half::Exact(Box::new(exact)))
                    } else {
                        suite.second_opinion(instance).map(Half::Second)
                    };
                    if done.send((job / 2, half)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        let mut pending: Vec<Pending> = wanted.iter().map(|_| Pending::default()).collect();
        let mut reported = 0;
        for (place, half) in halves {
            pending[place].take(half.inspect_err(|_| stop())?);
            while let Some(row) = pending.get_mut(reported).and_then(Pending::row) {
                report(row).inspect_err(|_| stop())?;
                reported += 1;
            }
        }
        Ok(())
    })
}

/// Kills mutants of one specification, in the order in which they are named.
///
/// # Errors
/// When there is no such mutant, or one does not fit.
pub fn kill_all(suite: &dyn Suite, ids: &[String]) -> Result<Vec<MutantRow>, SuiteError> {
    let kill = |at: usize| suite.kill(&ids[at]).map(|(row, _)| row);
    in_turn(ids.len(), kill).into_iter().collect()
}
