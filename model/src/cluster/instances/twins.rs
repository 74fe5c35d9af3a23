//! The smallest instances, which are also written by hand in other languages (`docs/cluster.md`).

use super::super::vocabulary::Members;
use super::{BASE, Bounds, Effort, MEMBERS, Row};

pub(super) const ROWS: &[Row] = &[
    (
        "twin-pair",
        "the smallest meaningful one: a write, a failover; also written by hand from docs/cluster.md",
        Bounds { writes: 1, ..BASE },
        Effort::Quick,
    ),
    (
        "twin-members",
        "a second copy joins and leaves, in one epoch; also written by hand from docs/cluster.md",
        Bounds {
            isr: Members::only(0),
            writes: 1,
            epochs: 1,
            ..MEMBERS
        },
        Effort::Quick,
    ),
    (
        "twin-wire",
        "messages late, lost and twice, in one epoch; also written by hand from docs/cluster.md",
        Bounds {
            wire: 2,
            twins: true,
            sessions: 2,
            writes: 1,
            epochs: 1,
            crashes: Members::only(1),
            ..BASE
        },
        Effort::Quick,
    ),
];
