//! One process's node: its stores, what it is in each volume, and who may talk to it.
//!
//! A node's role in a volume follows from the authority's record and from what its own store has
//! promised, never from memory: after a restart it is none (F80), and a record that names this node
//! is acted on only in an epoch that this store was fenced at (F91).

mod assignments;
mod deletion;
mod drain;
mod orders;
mod requests;
mod volumes;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use holdfast_types::{Epoch, ReplicaId, VolumeId};
use holdfast_wire::Refusal;
use thiserror::Error;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Notify, watch};
use tokio::task;
use tokio::time::timeout;

use super::clock::Clock;
use super::control::{ControlClient, NodeFacts, serve_tcp, serve_unix};
use super::export::PrimaryExport;
use super::local_store::LocalStore;
use super::primary::{Primary, Recovery, Services, StopReason};
use super::replica_server;
use super::status::MissingStore;
use crate::authority::{self, Authority, EmbeddedAuthority, Recorded, RemoteAuthority};
use crate::config::{AuthorityConfig, Config};
use crate::nbd::{ListenError, Listener, Server};
use crate::tls::{Expected, LoadError, Protection};

/// How long one answer of the authority is awaited.
const AUTHORITY_WAIT: Duration = Duration::from_secs(5);

/// How long the authority may take to confirm the epoch of a hello: its primary waits.
const CONFIRM_WAIT: Duration = Duration::from_secs(2);

/// How long the end of a node waits for what still holds its stores.
const RELEASE_WAIT: Duration = Duration::from_secs(5);

pub use drain::Successor;

/// Why a node cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// An address or path cannot be had.
    #[error("cannot listen on {place}: {source}")]
    Listen {
        /// Where.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// A front end for clients cannot be had.
    #[error(transparent)]
    Nbd(#[from] ListenError),
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] LoadError),
    /// The data directory cannot be used.
    #[error("{path}: {source}")]
    Directory {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The authority's records cannot be read.
    #[error(transparent)]
    Authority(#[from] authority::OpenError),
    /// A store cannot be opened.
    #[error("store {path}: {source}")]
    Store {
        /// Where.
        path: PathBuf,
        /// Why.
        source: holdfast_blockvol::OpenError,
    },
}

/// How far a node's life is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Life {
    Running,
    /// Roles are given up in order.
    Stopping,
    /// Everything ends where it is, as in a crash of the process.
    Ended,
}

/// What this node is in one volume.
struct Slot {
    store: Arc<LocalStore>,
    primary: Option<Arc<Primary>>,
    /// The last epoch whose role this process took or was refused: never taken twice (F92).
    attempted: Epoch,
    /// The record as it was last read.
    recorded: Option<Recorded>,
}

/// What the tasks of a node share.
pub(crate) struct NodeShared {
    config: Config,
    facts: NodeFacts,
    protection: Protection,
    clock: Clock,
    authority: Arc<dyn Authority>,
    /// The authority that this node serves to others.
    served_authority: Option<Arc<EmbeddedAuthority>>,
    recovery: Arc<Recovery>,
    slots: Mutex<BTreeMap<VolumeId, Slot>>,
    /// Stores that the records have for this node and that are not here.
    missing: Mutex<BTreeMap<VolumeId, MissingStore>>,
    exports: Server<PrimaryExport>,
    life: watch::Sender<Life>,
    /// Whether volumes go on elsewhere when this node was asked to stop.
    hands_over: AtomicBool,
    /// The record may have changed: read it now.
    record_changed: Notify,
}

impl NodeShared {
    fn slots(&self) -> MutexGuard<'_, BTreeMap<VolumeId, Slot>> {
        // Every change of the map is one call.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn missing(&self) -> MutexGuard<'_, BTreeMap<VolumeId, MissingStore>> {
        // Every change of the map is one call.
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store of a volume here.
    pub(crate) fn store(&self, volume: VolumeId) -> Option<Arc<LocalStore>> {
        self.slots()
            .get(&volume)
            .map(|slot| Arc::clone(&slot.store))
    }

    fn primary(&self, volume: VolumeId) -> Option<Arc<Primary>> {
        self.slots().get(&volume)?.primary.clone()
    }

    async fn until(&self, at_least: Life) {
        let mut life = self.life.subscribe();
        // The sender lives as long as `self`.
        let _ = life.wait_for(|life| *life >= at_least).await;
    }

    /// Resolves when the node is going down.
    pub(crate) async fn stopping(&self) {
        self.until(Life::Stopping).await;
    }

    /// Resolves when everything is to end where it is.
    pub(crate) async fn crashed(&self) {
        self.until(Life::Ended).await;
    }

    /// Ends a primary of an older epoch, and returns when it serves nobody any more.
    pub(crate) async fn depose(&self, volume: VolumeId, epoch: Epoch) {
        if let Some(primary) = self.primary(volume)
            && primary.epoch() < epoch
        {
            primary.stop(StopReason::Deposed { by: epoch });
            primary.finished().await;
        }
    }

    /// What this node shows to others, and asks them to show.
    pub(crate) const fn protection(&self) -> &Protection {
        &self.protection
    }

    /// The node's clock.
    pub(crate) const fn clock(&self) -> Clock {
        self.clock
    }

    /// How long a peer that owes an answer may be silent.
    pub(crate) const fn stall_timeout(&self) -> Duration {
        self.config.limits.stall_timeout
    }

    /// Whether the authority has minted an epoch, by the record that was read last or by one that is
    /// read now. A peer's word alone raises no promise (`docs/decisions/032-*`).
    ///
    /// # Errors
    /// [`Refusal::EpochUnconfirmed`] when the record is older, or cannot be read.
    pub(crate) async fn confirm_minted(
        &self,
        volume: VolumeId,
        epoch: Epoch,
    ) -> Result<(), Refusal> {
        let unconfirmed = |minted| {
            Err(Refusal::EpochUnconfirmed {
                offered: epoch,
                minted,
            })
        };
        if epoch == Epoch(0) {
            return unconfirmed(None);
        }
        let known = {
            let slots = self.slots();
            let recorded = slots.get(&volume).and_then(|slot| slot.recorded.as_ref());
            recorded.map(|recorded| recorded.record.epoch)
        };
        if known >= Some(epoch) {
            return Ok(());
        }
        match timeout(CONFIRM_WAIT, self.authority.read(volume)).await {
            Ok(Ok(present)) if present.record.epoch >= epoch => Ok(()),
            Ok(Ok(present)) => unconfirmed(Some(present.record.epoch)),
            Ok(Err(_)) | Err(_) => unconfirmed(None),
        }
    }

    fn services(&self) -> Services {
        Services {
            id: self.facts.id.clone(),
            protection: self.protection.clone(),
            clock: self.clock,
            authority: Arc::clone(&self.authority),
            recovery: Arc::clone(&self.recovery),
            limits: self.config.limits,
            lease: self.config.lease,
        }
    }
}

/// A running node.
pub struct Node {
    shared: Arc<NodeShared>,
    authority_address: Option<SocketAddr>,
    nbd_listeners: Vec<Listener>,
    replication: task::JoinHandle<()>,
    tasks: task::JoinSet<()>,
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen {
        place: address.to_string(),
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

impl Node {
    /// Opens the stores and listens. Roles follow from the authority's records as they are read.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let protection = Protection::of_node(config.tls.as_ref(), &config.node.id)?;
        let data_dir = &config.node.data_dir;
        std::fs::create_dir_all(data_dir).map_err(|source| StartError::Directory {
            path: data_dir.clone(),
            source,
        })?;
        let (replication, data) = listen(config.node.replication_listen).await?;
        let (control_listener, control) = listen(config.node.control_listen).await?;
        let mut authority_listener = None;
        let mut served_authority = None;
        let authority: Arc<dyn Authority> = match &config.authority {
            AuthorityConfig::Embedded { listen: at, file } => {
                let embedded = Arc::new(EmbeddedAuthority::open(file, config.lease.duration)?);
                authority_listener = Some(listen(*at).await?);
                served_authority = Some(Arc::clone(&embedded));
                embedded
            }
            AuthorityConfig::Remote { address, node } => {
                let keeper = node.clone().map_or(Expected::AnyNode, Expected::Node);
                let client = ControlClient::tcp(*address, AUTHORITY_WAIT);
                Arc::new(RemoteAuthority::over(client.under(&protection, keeper)))
            }
        };
        let clock = Clock::start();
        let shared = Arc::new(NodeShared {
            facts: NodeFacts {
                id: config.node.id.clone(),
                data,
                control,
            },
            protection,
            clock,
            authority,
            served_authority,
            recovery: Arc::new(Recovery::new(clock, &config.limits.sessions)),
            slots: Mutex::new(BTreeMap::new()),
            missing: Mutex::new(BTreeMap::new()),
            exports: Server::new(config.limits.nbd),
            life: watch::Sender::new(Life::Running),
            hands_over: AtomicBool::new(true),
            record_changed: Notify::new(),
            config,
        });
        shared.open_stores()?;
        let nbd_listeners = shared.listen_for_clients().await?;
        let admin = shared.listen_for_commands()?;
        let mut tasks = task::JoinSet::new();
        let replication = replica_server::serve(Arc::clone(&shared), replication);
        let replication = tokio::spawn(replication);
        tasks.spawn(serve_tcp(Arc::clone(&shared), control_listener));
        tasks.spawn(serve_unix(Arc::clone(&shared), admin));
        let authority_address = authority_listener.map(|(listener, address)| {
            tasks.spawn(serve_tcp(Arc::clone(&shared), listener));
            address
        });
        tasks.spawn(assignments::follow(Arc::clone(&shared)));
        tracing::info!(node = %shared.facts.id, %data, %control, "the node is up");
        Ok(Self {
            shared,
            authority_address,
            nbd_listeners,
            replication,
            tasks,
        })
    }

    /// The label of its copies.
    #[must_use]
    pub fn id(&self) -> &ReplicaId {
        &self.shared.facts.id
    }

    /// Where replication traffic comes in.
    #[must_use]
    pub fn data_address(&self) -> SocketAddr {
        self.shared.facts.data
    }

    /// Where control traffic comes in.
    #[must_use]
    pub fn control_address(&self) -> SocketAddr {
        self.shared.facts.control
    }

    /// Where others reach the authority, if this node serves it.
    #[must_use]
    pub const fn authority_address(&self) -> Option<SocketAddr> {
        self.authority_address
    }

    /// Where clients come in.
    #[must_use]
    pub fn nbd_listeners(&self) -> &[Listener] {
        &self.nbd_listeners
    }

    /// The primary of a volume, while this node is it.
    #[must_use]
    pub fn primary(&self, volume: VolumeId) -> Option<Arc<Primary>> {
        self.shared.primary(volume)
    }

    /// The store of a volume here, as it is.
    #[must_use]
    pub fn store(&self, volume: VolumeId) -> Option<holdfast_blockvol::Volume> {
        self.shared
            .store(volume)
            .map(|store| store.volume().clone())
    }

    /// Everything about this node.
    #[must_use]
    pub fn status(&self) -> super::NodeStatus {
        self.shared.status()
    }

    /// Resolves when somebody asked the node to stop.
    pub async fn asked_to_stop(&self) -> Successor {
        self.shared.stopping().await;
        if self.shared.hands_over.load(Ordering::Acquire) {
            Successor::Promoted
        } else {
            Successor::None
        }
    }

    /// Lets no client in any more, commits what was acknowledged, gives up every role, hands volumes
    /// over as asked, and closes the stores; in bounded time.
    pub async fn shutdown(mut self, successor: Successor) {
        self.shared.life.send_if_modified(|life| {
            let running = *life == Life::Running;
            *life = (*life).max(Life::Stopping);
            running
        });
        self.nbd_listeners.clear();
        self.shared.drain(successor).await;
        let stores: Vec<_> = {
            let slots = self.shared.slots();
            let stores = slots.values().map(|slot| Arc::clone(&slot.store));
            stores.collect()
        };
        for store in &stores {
            if let Err(error) = store.volume().close() {
                tracing::warn!(%error, "a store was not closed cleanly");
            }
        }
        self.end().await;
    }

    /// Ends everything where it is: what a crash of the process would leave behind, as far as that
    /// can be had within one process.
    pub async fn crash(mut self) {
        self.end().await;
    }

    async fn end(&mut self) {
        self.shared.life.send_replace(Life::Ended);
        self.nbd_listeners.clear();
        self.shared.exports.shut_down().await;
        if let Err(error) = (&mut self.replication).await {
            tracing::error!(%error, "the replication listener did not end well");
        }
        self.tasks.shutdown().await;
        let slots = std::mem::take(&mut *self.shared.slots());
        let mut releases = Vec::new();
        for slot in slots.into_values() {
            if let Some(primary) = &slot.primary {
                primary.finished().await;
            }
            releases.push(slot.store.volume().release());
        }
        // Whoever opens these stores next must not find them locked: tasks that were told to end
        // may still hold them for a moment.
        let released = task::spawn_blocking(move || {
            let limit = Instant::now() + RELEASE_WAIT;
            let left = || limit.saturating_duration_since(Instant::now());
            releases
                .iter()
                .filter(|release| !release.wait(left()))
                .count()
        });
        match released.await {
            Ok(0) => {}
            Ok(held) => tracing::warn!(held, "stores are still in use as the node ends"),
            Err(error) => tracing::error!(%error, "nobody waited for the stores"),
        }
    }
}

impl NodeShared {
    async fn listen_for_clients(&self) -> Result<Vec<Listener>, StartError> {
        let mut listeners = Vec::new();
        if let Some(address) = self.config.nbd.listen {
            listeners.push(self.exports.listen_tcp(address).await?);
        }
        if let Some(path) = &self.config.nbd.unix_socket {
            listeners.push(self.exports.listen_unix(path).await?);
        }
        Ok(listeners)
    }

    /// The socket of the commands. One that a crashed node left behind is replaced; one on which
    /// somebody answers is not.
    fn listen_for_commands(&self) -> Result<UnixListener, StartError> {
        let path = &self.config.node.admin_socket;
        let failed = |source| StartError::Listen {
            place: path.display().to_string(),
            source,
        };
        if path.exists() {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(failed(io::ErrorKind::AddrInUse.into()));
            }
            let kind = std::fs::symlink_metadata(path).map_err(failed)?.file_type();
            if !std::os::unix::fs::FileTypeExt::is_socket(&kind) {
                return Err(failed(io::ErrorKind::AlreadyExists.into()));
            }
            std::fs::remove_file(path).map_err(failed)?;
        }
        UnixListener::bind(path).map_err(failed)
    }
}

impl replica_server::ReplicaHost for NodeShared {
    fn store(&self, volume: VolumeId) -> Option<Arc<LocalStore>> {
        Self::store(self, volume)
    }

    fn protection(&self) -> &Protection {
        Self::protection(self)
    }

    fn clock(&self) -> Clock {
        Self::clock(self)
    }

    fn stall_timeout(&self) -> Duration {
        Self::stall_timeout(self)
    }

    async fn confirm_minted(&self, volume: VolumeId, epoch: Epoch) -> Result<(), Refusal> {
        Self::confirm_minted(self, volume, epoch).await
    }

    async fn depose(&self, volume: VolumeId, epoch: Epoch) {
        Self::depose(self, volume, epoch).await;
    }

    async fn stopping(&self) {
        Self::stopping(self).await;
    }
}
