//! Several nodes in one process, on loopback, with real files, and links that can be cut.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::configuration::{self, Keys};
use bytes::Bytes;
use holdfast_node::config::{AuthorityConfig, Config, LimitsConfig};
use holdfast_node::runtime::{
    ControlClient, ControlError, ControlReply, ControlRequest, MemberPlan, Node, Primary, RoleName,
    VolumePlan,
};
use holdfast_node::tls::{Expected, Protection};
use holdfast_types::{
    BLOCK_SIZE, BlockRange, DurabilityMode, EntryKind, ReplicaId, VolumeId, VolumeRecord,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(40);

/// Blocks of the volumes of these tests.
pub(crate) const BLOCKS: u64 = 2048;

/// A TCP link to one node that can be cut, or slow.
pub(crate) struct Link {
    address: SocketAddr,
    up: watch::Sender<bool>,
    /// Bytes that it carries to the node in a second; 0: as many as there are.
    pace: watch::Sender<u64>,
}

/// What a slow link carries at once, in bytes.
const PORTION: usize = 16 * 1024;

impl Link {
    async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let up = watch::Sender::new(true);
        let pace = watch::Sender::new(0);
        let (state, speed) = (up.clone(), pace.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(carry(stream, target, state.subscribe(), speed.subscribe()));
            }
        });
        Self { address, up, pace }
    }

    /// Connections carry so many bytes a second to the node from now on.
    pub(crate) fn slow_down(&self, bytes_per_second: u64) {
        self.pace.send_replace(bytes_per_second);
    }

    /// Drops every connection and lets none through.
    pub(crate) fn cut(&self) {
        self.up.send_replace(false);
    }

    /// Lets connections through again.
    pub(crate) fn mend(&self) {
        self.up.send_replace(true);
    }
}

async fn carry(
    near: TcpStream,
    target: SocketAddr,
    mut up: watch::Receiver<bool>,
    pace: watch::Receiver<u64>,
) {
    if !*up.borrow() {
        return;
    }
    let Ok(far) = TcpStream::connect(target).await else {
        return;
    };
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    let (mut from_near, mut to_near) = near.into_split();
    let (mut from_far, mut to_far) = far.into_split();
    let there = async {
        let mut portion = vec![0; PORTION];
        loop {
            let count = match from_near.read(&mut portion).await {
                Ok(0) | Err(_) => return,
                Ok(count) => count,
            };
            let speed = *pace.borrow();
            if let Some(nanos) = (count as u64 * 1_000_000_000).checked_div(speed) {
                tokio::time::sleep(Duration::from_nanos(nanos)).await;
            }
            if to_far.write_all(&portion[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = there => {}
        _ = tokio::io::copy(&mut from_far, &mut to_near) => {}
        _ = up.wait_for(|up| !up) => {}
    }
}

struct Place {
    config: Config,
    node: Option<Node>,
    link: Link,
}

/// Nodes `a`, `b`, `c`, ... and one more that only keeps the authority.
pub(crate) struct Cluster {
    directory: tempfile::TempDir,
    keeper: Option<Node>,
    keeper_config: Config,
    places: BTreeMap<&'static str, Place>,
    /// How the test itself asks.
    operator: Protection,
    /// The volume of the test.
    pub(crate) volume: VolumeId,
}

fn config(id: &str, directory: PathBuf, authority: AuthorityConfig) -> Config {
    let mut config = configuration::of(id, directory, authority);
    // Who creates a volume decides for all its copies; what the others would like is theirs.
    config.limits.log_size = Some(if id == "c" { 8 << 20 } else { 4 << 20 });
    config
}

impl Cluster {
    /// Starts the nodes and creates a volume with a copy on each.
    pub(crate) async fn start(names: &[&'static str], mode: DurabilityMode) -> Self {
        Self::start_with(names, mode, 1, |_| {}).await
    }

    /// The same with a least number of in-sync copies, and other limits.
    pub(crate) async fn start_with(
        names: &[&'static str],
        mode: DurabilityMode,
        min_in_sync: usize,
        tune: impl Fn(&mut LimitsConfig),
    ) -> Self {
        Self::start_under(names, mode, min_in_sync, None, tune).await
    }

    /// The same with keys for everyone, issued by the authority of a directory.
    pub(crate) async fn start_under(
        names: &[&'static str],
        mode: DurabilityMode,
        min_in_sync: usize,
        keys: Option<&Keys>,
        tune: impl Fn(&mut LimitsConfig),
    ) -> Self {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let embedded = |listen| AuthorityConfig::Embedded {
            listen,
            file: at("keeper").join("authority"),
        };
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let mut keeper_config = config("keeper", at("keeper"), embedded(any));
        // It creates the volume, so it decides how large the logs are.
        tune(&mut keeper_config.limits);
        keeper_config.tls = keys.map(|keys| keys.of_node("keeper"));
        let keeper = Node::start(keeper_config.clone()).await.unwrap();
        let address = keeper.authority_address().unwrap();
        keeper_config.authority = embedded(address);
        let mut places = BTreeMap::new();
        for name in names {
            let node = keys.map(|_| ReplicaId::new("keeper").unwrap());
            let mut config = config(name, at(name), AuthorityConfig::Remote { address, node });
            tune(&mut config.limits);
            config.tls = keys.map(|keys| keys.of_node(name));
            let node = Node::start(config.clone()).await.unwrap();
            config.node.replication_listen = node.data_address();
            config.node.control_listen = node.control_address();
            let link = Link::to(node.data_address()).await;
            let node = Some(node);
            places.insert(*name, Place { config, node, link });
        }
        let mut cluster = Self {
            directory,
            keeper: Some(keeper),
            keeper_config,
            places,
            operator: keys.map_or(Protection::None, |keys| keys.operator("admin")),
            volume: VolumeId::random(),
        };
        cluster.create_volume(mode, min_in_sync).await;
        cluster
    }

    async fn create_volume(&mut self, mode: DurabilityMode, min_in_sync: usize) {
        let members = self.places.values().map(|place| MemberPlan {
            control: place.config.node.control_listen,
            data: Some(place.link.address),
        });
        let plan = VolumePlan {
            name: "v".into(),
            blocks: BLOCKS,
            members: members.collect(),
            mode: Some(mode),
            min_in_sync: Some(min_in_sync),
            write_ack: None,
        };
        let reply = self.ask(&ControlRequest::CreateVolume(plan)).await;
        let ControlReply::Promoted { record, .. } = reply else {
            panic!("not created: {reply:?}");
        };
        self.volume = record.volume;
    }

    /// Starts a node that keeps no copy yet.
    pub(crate) async fn start_beside(&mut self, name: &'static str) {
        let address = self.keeper().authority_address().unwrap();
        let authority = AuthorityConfig::Remote {
            address,
            node: None,
        };
        let mut config = config(name, self.directory.path().join(name), authority);
        let node = Node::start(config.clone()).await.unwrap();
        config.node.replication_listen = node.data_address();
        config.node.control_listen = node.control_address();
        let link = Link::to(node.data_address()).await;
        let node = Some(node);
        self.places.insert(name, Place { config, node, link });
    }

    /// Where a node is, for whoever adds a copy there.
    pub(crate) fn place_of(&self, name: &str) -> MemberPlan {
        let place = &self.places[name];
        MemberPlan {
            control: place.config.node.control_listen,
            data: Some(place.link.address),
        }
    }

    fn client(&self, address: SocketAddr) -> ControlClient {
        ControlClient::tcp(address, PATIENCE).under(&self.operator, Expected::AnyNode)
    }

    /// The node that keeps the authority.
    pub(crate) fn keeper(&self) -> &Node {
        self.keeper.as_ref().unwrap()
    }

    /// Asks the node that keeps the authority.
    pub(crate) async fn ask(&self, request: &ControlRequest) -> ControlReply {
        self.try_ask(request).await.unwrap()
    }

    /// The same, when it may say no.
    pub(crate) async fn try_ask(
        &self,
        request: &ControlRequest,
    ) -> Result<ControlReply, ControlError> {
        let keeper = self.keeper.as_ref().unwrap();
        let client = self.client(keeper.control_address());
        client.ask(request).await
    }

    /// Asks one node.
    pub(crate) async fn ask_node(
        &self,
        name: &str,
        request: &ControlRequest,
    ) -> Result<ControlReply, ControlError> {
        let client = self.client(self.node(name).control_address());
        client.ask(request).await
    }

    /// The link over which primaries reach a node.
    pub(crate) fn link(&self, name: &str) -> &Link {
        &self.places[name].link
    }

    /// A running node.
    pub(crate) fn node(&self, name: &str) -> &Node {
        self.places[name].node.as_ref().unwrap()
    }

    /// Crashes a node; its files stay.
    pub(crate) async fn crash(&mut self, name: &str) {
        let node = self.places.get_mut(name).unwrap().node.take().unwrap();
        node.crash().await;
    }

    /// Crashes the node that keeps the authority.
    pub(crate) async fn crash_keeper(&mut self) {
        self.keeper.take().unwrap().crash().await;
    }

    /// Starts it again where it was, on what is left.
    pub(crate) async fn restart_keeper(&mut self) {
        let keeper = Node::start(self.keeper_config.clone()).await;
        self.keeper = Some(keeper.unwrap());
    }

    /// The directory of the node that keeps the authority.
    pub(crate) fn keeper_directory(&self) -> PathBuf {
        self.directory.path().join("keeper")
    }

    /// Starts a node again on what is left.
    pub(crate) async fn start_again(&mut self, name: &str) {
        let place = self.places.get_mut(name).unwrap();
        let node = Node::start(place.config.clone()).await;
        place.node = Some(node.unwrap());
    }

    /// The same; where a disk was replaced, the operator says so.
    pub(crate) async fn restart(&mut self, name: &str) {
        self.start_again(name).await;
        if self.node(name).store(self.volume).is_none() {
            self.replace_store(name).await;
        }
    }

    /// Has a node make an empty store in place of a lost one.
    pub(crate) async fn replace_store(&self, name: &str) {
        let client = self.client(self.node(name).control_address());
        let volume = self.volume.to_string();
        let reply = client.ask(&ControlRequest::ReplaceStore { volume }).await;
        assert!(matches!(reply, Ok(ControlReply::Store { .. })), "{reply:?}");
    }

    /// Replaces the disk of a node that is down by an empty one.
    pub(crate) fn replace_disk(&self, name: &str) {
        let place = &self.places[name];
        assert!(place.node.is_none(), "the node is down");
        std::fs::remove_dir_all(place.config.node.data_dir.join("volumes")).unwrap();
    }

    /// Whether a node has any file of the test's volume.
    pub(crate) fn keeps_files(&self, name: &str) -> bool {
        let volumes = self.places[name].config.node.data_dir.join("volumes");
        let id = self.volume.to_string();
        let mut found = std::fs::read_dir(volumes).unwrap();
        found.any(|item| item.unwrap().file_name().to_string_lossy().contains(&id))
    }

    /// Flips one bit of a block of a node's image, as a disk does.
    pub(crate) fn rot(&self, name: &str, block: u64) {
        use std::os::unix::fs::FileExt;
        let volumes = self.places[name].config.node.data_dir.join("volumes");
        let image = volumes.join(self.volume.to_string()).join("extent");
        let mut file = std::fs::OpenOptions::new();
        let file = file.read(true).write(true).open(image).unwrap();
        let at = block * BLOCK_SIZE as u64 + 100;
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    }

    /// Promotes the best eligible copy.
    pub(crate) async fn promote(&self) -> VolumeRecord {
        let request = ControlRequest::Promote {
            volume: "v".into(),
            replica: None,
            forced: false,
        };
        let reply = self.ask(&request).await;
        let ControlReply::Promoted { record, .. } = reply else {
            panic!("not promoted: {reply:?}");
        };
        *record
    }

    fn running(&self) -> impl Iterator<Item = (&'static str, &Node)> {
        self.places
            .iter()
            .filter_map(|(name, place)| Some((*name, place.node.as_ref()?)))
    }

    /// The primary, once it serves.
    pub(crate) async fn serving(&self) -> std::sync::Arc<Primary> {
        let found = |cluster: &Self| {
            cluster.running().find_map(|(_, node)| {
                let primary = node.primary(cluster.volume)?;
                primary.is_serving().then_some(primary)
            })
        };
        self.until("a primary serves", |cluster| found(cluster).is_some())
            .await;
        found(self).unwrap()
    }

    /// Waits for a fact, and fails when it does not come about.
    pub(crate) async fn until(&self, fact: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            if Instant::now() > deadline {
                for (name, node) in self.running() {
                    eprintln!("{name}: {:#?}", node.status());
                }
                panic!("not in {PATIENCE:?}: {fact}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The state of a replica's sender at the primary, and whether it is in the in-sync set.
    pub(crate) fn sender(&self, name: &str) -> Option<(String, bool)> {
        self.running().find_map(|(_, node)| {
            let status = node.status();
            let volume = status
                .volumes
                .into_iter()
                .find(|v| v.volume == self.volume)?;
            if volume.role != RoleName::Primary {
                return None;
            }
            let sender = volume
                .replicas
                .into_iter()
                .find(|r| r.replica.as_str() == name)?;
            Some((sender.state, sender.member))
        })
    }

    /// Waits until a replica is in sync and in the in-sync set.
    pub(crate) async fn until_in_sync(&self, name: &str) {
        self.until(&format!("{name} is in sync"), |cluster| {
            cluster.sender(name) == Some(("in_sync".into(), true))
        })
        .await;
    }

    /// Every event of the recoveries at a node, by name and replica.
    pub(crate) async fn events(
        &self,
        name: &str,
    ) -> Vec<(String, Option<ReplicaId>, Option<String>)> {
        let client = self.client(self.node(name).control_address());
        let reply = client.ask(&ControlRequest::Events { after: None }).await;
        let ControlReply::Events { events } = reply.unwrap() else {
            panic!("no events");
        };
        let rows = events.into_iter();
        rows.map(|row| (row.event, row.replica, row.cause))
            .collect()
    }

    /// The blocks of the volume as a node's store holds them.
    pub(crate) fn blocks_at(&self, name: &str) -> Vec<u8> {
        let store = self.node(name).store(self.volume).unwrap();
        let mut content = vec![0; BLOCKS as usize * BLOCK_SIZE];
        store
            .read(BlockRange::new(0, BLOCKS).unwrap(), &mut content)
            .unwrap();
        content
    }

    /// Flushes, waits for every running copy to be in sync, and holds all of them, block by block,
    /// against what was written.
    pub(crate) async fn all_copies_equal(&self, reference: &Reference) {
        let primary = self.serving().await;
        primary.flush().await.unwrap();
        let own = self
            .running()
            .find(|(_, node)| node.primary(self.volume).is_some())
            .map(|(name, _)| name);
        for (name, _) in self.running().filter(|(name, _)| Some(*name) != own) {
            self.until_in_sync(name).await;
        }
        let head = primary.progress().committed;
        for (name, node) in self.running() {
            let store = node.store(self.volume).unwrap();
            self.until("every copy reaches the flush", |_| {
                store.positions().durable >= head
            })
            .await;
            let content = self.blocks_at(name);
            let blocks = content
                .chunks(BLOCK_SIZE)
                .zip(reference.0.chunks(BLOCK_SIZE));
            let wrong: Vec<usize> = blocks
                .enumerate()
                .filter(|(_, (found, expected))| found != expected)
                .map(|(block, _)| block)
                .collect();
            assert!(wrong.is_empty(), "{name} differs in blocks {wrong:?}");
        }
    }
}

/// What the volume should hold.
#[derive(Clone)]
pub(crate) struct Reference(Vec<u8>);

impl Reference {
    /// An all-zero device.
    pub(crate) fn new() -> Self {
        Self(vec![0; BLOCKS as usize * BLOCK_SIZE])
    }

    /// Writes `count` blocks from `start`, each filled by what `tag` and its number make.
    pub(crate) async fn write(&mut self, primary: &Primary, start: u64, count: u64, tag: u8) {
        let data = pattern(start, count, tag);
        let range = BlockRange::new(start, count).unwrap();
        primary
            .write(EntryKind::Write, range, Bytes::from(data.clone()), false)
            .await
            .unwrap();
        let from = start as usize * BLOCK_SIZE;
        self.0[from..from + data.len()].copy_from_slice(&data);
    }

    /// Trims blocks.
    pub(crate) async fn trim(&mut self, primary: &Primary, start: u64, count: u64) {
        let range = BlockRange::new(start, count).unwrap();
        primary
            .write(EntryKind::Trim, range, Bytes::new(), false)
            .await
            .unwrap();
        let from = start as usize * BLOCK_SIZE;
        self.0[from..from + count as usize * BLOCK_SIZE].fill(0);
    }

    /// A block, as it should be.
    pub(crate) fn block(&self, number: u64) -> &[u8] {
        &self.0[number as usize * BLOCK_SIZE..][..BLOCK_SIZE]
    }
}

/// The content of blocks.
pub(crate) fn pattern(start: u64, count: u64, tag: u8) -> Vec<u8> {
    let mut data = vec![tag; count as usize * BLOCK_SIZE];
    for (number, block) in data.chunks_mut(BLOCK_SIZE).enumerate() {
        block[..8].copy_from_slice(&(start + number as u64).to_le_bytes());
    }
    data
}
