//! Parts of a run that need nothing from one another, shared out to a few threads.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Threads at work: the checks are to run on a small machine.
const WORKERS: usize = 2;

/// Does `work` on each of `parts`, begun in their order; what came of them, in their order too.
///
/// # Panics
/// When `work` does, which is a defect of the checker.
pub(crate) fn on_each<T: Sync, R: Send>(parts: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(part) = parts.get(place) else {
                return done;
            };
            done.push((place, work(part)));
        }
    };
    let mut done = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("a worker that panics ends the run"))
            .collect::<Vec<_>>()
    });
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}
