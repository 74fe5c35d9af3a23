//! How a replay is cut into spans, each proven by a barrier of its own.
//!
//! ```text
//!   durable there ......|  span  |  span  |  span  | <- sent, not yet proven: SPANS_MAX at most
//! ```
//!
//! A replay that takes longer than the session's stall budget still progresses, span by span, and what
//! has not been proven is bounded, so each answer comes soon on any link that carries a few spans
//! within the budget (A4, A5). Must never decide what counts as progress: that is the engine's.

use std::collections::VecDeque;

use holdfast_types::Lsn;

/// Payload bytes of entries after which a barrier is asked for.
pub(super) const SPAN_BYTES: u64 = 1 << 20;

/// Spans that may be sent and not yet proven.
const SPANS_MAX: usize = 4;

/// The spans of one session's replay.
#[derive(Clone, Debug, Default)]
pub(super) struct ReplaySpans {
    unproven: VecDeque<Lsn>,
    /// Sent since the last span ended.
    bytes: u64,
}

impl ReplaySpans {
    /// Entries up to `last` were sent, with so many bytes; the barrier to ask for, if a span ends.
    pub(super) fn sent(&mut self, last: Lsn, bytes: u64) -> Option<Lsn> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes < SPAN_BYTES {
            return None;
        }
        self.bytes = 0;
        self.unproven.push_back(last);
        Some(last)
    }

    /// The replica proved everything up to `durable`.
    pub(super) fn proven(&mut self, durable: Lsn) {
        while self.unproven.front().is_some_and(|end| *end <= durable) {
            self.unproven.pop_front();
        }
    }

    /// Whether more may be sent before something is proven.
    pub(super) fn may_send(&self) -> bool {
        self.unproven.len() < SPANS_MAX
    }
}

#[cfg(test)]
mod tests {
    use holdfast_types::Lsn;

    use super::{ReplaySpans, SPAN_BYTES, SPANS_MAX};

    #[test]
    fn a5_a_long_replay_is_proven_span_by_span_and_never_runs_far_ahead() {
        let mut spans = ReplaySpans::default();
        assert_eq!(spans.sent(Lsn(1), SPAN_BYTES - 1), None);
        assert_eq!(spans.sent(Lsn(2), 1), Some(Lsn(2)), "a span is full");
        for lsn in 3..=SPANS_MAX as u64 + 1 {
            assert!(spans.may_send());
            assert_eq!(spans.sent(Lsn(lsn), SPAN_BYTES), Some(Lsn(lsn)));
        }
        assert!(!spans.may_send(), "so much is unproven");
        spans.proven(Lsn(1));
        assert!(!spans.may_send(), "no whole span was proven");
        spans.proven(Lsn(3));
        assert!(spans.may_send());
        spans.proven(Lsn(u64::MAX));
        assert!(spans.unproven.is_empty());
    }
}
