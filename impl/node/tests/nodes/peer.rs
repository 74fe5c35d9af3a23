//! One node, and peers of its data port that are written by hand: primaries that do what they should,
//! and strangers that do not.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use holdfast_node::authority::RecordVersion;
use holdfast_node::config::{AuthorityConfig, Config};
use holdfast_node::runtime::{
    ControlClient, ControlError, ControlReply, ControlRequest, FrameReader, FrameWriter, Node,
    StreamError,
};
use holdfast_types::{
    BLOCK_SIZE, BlockRange, DurabilityMode, Endpoint, EndpointVersion, EntryKind, Epoch, LogEntry,
    Lsn, Member, ReplicaId, Revision, SessionId, StoreId, VolumeId, VolumeRecord, WriteAck,
};
use holdfast_wire::{
    Append, Frame, Hello, HelloAck, LogPosition, Message, Refusal, SUPPORTED_VERSIONS,
};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use uuid::Uuid;

use crate::configuration;

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of their logs, which the node would not have chosen.
pub(crate) const LOG_BYTES: u64 = 2 << 20;

/// The store of every primary that is not told otherwise.
pub(crate) const STORE: StoreId = StoreId(Uuid::from_u128(42));

/// Blocks of the volumes of these tests.
pub(crate) const BLOCKS: u64 = 600;

/// A node that serves its own authority.
pub(crate) struct Place {
    _directory: tempfile::TempDir,
    config: Config,
    node: Option<Node>,
}

/// A primary, or whoever says so.
pub(crate) struct Peer {
    pub(crate) volume: VolumeId,
    pub(crate) epoch: Epoch,
    pub(crate) session: SessionId,
    /// The store that it says it has.
    pub(crate) store: StoreId,
    reader: FrameReader<OwnedReadHalf>,
    writer: FrameWriter<OwnedWriteHalf>,
}

fn config(directory: PathBuf) -> Config {
    let authority = AuthorityConfig::Embedded {
        listen: configuration::any(),
        file: directory.join("authority"),
    };
    let mut config = configuration::of("r", directory, authority);
    config.limits.stall_timeout = Duration::from_millis(500);
    config
}

/// A position of a log.
pub(crate) const fn at(lsn: u64, epoch: u64) -> LogPosition {
    LogPosition {
        lsn: Lsn(lsn),
        epoch: Epoch(epoch),
    }
}

/// An entry that writes one block.
pub(crate) fn entry(lsn: u64, epoch: u64) -> LogEntry<Bytes> {
    LogEntry {
        lsn: Lsn(lsn),
        epoch: Epoch(epoch),
        kind: EntryKind::Write,
        range: Some(BlockRange::new(lsn % BLOCKS, 1).unwrap()),
        payload: Bytes::from(vec![lsn as u8; BLOCK_SIZE]),
    }
}

/// Entries of one epoch after a position, as one batch; a new epoch begins with its epoch-start.
pub(crate) fn append(previous: LogPosition, epoch: u64, count: u64) -> Message {
    let lsns = previous.lsn.0 + 1..=previous.lsn.0 + count;
    let mut entries: Vec<_> = lsns.map(|lsn| entry(lsn, epoch)).collect();
    if previous.epoch < Epoch(epoch)
        && let Some(first) = entries.first_mut()
    {
        (first.kind, first.range) = (EntryKind::EpochStart, None);
        first.payload = Bytes::new();
    }
    Message::Append(Append {
        previous,
        committed: Lsn(0),
        entries,
    })
}

impl Place {
    /// Starts the node.
    pub(crate) async fn start() -> Self {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let directory = tempfile::tempdir().unwrap();
        let mut config = config(directory.path().to_path_buf());
        let node = Node::start(config.clone()).await.unwrap();
        config.node.replication_listen = node.data_address();
        config.node.control_listen = node.control_address();
        Self {
            _directory: directory,
            config,
            node: Some(node),
        }
    }

    pub(crate) fn node(&self) -> &Node {
        self.node.as_ref().unwrap()
    }

    /// Crashes the node and starts it again on what is left.
    pub(crate) async fn crash_and_restart(&mut self) {
        self.node.take().unwrap().crash().await;
        self.node = Some(Node::start(self.config.clone()).await.unwrap());
    }

    pub(crate) async fn ask(&self, request: &ControlRequest) -> ControlReply {
        self.try_ask(request).await.unwrap()
    }

    pub(crate) async fn try_ask(
        &self,
        request: &ControlRequest,
    ) -> Result<ControlReply, ControlError> {
        let client = ControlClient::tcp(self.node().control_address(), PATIENCE);
        client.ask(request).await
    }

    /// Waits for a fact, and fails when it does not come about.
    pub(crate) async fn until(&self, fact: &str, holds: impl Fn() -> bool) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while !holds() {
            assert!(std::time::Instant::now() < deadline, "not: {fact}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The authority's record.
    pub(crate) async fn record(&self, volume: VolumeId) -> VolumeRecord {
        let reply = self.ask(&ControlRequest::AuthorityRead { volume }).await;
        let ControlReply::Recorded { recorded } = reply else {
            panic!("no record");
        };
        recorded.record
    }

    /// A volume with a copy here, and its authority's record at epoch 1, without a primary.
    pub(crate) async fn volume(&self) -> VolumeId {
        let volume = VolumeId::random();
        let made = ControlRequest::CreateStore {
            volume,
            blocks: BLOCKS,
            log_bytes: LOG_BYTES,
        };
        let ControlReply::Store { store } = self.ask(&made).await else {
            panic!("no store");
        };
        let address = self.node().control_address();
        let endpoint = Endpoint {
            data: self.node().data_address(),
            control: address,
            version: EndpointVersion(1),
        };
        let own = ReplicaId::new("r").unwrap();
        let record = VolumeRecord {
            volume,
            name: volume.to_string(),
            blocks: BLOCKS,
            epoch: Epoch(0),
            revision: Revision(0),
            primary: None,
            members: [(own.clone(), Member { endpoint, store })].into(),
            voters: [own.clone()].into(),
            isr: [own].into(),
            mode: DurabilityMode::SyncAll,
            min_in_sync: 1,
            write_ack: WriteAck::Received,
            committed_seen: (Epoch(0), Lsn(0)),
        };
        let created = ControlRequest::AuthorityCreate {
            record: Box::new(record),
        };
        assert!(matches!(
            self.ask(&created).await,
            ControlReply::Recorded { .. }
        ));
        self.mint(volume).await;
        volume
    }

    /// Has the authority mint the next epoch.
    pub(crate) async fn mint(&self, volume: VolumeId) -> Epoch {
        let expected = RecordVersion::of(&self.record(volume).await);
        let mint = ControlRequest::AuthorityMint { volume, expected };
        let ControlReply::Recorded { recorded } = self.ask(&mint).await else {
            panic!("not minted");
        };
        recorded.record.epoch
    }

    /// Makes this node the primary, and waits until it serves.
    pub(crate) async fn promote_here(&self, volume: VolumeId) -> Epoch {
        let promote = ControlRequest::Promote {
            volume: volume.to_string(),
            replica: None,
            forced: false,
        };
        let ControlReply::Promoted { record, .. } = self.ask(&promote).await else {
            panic!("not promoted");
        };
        let serves = || {
            let primary = self.node().primary(volume);
            primary.is_some_and(|primary| primary.is_serving())
        };
        self.until("it serves", serves).await;
        record.epoch
    }

    /// This process is not whole: it may lack what its copy acknowledged as received.
    pub(crate) fn may_have_lost_received(&self, volume: VolumeId) -> bool {
        let status = self.node().status();
        let found = status.volumes.iter().find(|found| found.volume == volume);
        !found.unwrap().whole
    }

    /// What the store has promised.
    pub(crate) fn promised(&self, volume: VolumeId) -> Epoch {
        self.node().store(volume).unwrap().promise().epoch
    }

    /// A connection that has said nothing.
    pub(crate) async fn stranger(&self, volume: VolumeId, epoch: u64, session: u64) -> Peer {
        self.stranger_from("127.0.0.1", volume, epoch, session)
            .await
    }

    /// The same, from a given address.
    pub(crate) async fn stranger_from(
        &self,
        host: &str,
        volume: VolumeId,
        epoch: u64,
        session: u64,
    ) -> Peer {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{host}:0").parse().unwrap()).unwrap();
        let stream = socket.connect(self.node().data_address()).await.unwrap();
        let (reader, writer) = stream.into_split();
        Peer {
            volume,
            epoch: Epoch(epoch),
            session: SessionId(session),
            store: STORE,
            reader: FrameReader::new(reader),
            writer: FrameWriter::new(writer),
        }
    }

    /// A primary in session, whose log ends at `head`.
    pub(crate) async fn primary(
        &self,
        volume: VolumeId,
        epoch: u64,
        session: u64,
        head: LogPosition,
    ) -> (Peer, HelloAck) {
        let mut peer = self.stranger(volume, epoch, session).await;
        peer.hello(BLOCKS, head).await;
        let told = peer.hear().await;
        let Message::HelloAck(ack) = &told else {
            panic!("not let in: {told:?}");
        };
        (peer, ack.as_ref().clone())
    }
}

impl Peer {
    /// Says hello.
    pub(crate) async fn hello(&mut self, blocks: u64, head: LogPosition) {
        self.say(Message::Hello(Hello {
            versions: SUPPORTED_VERSIONS,
            blocks,
            head,
            primary: ReplicaId::new("p").unwrap(),
            store: self.store,
        }))
        .await;
    }

    /// Says something under its own authority.
    pub(crate) async fn say(&mut self, message: Message) {
        let frame = self.frame(message);
        self.writer.send(&frame).await.unwrap();
        self.writer.flush().await.unwrap();
    }

    /// A frame under its own authority.
    pub(crate) fn frame(&self, message: Message) -> Frame {
        Frame {
            volume: self.volume,
            epoch: self.epoch,
            session: self.session,
            message,
        }
    }

    /// Says any frame.
    pub(crate) async fn say_frame(&mut self, frame: Frame) {
        self.writer.send(&frame).await.unwrap();
        self.writer.flush().await.unwrap();
    }

    /// The next thing that it is told.
    pub(crate) async fn hear(&mut self) -> Message {
        let heard = tokio::time::timeout(PATIENCE, self.reader.next()).await;
        heard.expect("nothing is heard").unwrap().message
    }

    /// The next thing that it is told; `None` when the connection ends without a word.
    pub(crate) async fn try_hear(&mut self) -> Option<Message> {
        match self.reader.next().await {
            Ok(frame) => Some(frame.message),
            Err(StreamError::Closed | StreamError::Io(_)) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// The refusal that ends the connection; what came before it is passed over.
    pub(crate) async fn refusal(&mut self) -> Refusal {
        let refusal = loop {
            if let Message::Refusal(refusal) = self.hear().await {
                break refusal;
            }
        };
        self.closed().await;
        refusal
    }

    /// The connection is closed by the other side.
    pub(crate) async fn closed(&mut self) {
        let heard = tokio::time::timeout(PATIENCE, self.reader.next()).await;
        match heard.expect("the connection is open") {
            Err(StreamError::Closed | StreamError::Io(_)) => {}
            other => panic!("not closed: {other:?}"),
        }
    }

    /// Nothing comes for so long.
    pub(crate) async fn hears_nothing_for(&mut self, time: Duration) {
        let heard = tokio::time::timeout(time, self.reader.next()).await;
        assert!(heard.is_err(), "heard {heard:?}");
    }

    /// A barrier and its answer.
    pub(crate) async fn barrier(&mut self, lsn: u64) -> Lsn {
        self.say(Message::Barrier { lsn: Lsn(lsn) }).await;
        loop {
            let told = self.hear().await;
            if let Message::BarrierAck { asked, durable } = told {
                assert_eq!(asked, Lsn(lsn));
                return durable;
            }
            assert!(matches!(told, Message::Received { .. }), "{told:?}");
        }
    }

    /// Appends entries and waits until they are received.
    pub(crate) async fn appends(&mut self, previous: LogPosition, count: u64) {
        let epoch = self.epoch.0;
        self.say(append(previous, epoch, count)).await;
        let expected = Lsn(previous.lsn.0 + count);
        assert_eq!(self.hear().await, Message::Received { lsn: expected });
    }

    /// Sends bytes as they are, and may end its side of the connection.
    pub(crate) async fn send_bytes(self, bytes: &[u8], end: bool) -> Listener {
        let mut stream = self.writer.into_inner();
        stream.write_all(bytes).await.unwrap();
        if end {
            stream.shutdown().await.unwrap();
        }
        Listener {
            reader: self.reader,
            _stream: stream,
        }
    }
}

/// What is left of a peer that sent bytes.
pub(crate) struct Listener {
    reader: FrameReader<OwnedReadHalf>,
    _stream: OwnedWriteHalf,
}

impl Listener {
    /// The refusal that it is told.
    pub(crate) async fn refusal(&mut self) -> Refusal {
        let heard = tokio::time::timeout(PATIENCE, self.reader.next()).await;
        let told = heard.expect("nothing is heard").unwrap().message;
        let Message::Refusal(refusal) = &told else {
            panic!("not refused: {told:?}");
        };
        refusal.clone()
    }
}
