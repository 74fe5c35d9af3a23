//! Nodes with keys, and everyone who has none of this cluster's, or not the right ones.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use holdfast_node::authority::{Incarnation, LeaseRequest};
use holdfast_node::runtime::{
    ControlClient, ControlError, ControlRequest, FrameReader, FrameWriter, ProblemKind,
};
use holdfast_node::tls::{
    Expected, HandshakeError, Holder, Protection, ReadHalf, Validity, WriteHalf,
};
use holdfast_types::{DurabilityMode, Epoch, ReplicaId, SessionId, StoreId, VolumeId};
use holdfast_wire::{Frame, Hello, LogPosition, Message, Refusal, SUPPORTED_VERSIONS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use uuid::Uuid;

use crate::configuration::Keys;
use crate::support::{BLOCKS, Cluster, Reference};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

fn label(text: &str) -> ReplicaId {
    ReplicaId::new(text).unwrap()
}

/// A cluster of two copies whose nodes have keys, with something written.
async fn with_keys(keys: &Keys) -> (Cluster, Reference) {
    let mode = DurabilityMode::SyncAll;
    let cluster = Cluster::start_under(&["a", "b"], mode, 1, Some(keys), |_| {}).await;
    let primary = cluster.serving().await;
    for replica in ["a", "b"] {
        if primary.record().primary != Some(label(replica)) {
            cluster.until_in_sync(replica).await;
        }
    }
    let mut reference = Reference::new();
    reference.write(&primary, 0, 10, 1).await;
    primary.flush().await.unwrap();
    (cluster, reference)
}

/// The session of the copy that is no primary.
fn session(cluster: &Cluster) -> SessionId {
    let statuses = ["a", "b"].map(|name| cluster.node(name).status());
    let mut replicas = statuses
        .into_iter()
        .flat_map(|status| status.volumes)
        .flat_map(|volume| volume.replicas);
    replicas.next().unwrap().session.unwrap()
}

/// The node that is no primary.
async fn replica(cluster: &Cluster) -> &'static str {
    let primary = cluster.serving().await.record().primary.unwrap();
    if primary == label("a") { "b" } else { "a" }
}

/// Somebody who says the hello of a primary.
struct Claimant {
    reader: FrameReader<ReadHalf>,
    writer: FrameWriter<WriteHalf>,
}

impl Claimant {
    async fn connect(protection: &Protection, address: SocketAddr) -> Result<Self, HandshakeError> {
        let stream = protection.connect(address, &Expected::AnyNode).await?;
        let (reader, writer) = stream.into_split();
        Ok(Self {
            reader: FrameReader::new(reader),
            writer: FrameWriter::new(writer),
        })
    }

    async fn says_hello_as(&mut self, primary: &str, volume: VolumeId) {
        let hello = Hello {
            versions: SUPPORTED_VERSIONS,
            blocks: BLOCKS,
            head: LogPosition::START,
            primary: label(primary),
            store: StoreId(Uuid::from_u128(1)),
        };
        let frame = Frame {
            volume,
            epoch: Epoch(99),
            session: SessionId(1),
            message: Message::Hello(hello),
        };
        self.writer.send(&frame).await.unwrap();
        // Who is refused by then is told when it listens.
        let _ = self.writer.flush().await;
    }

    async fn refusal(&mut self) -> Refusal {
        let heard = timeout(PATIENCE, self.reader.next()).await.expect("heard");
        let told = heard.expect("told").message;
        let Message::Refusal(refusal) = &told else {
            panic!("not refused: {told:?}");
        };
        refusal.clone()
    }

    /// Why the connection ended without a word.
    async fn ended(&mut self) -> String {
        let heard = timeout(PATIENCE, self.reader.next()).await.expect("ended");
        heard.expect_err("the connection goes on").to_string()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f45_only_nodes_with_keys_of_the_cluster_are_let_in_and_nobody_else_disturbs_them() {
    let keys = Keys::new();
    let (cluster, mut reference) = with_keys(&keys).await;
    let (volume, before) = (cluster.volume, session(&cluster));
    let at = cluster.node(replica(&cluster).await).data_address();

    // No TLS at all.
    let mut plain = Claimant::connect(&Protection::None, at).await.unwrap();
    plain.says_hello_as("a", volume).await;
    assert_eq!(plain.refusal().await, Refusal::Unproven);

    // Another cluster's keys: neither side takes the other.
    let foreign = Keys::new();
    let stranger = Protection::load(Some(&foreign.of_node("a"))).unwrap();
    let refused = Claimant::connect(&stranger, at).await.err().unwrap();
    assert!(
        matches!(refused, HandshakeError::UnknownAuthority),
        "{refused}"
    );

    // The same, by somebody who does not mind who the node is.
    let mut credulous = foreign.of_node("z");
    let both = foreign.path().join("both.pem");
    let pem = |keys: &Keys| std::fs::read_to_string(keys.path().join("ca.pem")).unwrap();
    std::fs::write(&both, pem(&keys) + &pem(&foreign)).unwrap();
    credulous.ca = both;
    let credulous = Protection::load(Some(&credulous)).unwrap();
    let mut stranger = Claimant::connect(&credulous, at).await.unwrap();
    stranger.says_hello_as("z", volume).await;
    let told = stranger.ended().await;
    assert!(told.contains("not by the cluster's authority"), "{told}");

    // A certificate that is over.
    let mut short = Validity::days(1);
    short.until = SystemTime::now() + Duration::from_secs(2);
    let expiring = keys.issue(&Holder::Node(label("old")), short);
    let expired = Protection::load(Some(&expiring)).unwrap();
    while SystemTime::now() < short.until + Duration::from_secs(1) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut over = Claimant::connect(&expired, at).await.unwrap();
    over.says_hello_as("old", volume).await;
    let told = over.ended().await;
    assert!(told.contains("it has expired"), "{told}");

    // A node that says it is another, and an operator that says it is a node.
    let other = Protection::load(Some(&keys.of_node("z"))).unwrap();
    for (protection, certified) in [
        (&other, "z"),
        (&keys.operator("op"), "op.operator.holdfast.internal"),
    ] {
        let mut impostor = Claimant::connect(protection, at).await.unwrap();
        impostor.says_hello_as("a", volume).await;
        let expected = Refusal::Impostor {
            claimed: label("a"),
            certified: certified.into(),
        };
        assert_eq!(impostor.refusal().await, expected);
    }

    // A node that is dialled as another.
    let refused = other.connect(at, &Expected::Node(label("z"))).await;
    let refused = refused.err().unwrap();
    assert!(
        matches!(&refused, HandshakeError::OtherName { expected: Expected::Node(z) } if *z == label("z")),
        "{refused}"
    );

    let primary = cluster.serving().await;
    reference.write(&primary, 5, 9, 2).await;
    primary.flush().await.unwrap();
    assert_eq!(session(&cluster), before, "a session was disturbed");
    cluster.all_copies_equal(&reference).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f45_a_handshake_that_stops_half_way_is_ended_in_time_on_every_port() {
    let keys = Keys::new();
    let (cluster, _) = with_keys(&keys).await;
    let before = session(&cluster);
    let node = cluster.node(replica(&cluster).await);
    let ports = [
        node.data_address(),
        node.control_address(),
        cluster.keeper().authority_address().unwrap(),
    ];
    let mut held = tokio::task::JoinSet::new();
    for port in ports {
        // Nothing at all, and the first bytes of a client's hello.
        for said in [&[][..], &[0x16, 3, 1, 2, 0, 1]] {
            let mut stream = TcpStream::connect(port).await.unwrap();
            stream.write_all(said).await.unwrap();
            held.spawn(async move {
                let mut rest = Vec::new();
                let ended = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
                assert!(ended.is_ok(), "a connection that says nothing stays open");
                rest
            });
        }
    }
    let began = Instant::now();
    while let Some(rest) = held.join_next().await {
        assert!(rest.unwrap().is_empty(), "told something");
    }
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(session(&cluster), before, "a session was disturbed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f45_the_api_knows_who_asks() {
    let keys = Keys::new();
    let (cluster, _) = with_keys(&keys).await;
    let control = cluster.node("a").control_address();
    let ask = async |protection: &Protection, address, request| {
        let client = ControlClient::tcp(address, PATIENCE);
        let client = client.under(protection, Expected::AnyNode);
        client.ask(&request).await
    };
    let kind = |refused: Result<_, ControlError>| match refused {
        Err(ControlError::Failed { problem }) => problem.kind,
        other => panic!("{other:?}"),
    };
    // Without keys nobody is heard.
    let plain = ask(&Protection::None, control, ControlRequest::Status).await;
    assert_eq!(kind(plain), ProblemKind::Forbidden);
    let stranger = Protection::load(Some(&Keys::new().of_node("a"))).unwrap();
    let stranger = ask(&stranger, control, ControlRequest::Status).await;
    assert!(
        matches!(&stranger, Err(ControlError::Unreachable { detail, .. })
            if detail.contains("not by this cluster's authority")),
        "{stranger:?}"
    );
    // An operator asks what operators ask, and nothing that is between nodes.
    let operator = keys.operator("op");
    assert!(
        ask(&operator, control, ControlRequest::Status)
            .await
            .is_ok()
    );
    let fence = ControlRequest::Fence {
        volume: cluster.volume,
        epoch: Epoch(9),
    };
    let fenced = ask(&operator, control, fence).await;
    assert_eq!(kind(fenced), ProblemKind::Forbidden);
    // A node asks for no other node's lease.
    let other = Protection::load(Some(&keys.of_node("z"))).unwrap();
    let record = cluster.serving().await.record();
    let request = LeaseRequest {
        volume: cluster.volume,
        epoch: record.epoch,
        replica: record.primary.unwrap(),
        incarnation: Incarnation::random(),
    };
    let authority = cluster.keeper().authority_address().unwrap();
    for request in [
        ControlRequest::AuthorityRenew(request.clone()),
        ControlRequest::AuthorityEnd(request),
    ] {
        assert_eq!(
            kind(ask(&other, authority, request).await),
            ProblemKind::Forbidden
        );
    }
    assert!(cluster.serving().await.lease_remaining() > Duration::ZERO);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_without_keys_says_so_to_whoever_speaks_tls() {
    let mode = DurabilityMode::SyncAll;
    let cluster = Cluster::start(&["a", "b"], mode).await;
    cluster.until_in_sync(replica(&cluster).await).await;
    let before = session(&cluster);
    let keys = Keys::new();
    let protection = Protection::load(Some(&keys.of_node("z"))).unwrap();
    let node = cluster.node(replica(&cluster).await);
    for port in [node.data_address(), node.control_address()] {
        let refused = protection.connect(port, &Expected::AnyNode).await;
        let refused = refused.err().unwrap();
        assert!(matches!(refused, HandshakeError::PlainPeer), "{refused}");
    }
    assert_eq!(session(&cluster), before, "a session was disturbed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t13_a_cluster_with_keys_survives_the_loss_of_its_primary() {
    let keys = Keys::new();
    let (mut cluster, mut reference) = with_keys(&keys).await;
    let old = if replica(&cluster).await == "a" {
        "b"
    } else {
        "a"
    };
    cluster.crash(old).await;
    cluster.promote().await;
    let primary = cluster.serving().await;
    reference.write(&primary, 3, 4, 7).await;
    cluster.restart(old).await;
    cluster.all_copies_equal(&reference).await;
}
