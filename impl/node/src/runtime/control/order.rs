//! What an operator can have the primary of a volume do, each order with a route of its own:
//! `POST /v1/volumes/VOLUME/orders/ORDER`, with the order's fields as the body.

use std::time::Duration;

use holdfast_types::{BlockCount, ReplicaId, SnapshotLabel, VolumeId, VolumeRecord};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::super::primary::{SnapshotRow, VerifyReport};
use super::problem::{Problem, ProblemKind};
use super::request::MemberPlan;

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Order {
    /// Rebuild a copy from the primary's; of one that is being rebuilt, change the rate.
    Rebuild {
        /// The copy.
        replica: ReplicaId,
        /// Bytes of the base in a second, at most; as fast as it goes when `None`.
        #[serde(default)]
        rate: Option<u64>,
    },
    /// Add an empty copy, which is rebuilt, and joins when it is in sync.
    Add {
        /// Where it is to be.
        member: MemberPlan,
    },
    /// Take a copy out of the volume for good.
    Remove {
        /// The copy.
        replica: ReplicaId,
        /// Whether too few may be left in sync for anything to be acknowledged.
        #[serde(default)]
        force: bool,
    },
    /// Compare every copy that is in sync, block by block, while writes go on.
    Verify {
        /// Whether what is not right is written again.
        #[serde(default)]
        repair: bool,
    },
    /// Make a snapshot of everything acknowledged so far.
    SnapshotCreate {
        /// Its label, unique in the volume.
        label: SnapshotLabel,
    },
    /// Tell of every snapshot.
    SnapshotList {},
    /// Give a snapshot up.
    SnapshotDelete {
        /// Its name or label.
        snapshot: String,
    },
    /// Have the volume hold what a snapshot holds.
    SnapshotRestore {
        /// Its name or label.
        snapshot: String,
    },
    /// Read a piece of a snapshot.
    SnapshotChunk {
        /// Its name or label.
        snapshot: String,
        /// The chunk, of 256 blocks.
        index: u64,
    },
    /// Say whether an image may be imported: it has to fit, and the volume has to be empty.
    ImportCheck {
        /// Blocks of the image.
        blocks: BlockCount,
    },
    /// Write a piece of an image.
    ImportChunk {
        /// The first block.
        block: u64,
        /// At most 64 blocks, in hexadecimal.
        content: String,
        /// Whether it is the last: then all of it is durable by the answer.
        #[serde(default)]
        last: bool,
    },
    /// Make the volume larger.
    Grow {
        /// The new size.
        blocks: BlockCount,
    },
}

/// A piece of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRow {
    /// Its content, in hexadecimal.
    pub content: String,
    /// The SHA-256 of it, in hexadecimal.
    pub sha256: String,
}

/// What came of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum OrderReply {
    /// The copy is out of the in-sync set, and its rebuild has begun, or has the rate now.
    Rebuilding {
        /// The copy.
        replica: ReplicaId,
        /// What its base is held to, in bytes per second.
        rate: Option<u64>,
    },
    /// It is done.
    Done,
    /// A snapshot was made.
    Snapshot {
        /// The snapshot.
        snapshot: SnapshotRow,
    },
    /// The snapshots, the oldest first.
    Snapshots {
        /// All of them.
        snapshots: Vec<SnapshotRow>,
    },
    /// A piece of a snapshot.
    Chunk {
        /// The volume.
        volume: VolumeId,
        /// The snapshot.
        snapshot: SnapshotRow,
        /// `None` beyond the last one.
        chunk: Option<ChunkRow>,
    },
    /// The record was changed.
    Changed {
        /// The record.
        record: Box<VolumeRecord>,
    },
    /// The copies were compared.
    Verified {
        /// What was found.
        report: Box<VerifyReport>,
    },
}

/// The names of all orders.
const NAMES: [&str; 12] = [
    "rebuild",
    "add",
    "remove",
    "verify",
    "snapshot-create",
    "snapshot-list",
    "snapshot-delete",
    "snapshot-restore",
    "snapshot-chunk",
    "import-check",
    "import-chunk",
    "grow",
];

impl Order {
    /// Its name, as it stands in the route.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Rebuild { .. } => NAMES[0],
            Self::Add { .. } => NAMES[1],
            Self::Remove { .. } => NAMES[2],
            Self::Verify { .. } => NAMES[3],
            Self::SnapshotCreate { .. } => NAMES[4],
            Self::SnapshotList {} => NAMES[5],
            Self::SnapshotDelete { .. } => NAMES[6],
            Self::SnapshotRestore { .. } => NAMES[7],
            Self::SnapshotChunk { .. } => NAMES[8],
            Self::ImportCheck { .. } => NAMES[9],
            Self::ImportChunk { .. } => NAMES[10],
            Self::Grow { .. } => NAMES[11],
        }
    }

    /// How long the primary may take.
    pub(in crate::runtime) const fn wait(&self) -> Duration {
        match self {
            // Its store is made.
            Self::Add { .. } => Duration::from_secs(240),
            // To leave the set, and to show that nothing depends on the copy.
            Self::Rebuild { .. } | Self::Remove { .. } => Duration::from_secs(60),
            // Every copy carries it out when its write-back gets there.
            Self::SnapshotCreate { .. }
            | Self::SnapshotDelete { .. }
            | Self::SnapshotRestore { .. }
            | Self::Grow { .. } => Duration::from_secs(240),
            Self::SnapshotList {} | Self::SnapshotChunk { .. } | Self::ImportChunk { .. } => {
                Duration::from_secs(60)
            }
            // Everything that the copies, or this one, hold is read.
            Self::Verify { .. } | Self::ImportCheck { .. } => Duration::from_secs(7 * 24 * 3600),
        }
    }

    /// Its fields, as the body of its route.
    pub(super) fn body(&self) -> serde_json::Result<Value> {
        let mut body = serde_json::to_value(self)?;
        if let Some(fields) = body.as_object_mut() {
            fields.remove("order");
        }
        Ok(body)
    }

    /// The order of a route and a body.
    pub(super) fn of(name: &str, mut body: Map<String, Value>) -> Result<Self, Problem> {
        if !NAMES.contains(&name) {
            let what = format!("there is no order {name:?}; there are {}", NAMES.join(", "));
            return Err(Problem::new(ProblemKind::NotFound, what));
        }
        if body.contains_key("order") {
            return Err(Problem::invalid("the body: the order stands in the path"));
        }
        body.insert("order".into(), name.into());
        serde_json::from_value(Value::Object(body))
            .map_err(|error| Problem::invalid(format!("the body: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use holdfast_types::ReplicaId;
    use serde_json::{Value, json};

    use super::{MemberPlan, NAMES, Order, ProblemKind, SnapshotLabel};

    fn all() -> Vec<Order> {
        let replica = ReplicaId::new("b").unwrap();
        vec![
            Order::Rebuild {
                replica: replica.clone(),
                rate: Some(1 << 20),
            },
            Order::Add {
                member: MemberPlan {
                    control: "127.0.0.1:7".parse().unwrap(),
                    data: None,
                },
            },
            Order::Remove {
                replica,
                force: true,
            },
            Order::Verify { repair: true },
            Order::SnapshotCreate {
                label: SnapshotLabel::new("before").unwrap(),
            },
            Order::SnapshotList {},
            Order::SnapshotDelete {
                snapshot: "1-1".into(),
            },
            Order::SnapshotRestore {
                snapshot: "before".into(),
            },
            Order::SnapshotChunk {
                snapshot: "1-1".into(),
                index: 7,
            },
            Order::ImportCheck { blocks: 9 },
            Order::ImportChunk {
                block: 3,
                content: "00ff".into(),
                last: true,
            },
            Order::Grow { blocks: 10 },
        ]
    }

    fn read(name: &str, body: &Value) -> Result<Order, ProblemKind> {
        let body = body.as_object().unwrap().clone();
        Order::of(name, body).map_err(|problem| problem.kind)
    }

    #[test]
    fn every_order_is_read_as_it_was_written_under_its_name() {
        let names: Vec<_> = all().iter().map(Order::name).collect();
        assert_eq!(names, NAMES);
        for order in all() {
            assert_eq!(read(order.name(), &order.body().unwrap()), Ok(order));
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let rebuild = |body| read("rebuild", &body);
        assert_eq!(read("dance", &json!({})), Err(ProblemKind::NotFound));
        assert_eq!(rebuild(json!({})), Err(ProblemKind::Invalid));
        let unknown = json!({"replica": "b", "speed": 3});
        assert_eq!(rebuild(unknown), Err(ProblemKind::Invalid));
        let twice = json!({"order": "rebuild", "replica": "b"});
        assert_eq!(rebuild(twice), Err(ProblemKind::Invalid));
    }
}
