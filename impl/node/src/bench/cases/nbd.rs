//! A volume of one copy as its clients see it: a node's NBD front end over a Unix socket, against
//! `nbdkit` serving a file the same way. Both are processes of their own, under the same load.

use std::thread;
use std::time::{Duration, Instant};

use holdfast_types::BLOCK_SIZE;

use super::super::contest::Effort;
use super::super::random::Random;
use super::super::row::{Better, Figures, Row, Subject, Target};
use super::super::scratch::{During, Scratch};
use super::super::servers::{Server, nbdkit_file, node};
use crate::failure::Failure;
use crate::nbd::{Load, Pipeline};

/// Size of the volume, and of its log, in bytes.
const VOLUME_BYTES: u64 = 256 << 20;

const MIB: u64 = 1 << 20;

const REFERENCE: &str = "nbdkit file";

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// The two servers. The reference is not there where `nbdkit` is not installed.
struct Servers {
    node: Server,
    nbdkit: Option<Server>,
    bytes: u64,
    _scratch: Scratch,
}

impl Servers {
    fn start(effort: &Effort) -> Result<Self, Failure> {
        let scratch = Scratch::inside(&effort.directory)?;
        let bytes = effort.bytes(VOLUME_BYTES, 8 << 20);
        let servers = Self {
            node: node(&scratch, bytes)?,
            nbdkit: nbdkit_file(&scratch, bytes)?,
            bytes,
            _scratch: scratch,
        };
        for server in servers.nbdkit.iter().chain([&servers.node]) {
            write_all(server, bytes)?;
        }
        Ok(servers)
    }

    /// Measures both in turns.
    fn compare(
        &self,
        effort: &Effort,
        subject: Subject,
        measure: impl Fn(&Server, Duration) -> Result<f64, Failure>,
    ) -> Result<Vec<Row>, Failure> {
        let Some(nbdkit) = &self.nbdkit else {
            let product = (0..effort.rounds)
                .map(|_| measure(&self.node, effort.time))
                .collect::<Result<_, _>>()?;
            let figures = Figures {
                product,
                reference: Vec::new(),
            };
            let note = "nbdkit is not installed here (Debian package nbdkit)";
            return Ok(vec![subject.row(&figures).with_note(note)]);
        };
        let (product, reference) = effort.rounds(
            |time| measure(&self.node, time),
            |time| measure(nbdkit, time),
        )?;
        Ok(vec![subject.row(&Figures { product, reference })])
    }
}

/// Gives every block a content, so that reads find some, and no write is the first of its block.
fn write_all(server: &Server, bytes: u64) -> Result<(), Failure> {
    let data = Random::new(bytes).bytes(MIB as usize);
    let mut next = 0;
    let mut client = server.connect()?;
    let pieces = || {
        let offset = next;
        next += MIB;
        (offset < bytes).then_some(Load::Write {
            offset,
            data: &data,
        })
    };
    client.run(4, pieces).during("filling a volume")?;
    let mut flush = Some(Load::Flush);
    client.run(1, || flush.take()).map(drop).during("a flush")
}

/// `nbd-<kind>-qd<depth>`: 4 KiB at random places, so many in flight, nothing flushed.
pub(super) fn small(effort: &Effort, kind: Kind, depth: usize) -> Result<Vec<Row>, Failure> {
    let servers = Servers::start(effort)?;
    let data = Random::new(1).bytes(BLOCK_SIZE);
    let subject = Subject {
        case: format!("nbd-{}-qd{depth}", kind.name()),
        unit: "op/s",
        better: Better::Higher,
        reference: Some(REFERENCE),
        target: Target::Ratio(0.9),
    };
    servers.compare(effort, subject, |server, time| {
        repeat(server, time, depth, kind, &data, servers.bytes)
    })
}

/// `nbd-<kind>-1m-qd4`, in MiB/s. Of what a node is given to write, each byte is written twice, and
/// 80% of what that leaves is asked for.
pub(super) fn large(effort: &Effort, kind: Kind) -> Result<Vec<Row>, Failure> {
    let servers = Servers::start(effort)?;
    let data = Random::new(1).bytes(MIB as usize);
    let subject = Subject {
        case: format!("nbd-{}-1m-qd4", kind.name()),
        unit: "MiB/s",
        better: Better::Higher,
        reference: Some(REFERENCE),
        target: Target::Ratio(match kind {
            Kind::Read => 0.8,
            Kind::Write => 0.4,
        }),
    };
    servers.compare(effort, subject, |server, time| {
        repeat(server, time, 4, kind, &data, servers.bytes)
    })
}

/// Requests of the size of `data` at random multiples of it for so long; how many a second.
fn repeat(
    server: &Server,
    time: Duration,
    depth: usize,
    kind: Kind,
    data: &[u8],
    bytes: u64,
) -> Result<f64, Failure> {
    let mut client = server.connect()?;
    let size = data.len() as u64;
    let mut random = Random::new(depth as u64);
    let begun = Instant::now();
    let next = || {
        let offset = random.below(bytes / size) * size;
        (begun.elapsed() < time).then_some(match kind {
            Kind::Read => Load::Read {
                offset,
                length: data.len() as u32,
            },
            Kind::Write => Load::Write { offset, data },
        })
    };
    let done = client.run(depth, next).during("NBD requests")?;
    Ok(done as f64 / begun.elapsed().as_secs_f64())
}

/// `nbd-flush-<connections>c`: on each connection a write of 4 KiB, then a flush, one after the
/// other.
pub(super) fn flushed(effort: &Effort, connections: u64) -> Result<Vec<Row>, Failure> {
    let servers = Servers::start(effort)?;
    let subject = Subject {
        case: format!("nbd-flush-{connections}c"),
        unit: "op/s",
        better: Better::Higher,
        reference: Some(REFERENCE),
        target: Target::Ratio(1.0),
    };
    servers.compare(effort, subject, |server, time| {
        let begun = Instant::now();
        let done: u64 = thread::scope(|scope| {
            let clients: Vec<_> = (0..connections)
                .map(|seed| {
                    scope.spawn(move || {
                        let random = Random::new(seed);
                        write_and_flush(server.connect()?, random, time, servers.bytes)
                    })
                })
                .collect();
            clients
                .into_iter()
                .map(|client| match client.join() {
                    Ok(done) => done,
                    Err(panic) => std::panic::resume_unwind(panic),
                })
                .sum::<Result<u64, Failure>>()
        })?;
        Ok(done as f64 / begun.elapsed().as_secs_f64())
    })
}

/// How many pairs were answered.
fn write_and_flush(
    mut client: Pipeline,
    mut random: Random,
    time: Duration,
    bytes: u64,
) -> Result<u64, Failure> {
    let data = random.bytes(BLOCK_SIZE);
    let begun = Instant::now();
    let mut flushes = false;
    let next = || {
        flushes = !flushes;
        if !flushes {
            return Some(Load::Flush);
        }
        let offset = random.below(bytes / BLOCK_SIZE as u64) * BLOCK_SIZE as u64;
        (begun.elapsed() < time).then_some(Load::Write {
            offset,
            data: &data,
        })
    };
    let requests = client.run(1, next).during("NBD requests")?;
    Ok(requests / 2)
}
