//! The words of `docs/session.md` as types. Nothing here decides anything.
//!
//! Positions, epochs, session ids, versions and ticks are small numbers: the bounds of an
//! instance keep them below ten.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A position in a log. 0 is the empty log.
pub type Lsn = u8;
/// The number of a primary incarnation.
pub type Epoch = u8;
/// A point in time, in ticks.
pub type Tick = u8;

/// An extent bound beyond every entry: the mark of a base that is being overwritten.
pub const UNBOUNDED: Lsn = u8::MAX;

/// Why a session began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionKind {
    /// First contact.
    Bootstrap,
    /// After a fault.
    CatchUp,
    /// After a change of authority.
    Reassign,
    /// The whole base is replaced.
    Rebuild,
}

/// The state of a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SenderState {
    /// No session; the last one, if any, ended with its authority.
    Disconnected,
    /// A session before its classification.
    Connecting,
    /// A session that replays what is missing.
    CatchingUp,
    /// A completed session.
    InSync,
    /// No session; the last one ended by a fault.
    Degraded,
    /// No session; only a rebuild can help.
    NeedsRebuild,
    /// A rebuild session.
    Rebuilding,
}

/// Why a rebuild is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RebuildReason {
    /// The replica holds no such volume.
    NoVolume,
    /// Its extent is ahead of its log.
    UntrustedBase,
    /// It lost what it had acknowledged.
    LostAcknowledged,
    /// The lineages were cut too short to find what is common.
    LineageExhausted,
    /// A divergent entry reached its extent.
    DivergentExtent,
    /// What it lacks is not retained any more.
    GapBeyondRetention,
    /// The history went although it was to be pinned.
    RetentionLost,
    /// It cannot cut its log as far as it must.
    TruncationUnsafe,
    /// The session took too long.
    BudgetDuration,
    /// Too many entries are missing.
    BudgetEntries,
    /// The session made no progress.
    BudgetStall,
    /// The session pins too much.
    BudgetBytes,
    /// The operator or the authority asked for it.
    Ordered,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A higher epoch.
    EpochChanged,
    /// A newer endpoint version.
    EndpointChanged,
    /// The assignment does not name the replica any more.
    Removed,
    /// The node gave its role up.
    Stopped,
    /// Another session took its place.
    Superseded,
    /// A fault of the world.
    Fault(Fault),
    /// It cannot succeed: a rebuild is needed.
    Escalation(RebuildReason),
}

/// Faults that end a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The stream ended.
    StreamLost,
    /// The replica refused.
    Refused,
    /// The stream does not move.
    Stalled,
    /// A barrier was not answered in time.
    BarrierTimeout,
    /// A disk failed.
    IoError,
    /// A frame made no sense.
    Malformed,
    /// No handshake in time (the engine's own).
    ConnectTimeout,
    /// A pin could not be acquired (the engine's own).
    PinFailed,
}

/// What an assignment asks for beside membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// Nothing.
    Nothing,
    /// A session of this kind, unless there is one. Never `rebuild`.
    Recover(SessionKind),
    /// A rebuild session.
    Rebuild,
}

/// What is pinned at the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slot {
    /// The log.
    Retention,
    /// The base image.
    Base,
}

/// How far a pin is. From the moment it is requested it is *with the engine*.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pin {
    /// Not asked for.
    None,
    /// Asked for.
    Requested,
    /// Acquired.
    Held,
}

/// Whether the replica must cut its log, and whether it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truncate {
    /// Nothing diverges.
    None,
    /// It must, to this position.
    Required(Lsn),
    /// It did, durably.
    Confirmed(Lsn),
}

/// Where a rebuild takes its base from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// An image at exactly the base position.
    SnapshotTail,
    /// The live extent.
    FullBase,
}

/// Why this source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceReason {
    /// There is a trusted snapshot, and what follows it is retained.
    TrustedSnapshot,
    /// There is a trusted snapshot, but what follows it is gone.
    UnreplayableTail,
    /// The snapshot cannot be trusted.
    UntrustedSnapshot,
    /// There is none.
    NoSnapshot,
}

/// Where a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// Only grows.
    pub version: u8,
    /// Stands for host and ports.
    pub address: u8,
}

/// Bounds of a session, each at least 1; exceeded means greater than.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Budget {
    /// Ticks since the handshake.
    pub duration: Tick,
    /// Ticks since the last progress.
    pub stall: Tick,
    /// Entries to replay.
    pub entries: u8,
    /// Bytes pinned.
    pub bytes: u8,
}

/// The whole authority of one session. Written `v1/r1/s2/e2/p1`: volume, replica, session, epoch,
/// endpoint version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Token {
    /// The volume.
    pub volume: u8,
    /// The replica.
    pub replica: u8,
    /// The session.
    pub session: u8,
    /// The epoch in which it began.
    pub epoch: Epoch,
    /// The endpoint version at which it began.
    pub endpoint_version: u8,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            volume,
            replica,
            session,
            epoch,
            endpoint_version,
        } = self;
        write!(
            f,
            "v{volume}/r{replica}/s{session}/e{epoch}/p{endpoint_version}"
        )
    }
}

impl FromStr for Token {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut numbers = [0u8; 5];
        let mut parts = text.split('/');
        for (number, letter) in numbers.iter_mut().zip(["v", "r", "s", "e", "p"]) {
            *number = parts
                .next()
                .and_then(|part| part.strip_prefix(letter))
                .and_then(|digits| digits.parse().ok())
                .ok_or_else(|| format!("{text:?} is no token: write it like v1/r1/s2/e2/p1"))?;
        }
        if parts.next().is_some() {
            return Err(format!("{text:?} is no token: it has more than five parts"));
        }
        let [volume, replica, session, epoch, endpoint_version] = numbers;
        Ok(Self {
            volume,
            replica,
            session,
            epoch,
            endpoint_version,
        })
    }
}

impl TryFrom<String> for Token {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Token> for String {
    fn from(token: Token) -> Self {
        token.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::Token;

    #[test]
    fn a_token_survives_its_text() {
        let token = Token {
            volume: 1,
            replica: 2,
            session: 3,
            epoch: 4,
            endpoint_version: 5,
        };
        assert_eq!(token.to_string().parse(), Ok(token));
    }

    #[test]
    fn what_is_no_token_is_refused_with_an_example() {
        for text in [
            "",
            "v1/r1/s1/e1",
            "v1/r1/s1/e1/p1/x",
            "v1/r1/s1/e1/p999",
            "r1/v1/s1/e1/p1",
        ] {
            let refused = text.parse::<Token>();
            assert!(refused.is_err(), "{text:?} was taken");
        }
        assert!(
            "v1".parse::<Token>()
                .unwrap_err()
                .contains("v1/r1/s2/e2/p1")
        );
    }
}
