//! Waiting for facts.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// Long enough for anything that a healthy system does on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often a fact is looked at.
const INTERVAL: Duration = Duration::from_millis(5);

/// Looks until `fact` returns something, and returns that.
///
/// # Errors
/// When `patience` is over: how long it waited, for `what`, and the last answer.
pub fn until<T, E: Display>(
    what: &str,
    patience: Duration,
    mut fact: impl FnMut() -> Result<T, E>,
) -> Result<T, String> {
    let begun = Instant::now();
    loop {
        match fact() {
            Ok(found) => return Ok(found),
            Err(last) if begun.elapsed() >= patience => {
                return Err(format!(
                    "waited {:.1} s for {what}; the last answer was: {last}",
                    begun.elapsed().as_secs_f64()
                ));
            }
            Err(_) => std::thread::sleep(INTERVAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::until;
    use std::time::Duration;

    #[test]
    fn a_fact_is_returned_as_soon_as_it_holds() {
        let mut looks = 0;
        let found = until("the third look", Duration::from_secs(5), || {
            looks += 1;
            if looks == 3 {
                Ok(looks)
            } else {
                Err("not yet")
            }
        });
        assert_eq!(found, Ok(3));
    }

    #[test]
    fn a_deadline_names_the_fact_and_the_last_answer() {
        let failed = until("snow in July", Duration::ZERO, || {
            Err::<(), _>("it is warm")
        });
        let failed = failed.unwrap_err();
        assert!(failed.contains("snow in July") && failed.contains("it is warm"));
    }
}
