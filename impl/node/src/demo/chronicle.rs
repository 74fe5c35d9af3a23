//! What happened in the cluster, in the nodes' own words: every event of every node's recovery log,
//! as it is read over the control API.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use holdfast_types::ReplicaId;
use tokio::task::JoinHandle;

use super::facts::until;
use super::failure::Failure;
use super::narrator::Narrator;
use crate::runtime::{ControlClient, ControlReply, ControlRequest, EventDetail, EventRow};

/// How often a node is asked for news.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// How long an answer may take.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// An event, and who told it.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// The node whose recovery log holds it.
    pub(crate) by: ReplicaId,
    /// The event.
    pub(crate) row: EventRow,
}

impl Told {
    /// Whether it is this event of that replica's sender.
    pub(crate) fn is(&self, event: &str, of: &ReplicaId) -> bool {
        self.row.event == event && self.row.replica.as_ref() == Some(of)
    }

    /// A number among the event's facts, such as `to` of a truncation.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        number(&self.row.detail, name)
    }
}

/// Everything told so far, and the tasks that listen.
#[derive(Debug)]
pub(crate) struct Chronicle {
    told: Arc<Mutex<Vec<Told>>>,
    narrator: Arc<Narrator>,
    listeners: Mutex<BTreeMap<ReplicaId, JoinHandle<()>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is one call.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Chronicle {
    /// Nothing told yet.
    pub(crate) fn new(narrator: Arc<Narrator>) -> Self {
        Self {
            told: Arc::default(),
            narrator,
            listeners: Mutex::default(),
        }
    }

    /// Listens to a node that was just started, instead of to its earlier life.
    pub(crate) fn listen(&self, node: &ReplicaId, control: SocketAddr) {
        let client = ControlClient::tcp(control, ANSWER_WAIT);
        let listener = listen(
            client,
            node.clone(),
            Arc::clone(&self.told),
            Arc::clone(&self.narrator),
        );
        let listener = tokio::spawn(listener);
        if let Some(earlier) = lock(&self.listeners).insert(node.clone(), listener) {
            earlier.abort();
        }
    }

    /// A place in the chronicle: everything told after this call is beyond it.
    pub(crate) fn mark(&self) -> usize {
        lock(&self.told).len()
    }

    /// Waits for an event beyond a mark.
    ///
    /// # Errors
    /// When it does not come.
    pub(crate) async fn wait_for(
        &self,
        fact: &str,
        mark: usize,
        wanted: impl Fn(&Told) -> bool,
    ) -> Result<Told, Failure> {
        until(fact, async || {
            let told = lock(&self.told);
            let found = told.iter().skip(mark).find(|told| wanted(told));
            found.cloned().ok_or_else(|| match told.last() {
                Some(last) => format!("the last event is {}", sentence(last)),
                None => "there is no event".into(),
            })
        })
        .await
    }

    /// The last events, oldest first.
    pub(crate) fn last(&self, count: usize) -> Vec<String> {
        let told = lock(&self.told);
        let from = told.len().saturating_sub(count);
        told[from..].iter().map(sentence).collect()
    }
}

impl Drop for Chronicle {
    fn drop(&mut self) {
        for listener in lock(&self.listeners).values() {
            listener.abort();
        }
    }
}

async fn listen(
    client: ControlClient,
    node: ReplicaId,
    told: Arc<Mutex<Vec<Told>>>,
    narrator: Arc<Narrator>,
) {
    let mut after = None;
    // What was last said of each replica: a sender that tries again and again says so once.
    let mut said = BTreeMap::new();
    loop {
        // A node that is being started or was killed does not answer; it has no news.
        if let Ok(ControlReply::Events { events }) =
            client.ask(&ControlRequest::Events { after }).await
        {
            for row in events {
                after = Some(row.sequence);
                let event = Told {
                    by: node.clone(),
                    row,
                };
                if is_news(&event.row) {
                    let gist = (event.row.event.clone(), event.row.cause.clone());
                    let of = event.row.replica.clone();
                    if said.insert(of, gist.clone()) != Some(gist) {
                        narrator.event(&sentence(&event));
                    }
                }
                lock(&told).push(event);
            }
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Whether an event is told to the audience; the steps of a handshake are not.
fn is_news(row: &EventRow) -> bool {
    matches!(
        row.event.as_str(),
        "fenced"
            | "stopped"
            | "endpoint_changed"
            | "membership_changed"
            | "rebuild_required"
            | "classified"
            | "truncated"
            | "source_selected"
            | "transfer_began"
            | "base_installed"
            | "completed"
            | "session_ended"
            | "authority_rolled_back"
    )
}

/// An event in one line: who, about whom, what, why, and its numbers.
fn sentence(told: &Told) -> String {
    let row = &told.row;
    let mut out = format!("{} (epoch {})", told.by, row.epoch);
    if let Some(replica) = &row.replica {
        out += &format!(" -> {replica}");
    }
    if let Some(session) = row.session {
        out += &format!(" session {session}");
    }
    out += &format!(": {}", row.event);
    if let Some(verdict) = verdict(&row.detail) {
        out += &format!(" {verdict}");
    }
    if let Some(cause) = &row.cause {
        out += &format!(" ({cause})");
    }
    for fact in [
        "from",
        "target",
        "truncate_to",
        "to",
        "chunks_total",
        "base_lsn",
        "goal",
        "achieved",
    ] {
        if let Some(number) = number(&row.detail, fact) {
            out += &format!(", {fact} {number}");
        }
    }
    if let EventDetail::MembershipChanged { member } = row.detail {
        out += if member {
            ", now in the in-sync set"
        } else {
            ", out of the in-sync set"
        };
    }
    out
}

/// What a classification says.
fn verdict(detail: &EventDetail) -> Option<&str> {
    match detail {
        EventDetail::Classified(classified) => Some(&classified.verdict),
        EventDetail::Assigned { .. }
        | EventDetail::Fenced
        | EventDetail::Stopped
        | EventDetail::SenderCreated
        | EventDetail::SenderRemoved
        | EventDetail::EndpointChanged { .. }
        | EventDetail::MembershipChanged { .. }
        | EventDetail::RebuildRequired { .. }
        | EventDetail::SessionAttached { .. }
        | EventDetail::Connecting
        | EventDetail::HelloSent
        | EventDetail::RebuildBegan
        | EventDetail::PinHeld { .. }
        | EventDetail::Truncated { .. }
        | EventDetail::SourceSelected { .. }
        | EventDetail::TransferBegan { .. }
        | EventDetail::BaseInstalled { .. }
        | EventDetail::Completed { .. }
        | EventDetail::SessionEnded { .. }
        | EventDetail::AuthorityRolledBack { .. } => None,
    }
}

/// A number among the facts, by its name.
fn number(detail: &EventDetail, name: &str) -> Option<u64> {
    let facts = serde_json::to_value(detail).ok()?;
    facts.get(name)?.as_u64()
}

#[cfg(test)]
mod tests {
    use holdfast_types::{Epoch, Lsn, ReplicaId, SessionId, VolumeId};

    use super::{Told, is_news, sentence};
    use crate::runtime::{ClassifiedDetail, EventDetail, EventRow};

    fn told(event: &str, cause: Option<&str>, detail: EventDetail) -> Told {
        Told {
            by: ReplicaId::new("r1").unwrap(),
            row: EventRow {
                sequence: 0,
                volume: VolumeId::random(),
                epoch: Epoch(2),
                replica: ReplicaId::new("r2").ok(),
                session: Some(SessionId(5)),
                event: event.into(),
                cause: cause.map(str::to_owned),
                detail,
            },
        }
    }

    #[test]
    fn an_event_is_told_with_its_numbers_and_its_cause() {
        let cut = told("truncated", None, EventDetail::Truncated { to: Lsn(17) });
        assert_eq!(
            sentence(&cut),
            "r1 (epoch 2) -> r2 session 5: truncated, to 17"
        );
        assert_eq!(cut.number("to"), Some(17));
        let ended = told(
            "session_ended",
            Some("stalled"),
            EventDetail::SessionEnded {
                kind: "catch_up".into(),
                phase: "catch_up".into(),
                class: "fault".into(),
                cause: "stalled".into(),
                state: "degraded".into(),
            },
        );
        assert_eq!(
            sentence(&ended),
            "r1 (epoch 2) -> r2 session 5: session_ended (stalled)"
        );
        let classified = told(
            "classified",
            None,
            EventDetail::Classified(Box::new(ClassifiedDetail {
                verdict: "catch_up".into(),
                reason: None,
                from: Some(Lsn(3)),
                target: Some(Lsn(9)),
                truncate_to: Some(Lsn(3)),
                common: Some(Lsn(3)),
                acknowledged: None,
                replica: None,
                head: Lsn(9),
                retained_from: Some(Lsn(0)),
            })),
        );
        assert_eq!(
            sentence(&classified),
            "r1 (epoch 2) -> r2 session 5: classified catch_up, from 3, target 9, truncate_to 3"
        );
    }

    #[test]
    fn the_steps_of_a_handshake_are_no_news() {
        assert!(!is_news(
            &told("hello_sent", None, EventDetail::HelloSent).row
        ));
        assert!(is_news(
            &told(
                "completed",
                None,
                EventDetail::Completed { achieved: Lsn(1) }
            )
            .row
        ));
    }
}
