//! Files and sockets for a cluster: stores in a scratch directory that goes with the cluster, with all
//! the threads that a store has in production, and a listener of the server of replicas for each replica's node.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_blockvol::Volume;
use holdfast_engine::Command;
use holdfast_node::runtime::{Clock, LocalStore, ReplicaHost, serve_replicas};
use holdfast_node::tls::Protection;
use holdfast_types::{Epoch, FencingToken, StoreId, VolumeId};
use holdfast_wire::Refusal;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::{Handle, Runtime};
use tokio::task::AbortHandle;

use super::gate::Cut;
use super::line::SocketLine;
use crate::l2::disks::{self, Unmade};
use crate::l2::ground::{Ground, Grounds, LONG, Line, ReplicaNode};

/// Streams that were cut, and how.
#[derive(Debug, Default)]
pub struct Cuts {
    by_kind: [AtomicU64; Cut::ALL.len()],
    torn: AtomicU64,
}

/// How the streams of one cluster are cut: nothing is drawn, each way has its turn.
#[derive(Debug)]
pub(super) struct Turns {
    cut: AtomicU64,
    silence: AtomicU64,
    cuts: Arc<Cuts>,
}

impl Turns {
    /// The turns of the cluster of a number, which begin where that says.
    fn of(number: u64, cuts: &Arc<Cuts>) -> Self {
        Self {
            cut: AtomicU64::new(number),
            silence: AtomicU64::new(number),
            cuts: Arc::clone(cuts),
        }
    }

    /// How the next stream is cut: each way in its turn.
    pub(super) fn next(&self) -> Cut {
        let turn = self.cut.fetch_add(1, Ordering::Relaxed);
        Cut::ALL[(turn % Cut::ALL.len() as u64) as usize]
    }

    pub(super) fn note(&self, cut: Cut, torn: bool) {
        self.cuts.by_kind[cut as usize].fetch_add(1, Ordering::Relaxed);
        self.cuts.torn.fetch_add(u64::from(torn), Ordering::Relaxed);
    }

    /// Whether a replica is to end what is over without being spoken to: every other time.
    pub(super) fn in_silence(&self) -> bool {
        self.silence.fetch_add(1, Ordering::Relaxed) % 2 == 1
    }
}

impl Cuts {
    /// How many streams were cut, of each kind in its order.
    #[must_use]
    pub fn of_each_kind(&self) -> [u64; Cut::ALL.len()] {
        self.by_kind
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed))
    }

    /// How many frames were cut in their middle.
    #[must_use]
    pub fn torn(&self) -> u64 {
        self.torn.load(Ordering::Relaxed)
    }
}

/// Files below the directory for temporary files, sockets on the loopback, and the threads that drive
/// them.
pub struct Sockets {
    runtime: Runtime,
    cuts: Arc<Cuts>,
}

impl Sockets {
    /// Nothing yet but the threads.
    ///
    /// # Errors
    /// When the system has none.
    pub fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        Ok(Self {
            runtime,
            cuts: Arc::default(),
        })
    }

    /// The streams that were cut.
    #[must_use]
    pub fn cuts(&self) -> &Cuts {
        &self.cuts
    }
}

impl Grounds for Sockets {
    fn level(&self) -> &'static str {
        "L3"
    }

    fn fresh(&self, number: u64) -> Result<Box<dyn Ground>, Unmade> {
        let directory = tempfile::Builder::new().prefix("holdfast-l3-").tempdir();
        Ok(Box::new(SocketGround {
            houses: BTreeMap::new(),
            made: 0,
            runtime: self.runtime.handle().clone(),
            turns: Arc::new(Turns::of(number, &self.cuts)),
            directory: directory.map_err(|error| error.to_string())?,
        }))
    }
}

struct SocketGround {
    /// The nodes of the replicas, by their numbers.
    houses: BTreeMap<u8, (Arc<House>, AbortHandle)>,
    made: u32,
    runtime: Handle,
    turns: Arc<Turns>,
    directory: TempDir,
}

impl SocketGround {
    fn house(&mut self, replica: u8) -> io::Result<Arc<House>> {
        if let Some((house, _)) = self.houses.get(&replica) {
            return Ok(Arc::clone(house));
        }
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let house = Arc::new(House {
            address: listener.local_addr()?,
            stores: Mutex::default(),
            clock: Clock::start(),
        });
        let _entered = self.runtime.enter();
        let serve = serve_replicas(Arc::clone(&house), TcpListener::from_std(listener)?);
        let task = self.runtime.spawn(serve).abort_handle();
        self.houses.insert(replica, (Arc::clone(&house), task));
        Ok(house)
    }
}

impl Drop for SocketGround {
    fn drop(&mut self) {
        for (_, task) in self.houses.values() {
            task.abort();
        }
    }
}

impl Ground for SocketGround {
    fn format(&mut self, volume: VolumeId, store: StoreId) -> Result<Volume, Unmade> {
        self.made += 1;
        let place = self.directory.path().join(self.made.to_string());
        Volume::create(&place, &disks::format_options(volume, store))
            .map_err(|error| error.to_string())?;
        Volume::open(&place, disks::volume_options()).map_err(|error| error.to_string())
    }

    fn begin(
        &mut self,
        token: FencingToken,
        replica: u8,
        command: Command,
        source: &Arc<LocalStore>,
    ) -> Result<Box<dyn Line>, String> {
        let house = self.house(replica).map_err(|error| error.to_string())?;
        let around = (&house, &self.runtime, &self.turns);
        let line = SocketLine::begin(token, command, source, around)?;
        Ok(Box::new(line))
    }
}

/// A replica's node: its server, and the stores that the specification says it holds.
pub struct House {
    /// Where it listens.
    pub address: SocketAddr,
    stores: Mutex<BTreeMap<VolumeId, Arc<LocalStore>>>,
    clock: Clock,
}

impl House {
    /// The node holds this from now on.
    pub fn set(&self, volume: VolumeId, node: &ReplicaNode) {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        match node {
            ReplicaNode::Holds(store) => stores.insert(volume, Arc::clone(store)),
            ReplicaNode::HoldsNothing => stores.remove(&volume),
        };
    }

    /// The store of a volume.
    #[must_use]
    pub fn store_of(&self, volume: VolumeId) -> Option<Arc<LocalStore>> {
        let stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        stores.get(&volume).map(Arc::clone)
    }
}

impl ReplicaHost for House {
    fn store(&self, volume: VolumeId) -> Option<Arc<LocalStore>> {
        self.store_of(volume)
    }

    fn protection(&self) -> &Protection {
        &Protection::None
    }

    fn clock(&self) -> Clock {
        self.clock
    }

    fn stall_timeout(&self) -> Duration {
        LONG
    }

    async fn confirm_minted(&self, _: VolumeId, _: Epoch) -> Result<(), Refusal> {
        // The specification's authority minted every epoch that there is.
        Ok(())
    }

    async fn depose(&self, _: VolumeId, _: Epoch) {}

    async fn stopping(&self) {
        std::future::pending().await
    }
}
