//! Waiting for facts: nothing in the demo sleeps and hopes.

use std::time::{Duration, Instant};

use super::failure::Failure;

/// How long any one fact may take to come about; a healthy cluster needs a small part of it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// How often a fact is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks until `look` finds what it looks for, and returns that. `Err` says why not yet.
///
/// # Errors
/// [`Failure::Step`] after [`PATIENCE`]: what was waited for, and the last answer.
pub(crate) async fn until<T>(
    fact: &str,
    look: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T, Failure> {
    until_within(PATIENCE, fact, look).await
}

/// The same with another patience, for what takes the longer the more there is of it.
///
/// # Errors
/// As [`until`].
pub(crate) async fn until_within<T>(
    patience: Duration,
    fact: &str,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T, Failure> {
    let begun = Instant::now();
    loop {
        match look().await {
            Ok(found) => return Ok(found),
            Err(last) if begun.elapsed() >= patience => {
                return Err(Failure::Step(format!(
                    "waited {} s in vain until {fact}; the last answer was: {last}",
                    patience.as_secs()
                )));
            }
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}
