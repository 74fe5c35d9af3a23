use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::client::{Client, ClientError};
use super::super::listener::{ListenError, Listener};
use super::super::testing::{Controls, MemoryDevice};
use super::{Limits, ServeError, Server};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

struct Rig {
    server: Server<MemoryDevice>,
    listener: Listener,
    controls: Arc<Controls>,
}

impl Rig {
    async fn new(limits: Limits) -> Self {
        let server = Server::new(limits);
        let (device, controls) = MemoryDevice::new(256);
        server.serve("vol", device).unwrap();
        let listener = server.listen_tcp(LOOPBACK).await.unwrap();
        Self {
            server,
            listener,
            controls,
        }
    }

    fn address(&self) -> SocketAddr {
        self.listener.tcp_address().unwrap()
    }

    async fn attach(&self) -> Client {
        Client::connect_tcp(self.address(), "vol").await.unwrap()
    }

    /// A raw connection after a handshake by `EXPORT_NAME`, so that tests can break the rules.
    async fn raw(&self) -> TcpStream {
        let mut socket = TcpStream::connect(self.address()).await.unwrap();
        let mut words = b"\x00\x00\x00\x03IHAVEOPT\x00\x00\x00\x01\x00\x00\x00\x03vol".to_vec();
        socket.write_all(&words).await.unwrap();
        words.resize(18 + 10, 0);
        socket.read_exact(&mut words).await.unwrap();
        socket
    }
}

fn request(command: u16, handle: u64, offset: u64, length: u32) -> Vec<u8> {
    let mut out = vec![0x25, 0x60, 0x95, 0x13, 0, 0];
    out.extend(command.to_be_bytes());
    out.extend(handle.to_be_bytes());
    out.extend(offset.to_be_bytes());
    out.extend(length.to_be_bytes());
    out
}

async fn simple_reply(socket: &mut TcpStream) -> (u32, u64) {
    let mut head = [0; 16];
    socket.read_exact(&mut head).await.unwrap();
    assert_eq!(head[..4], [0x67, 0x44, 0x66, 0x98]);
    (
        u32::from_be_bytes(head[4..8].try_into().unwrap()),
        u64::from_be_bytes(head[8..].try_into().unwrap()),
    )
}

/// Whether the server has closed the connection.
async fn is_closed(socket: &mut TcpStream) -> bool {
    let mut rest = [0; 64];
    loop {
        match socket.read(&mut rest).await {
            Ok(0) | Err(_) => return true,
            Ok(_) => {}
        }
    }
}

#[tokio::test]
async fn what_is_written_is_read_back_over_tcp_and_over_a_unix_socket() {
    let rig = Rig::new(Limits::default()).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nbd.sock");
    let unix = rig.server.listen_unix(&path).await.unwrap();
    let by_tcp = rig.attach().await;
    let by_unix = Client::connect_unix(&path, "").await.unwrap();
    assert_eq!(by_unix.info().size, 1 << 20);

    by_tcp.write(512, Bytes::from(vec![3; 1536])).await.unwrap();
    assert_eq!(by_unix.read(512, 1536).await.unwrap(), vec![3; 1536]);
    by_unix
        .write_fua(8192, Bytes::from(vec![4; 4096]))
        .await
        .unwrap();
    by_tcp.flush().await.unwrap();
    by_tcp.write_zeroes(512, 512).await.unwrap();
    by_tcp.trim(8192, 4096).await.unwrap();
    assert_eq!(by_unix.read(512, 512).await.unwrap(), vec![0; 512]);
    assert_eq!(by_unix.read(8192, 4096).await.unwrap(), vec![0; 4096]);
    let calls = rig.controls.calls();
    assert!(calls.contains(&"write-fua 8192+4096".to_owned()));
    assert!(calls.contains(&"flush".to_owned()));

    by_tcp.disconnect().await;
    by_unix.disconnect().await;
    drop(unix);
    assert!(!path.exists(), "a listener takes its socket along");
}

#[tokio::test]
async fn replies_come_in_the_order_of_completion() {
    let rig = Rig::new(Limits::default()).await;
    rig.controls.hold_writes.store(true, Ordering::SeqCst);
    let mut socket = rig.raw().await;
    let mut words = request(1, 1, 0, 4096);
    words.extend([5; 4096]);
    words.extend(request(3, 2, 0, 0));
    socket.write_all(&words).await.unwrap();
    assert_eq!(
        simple_reply(&mut socket).await,
        (0, 2),
        "the flush overtakes"
    );
    rig.controls.gate.add_permits(1);
    assert_eq!(simple_reply(&mut socket).await, (0, 1));
}

#[tokio::test]
async fn many_requests_are_in_flight_at_once_and_no_more_than_the_bound() {
    let limits = Limits {
        requests_in_flight: 16,
        ..Limits::default()
    };
    let rig = Rig::new(limits).await;
    rig.controls.hold_writes.store(true, Ordering::SeqCst);
    let client = Arc::new(rig.attach().await);
    let writers: Vec<_> = (0..40u64)
        .map(|block| {
            let client = client.clone();
            tokio::spawn(async move {
                client
                    .write(block * 4096, Bytes::from(vec![block as u8; 4096]))
                    .await
            })
        })
        .collect();
    rig.controls.until_waiting(16).await;
    // Another client is not held up by one that is at its bound.
    let other = rig.attach().await;
    other.flush().await.unwrap();
    assert_eq!(rig.controls.waiting.load(Ordering::SeqCst), 16);
    rig.controls.gate.add_permits(40);
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    let content = rig.controls.content.lock().unwrap();
    assert!((0..40).all(|block| content[block * 4096] == block as u8));
}

#[tokio::test]
async fn a_failed_request_gets_its_error_and_the_connection_goes_on() {
    let rig = Rig::new(Limits::default()).await;
    rig.controls.bad_blocks.lock().unwrap().insert(3);
    let client = rig.attach().await;
    let failed = client.read(3 * 4096, 4096).await;
    assert!(matches!(failed, Err(ClientError::Answered { errno: 5 })));
    let failed = client.write(3 * 4096, Bytes::from(vec![1; 4096])).await;
    assert!(matches!(failed, Err(ClientError::Answered { errno: 5 })));
    let failed = client.read(1 << 20, 4096).await;
    assert!(matches!(failed, Err(ClientError::Answered { errno: 22 })));
    let failed = client.write(1 << 20, Bytes::from(vec![1; 4096])).await;
    assert!(matches!(failed, Err(ClientError::Answered { errno: 28 })));
    assert_eq!(client.read(0, 512).await.unwrap(), vec![0; 512]);
}

#[tokio::test]
async fn a_read_only_export_refuses_writes() {
    let rig = Rig::new(Limits::default()).await;
    let (device, _) = MemoryDevice::read_only(4);
    rig.server.serve("old", device).unwrap();
    let client = Client::connect_tcp(rig.address(), "old").await.unwrap();
    assert!(client.info().read_only);
    let refused = client.write(0, Bytes::from(vec![1; 4096])).await;
    assert!(matches!(refused, Err(ClientError::Answered { errno: 1 })));
}

#[tokio::test]
async fn a_client_that_talks_nonsense_is_dropped_and_no_other() {
    let rig = Rig::new(Limits::default()).await;
    let good = rig.attach().await;
    let mut bad = rig.raw().await;
    let mut words = request(3, 7, 0, 0);
    words.extend([0xff; 40]);
    bad.write_all(&words).await.unwrap();
    assert_eq!(
        simple_reply(&mut bad).await,
        (0, 7),
        "what came before is answered"
    );
    assert!(is_closed(&mut bad).await);
    good.write(0, Bytes::from(vec![1; 512])).await.unwrap();
}

#[tokio::test]
async fn a_client_that_hangs_up_inside_a_write_leaves_nothing_behind() {
    let rig = Rig::new(Limits::default()).await;
    for cut in [0, 27, 28, 29, 28 + 4095] {
        let mut socket = rig.raw().await;
        let mut words = request(1, 1, 0, 4096);
        words.extend([9; 4096]);
        socket.write_all(&words[..cut]).await.unwrap();
    }
    // Announced as large as can be, and never sent.
    let mut socket = rig.raw().await;
    let words = request(1, 1, 0, 1 << 20);
    socket.write_all(&words).await.unwrap();
    drop(socket);
    while rig.server.attached("vol") > 0 {
        tokio::task::yield_now().await;
    }
    assert!(rig.controls.calls().is_empty());
}

#[tokio::test]
async fn a_device_that_panics_takes_one_connection_with_it() {
    let rig = Rig::new(Limits::default()).await;
    rig.controls.cursed_blocks.lock().unwrap().insert(5);
    let (good, unlucky) = (rig.attach().await, rig.attach().await);
    let lost = unlucky.read(5 * 4096, 4096).await;
    assert!(matches!(lost, Err(ClientError::Disconnected)));
    good.write(0, Bytes::from(vec![1; 4096])).await.unwrap();
    good.write(512, Bytes::from(vec![2; 512])).await.unwrap();
    assert!(rig.server.withdraw("vol").await, "nothing is held for ever");
}

#[tokio::test]
async fn goodbye_waits_for_what_is_in_flight() {
    let rig = Rig::new(Limits::default()).await;
    rig.controls.hold_writes.store(true, Ordering::SeqCst);
    let mut socket = rig.raw().await;
    let mut words = request(1, 1, 0, 4096);
    words.extend([5; 4096]);
    words.extend(request(2, 2, 0, 0));
    socket.write_all(&words).await.unwrap();
    rig.controls.until_waiting(1).await;
    rig.controls.gate.add_permits(1);
    assert_eq!(simple_reply(&mut socket).await, (0, 1));
    assert!(is_closed(&mut socket).await);
    assert_eq!(rig.controls.content.lock().unwrap()[0], 5);
}

#[tokio::test]
async fn withdrawing_drops_every_client_and_abandons_what_is_in_flight() {
    let rig = Rig::new(Limits::default()).await;
    rig.controls.hold_writes.store(true, Ordering::SeqCst);
    let (one, two) = (rig.attach().await, rig.attach().await);
    let mut raw = rig.raw().await;
    let waiting = {
        let one = Arc::new(one);
        tokio::spawn(async move { one.write(0, Bytes::from(vec![9; 4096])).await })
    };
    rig.controls.until_waiting(1).await;
    assert_eq!(rig.server.attached("vol"), 3);

    assert!(rig.server.withdraw("vol").await);
    assert!(
        rig.controls.dropped.load(Ordering::SeqCst),
        "the device is held by nobody when withdraw returns"
    );
    assert_eq!(rig.controls.content.lock().unwrap()[0], 0);
    assert!(matches!(
        waiting.await.unwrap(),
        Err(ClientError::Disconnected)
    ));
    assert!(matches!(two.flush().await, Err(ClientError::Disconnected)));
    assert!(is_closed(&mut raw).await);
    assert!(!rig.server.withdraw("vol").await);

    let refused = Client::connect_tcp(rig.address(), "vol").await;
    let Err(ClientError::Refused { reply, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(reply, 0x8000_0006);

    let (device, controls) = MemoryDevice::new(8);
    rig.server.serve("vol", device).unwrap();
    let client = rig.attach().await;
    assert_eq!(client.info().size, 8 * 4096);
    client.write(0, Bytes::from(vec![1; 4096])).await.unwrap();
    assert_eq!(controls.content.lock().unwrap()[0], 1);
}

#[tokio::test]
async fn a_slow_reader_holds_up_nobody_but_itself() {
    let rig = Rig::new(Limits::default()).await;
    let mut greedy = rig.raw().await;
    let mut words = Vec::new();
    (0..4000).for_each(|handle| words.extend(request(0, handle, 0, 1 << 20)));
    // 4 GiB of answers that it never takes: the server stops reading its requests.
    let (mut greedy_reads, mut greedy_writes) = greedy.split();
    let asking = tokio::time::timeout(Duration::from_millis(300), greedy_writes.write_all(&words));
    let polite = async {
        let client = rig.attach().await;
        for _ in 0..50 {
            client.read(0, 4096).await.unwrap();
        }
    };
    let _ = tokio::join!(asking, polite);
    let served = rig.controls.calls().len();
    assert!(
        served < 400,
        "{served} calls for a client that reads nothing"
    );
    // And it is served on when it does read.
    let mut first = vec![0; (1 << 20) + 16];
    greedy_reads.read_exact(&mut first).await.unwrap();
}

#[tokio::test]
async fn clients_beyond_the_bound_are_turned_away_and_the_place_is_free_again() {
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let rig = Rig::new(limits).await;
    let first = rig.attach().await;
    assert!(Client::connect_tcp(rig.address(), "vol").await.is_err());
    first.disconnect().await;
    loop {
        // The server frees the place a moment after it closes the socket.
        if Client::connect_tcp(rig.address(), "vol").await.is_ok() {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_client_that_never_chooses_is_dropped_in_time() {
    let limits = Limits {
        negotiation_time_max: Duration::from_millis(20),
        ..Limits::default()
    };
    let rig = Rig::new(limits).await;
    let mut idle = TcpStream::connect(rig.address()).await.unwrap();
    assert!(is_closed(&mut idle).await);
    // A client that has chosen may be idle for as long as it likes.
    let client = rig.attach().await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    client.flush().await.unwrap();
}

#[tokio::test]
async fn shutting_down_leaves_no_connection() {
    let rig = Rig::new(Limits::default()).await;
    let client = rig.attach().await;
    let mut undecided = TcpStream::connect(rig.address()).await.unwrap();
    let mut greeting = [0; 18];
    undecided.read_exact(&mut greeting).await.unwrap();
    rig.server.shut_down().await;
    assert!(matches!(
        client.flush().await,
        Err(ClientError::Disconnected)
    ));
    assert!(is_closed(&mut undecided).await);
    assert!(rig.controls.dropped.load(Ordering::SeqCst));
    assert!(Client::connect_tcp(rig.address(), "vol").await.is_err());
}

#[tokio::test]
async fn an_export_has_one_incarnation_at_a_time_and_a_name_and_size_that_clients_can_use() {
    let rig = Rig::new(Limits::default()).await;
    let serve = |name: &str, blocks| rig.server.serve(name, MemoryDevice::new(blocks).0);
    assert!(matches!(
        serve("vol", 1),
        Err(ServeError::AlreadyServed { .. })
    ));
    assert_eq!(serve("", 1), Err(ServeError::InvalidName));
    assert_eq!(serve("a\0b", 1), Err(ServeError::InvalidName));
    assert_eq!(serve(&"a".repeat(4097), 1), Err(ServeError::InvalidName));
    serve("second", 1).unwrap();
    // With two exports there is no default.
    let refused = Client::connect_tcp(rig.address(), "").await;
    assert!(matches!(refused, Err(ClientError::Refused { .. })));
}

#[tokio::test]
async fn an_abandoned_unix_socket_is_replaced_and_nothing_else_is() {
    let rig = Rig::new(Limits::default()).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nbd.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "what a killed process leaves");
    let held = rig.server.listen_unix(&path).await.unwrap();
    let taken = rig.server.listen_unix(&path).await;
    assert!(matches!(taken, Err(ListenError::Occupied { .. })));
    drop(held);
    std::fs::write(&path, "somebody's notes").unwrap();
    let taken = rig.server.listen_unix(&path).await;
    assert!(matches!(taken, Err(ListenError::Occupied { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), b"somebody's notes");
}
