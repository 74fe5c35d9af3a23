//! Keeping the lease: asked for long before it ends, counted from before each request.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::{Primary, StopReason};
use crate::authority::AuthorityError;

/// How soon to ask again when the authority did not answer.
const RETRY: Duration = Duration::from_millis(100);

/// Until when a lease can be relied on: counted from before the request, less the margin for the
/// drift of two clocks (F88).
#[must_use]
pub(super) fn reliable_until(asked_at: Duration, granted: Duration, margin: Duration) -> Duration {
    asked_at + granted.saturating_sub(margin)
}

/// Renews the lease until the authority refuses it to this incarnation.
pub(super) async fn keep(primary: Arc<Primary>) {
    let clock = primary.services.clock;
    let config = primary.services.lease;
    loop {
        let asked_at = clock.now();
        let answer = primary
            .services
            .authority
            .renew_lease(primary.lease_request());
        let pause = match timeout(config.duration, answer).await {
            Ok(Ok(grant)) => {
                let until = reliable_until(asked_at, grant.duration(), config.margin);
                primary
                    .lease_until
                    .send_modify(|present| *present = until.max(*present));
                config.duration / 3
            }
            Ok(Err(AuthorityError::NoLease {
                reason, current, ..
            })) => {
                return primary.stop(if current > primary.epoch {
                    StopReason::Deposed { by: current }
                } else {
                    StopReason::NoLease { reason }
                });
            }
            Ok(Err(error)) => {
                tracing::warn!(volume = %primary.volume, %error, "the lease was not renewed");
                RETRY
            }
            Err(_) => RETRY,
        };
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::reliable_until;

    #[test]
    fn f88_a_lease_is_counted_from_before_the_request_and_ends_early() {
        let second = Duration::from_secs(1);
        assert_eq!(
            reliable_until(100 * second, 10 * second, second),
            109 * second
        );
        assert_eq!(
            reliable_until(100 * second, second, 2 * second),
            100 * second,
            "a lease shorter than its margin is none"
        );
    }
}
