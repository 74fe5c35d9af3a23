//! A network cable that can be cut: a TCP relay on loopback.
//!
//! The demo runs without privileges, so it cannot drop packets. Instead every replica is reached
//! through such a relay, and a *cut* relay behaves as a severed network does: connections stay
//! open and nothing moves on them any more; new ones are taken and lead nowhere. When the cable is
//! *mended*, what hung on it is closed (as a peer's keepalive would have done meanwhile) and new
//! connections pass.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Bytes that one direction of one connection holds at most.
const RELAY_BUFFER_BYTES: usize = 256 * 1024;

/// How long to wait when a connection cannot be taken (no descriptors left, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cable {
    Whole,
    Cut,
}

/// One relay; dropping it closes everything that passes through it.
#[derive(Debug)]
pub(crate) struct Link {
    address: SocketAddr,
    cable: watch::Sender<Cable>,
    /// Connections on which bytes may move.
    moving: watch::Sender<usize>,
    accept: JoinHandle<()>,
}

impl Link {
    /// Relays from a free loopback port to `target`.
    ///
    /// # Errors
    /// When no loopback port can be bound.
    pub(crate) async fn to(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let cable = watch::Sender::new(Cable::Whole);
        let moving = watch::Sender::new(0);
        let accept = accept_all(listener, target, cable.subscribe(), moving.clone());
        Ok(Self {
            address,
            cable,
            moving,
            accept: tokio::spawn(accept),
        })
    }

    /// Where peers connect.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts the cable. When this returns nothing passes any more.
    pub(crate) async fn cut(&self) {
        self.cable.send_replace(Cable::Cut);
        // The sender lives as long as `self`.
        let _ = self.moving.subscribe().wait_for(|count| *count == 0).await;
    }

    /// New connections pass again; those that hung on the cut cable are closed.
    pub(crate) fn mend(&self) {
        self.cable.send_replace(Cable::Whole);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

async fn accept_all(
    listener: TcpListener,
    target: SocketAddr,
    cable: watch::Receiver<Cable>,
    moving: watch::Sender<usize>,
) {
    loop {
        match listener.accept().await {
            Ok((near, _)) => {
                tokio::spawn(relay(near, target, cable.clone(), moving.clone()));
            }
            Err(error) => {
                tracing::debug!(%error, "relay could not accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn relay(
    mut near: TcpStream,
    target: SocketAddr,
    mut cable: watch::Receiver<Cable>,
    moving: watch::Sender<usize>,
) {
    // Counted before the cable is looked at: whoever cuts it after that waits for this connection.
    let counted = Counted::new(&moving);
    if *cable.borrow_and_update() == Cable::Whole {
        let Ok(mut far) = TcpStream::connect(target).await else {
            return;
        };
        if near.set_nodelay(true).is_err() || far.set_nodelay(true).is_err() {
            return;
        }
        let bytes = RELAY_BUFFER_BYTES;
        tokio::select! {
            biased;
            cut = cable.wait_for(|cable| *cable == Cable::Cut) => {
                if cut.is_err() {
                    return; // the relay is gone
                }
            }
            _ = copy_bidirectional_with_sizes(&mut near, &mut far, bytes, bytes) => return,
        }
        drop(counted);
        // Both sockets stay open and silent; what the relay had buffered is lost with the cable.
        let _ = cable.wait_for(|cable| *cable == Cable::Whole).await;
    } else {
        drop(counted);
        let _ = cable.wait_for(|cable| *cable == Cable::Whole).await;
    }
}

/// One connection among those on which bytes may move.
struct Counted<'a>(&'a watch::Sender<usize>);

impl<'a> Counted<'a> {
    fn new(moving: &'a watch::Sender<usize>) -> Self {
        moving.send_modify(|count| *count += 1);
        Self(moving)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::Link;

    /// An echo server; ends with the test's runtime.
    async fn echo() -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut peer, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = peer.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        address
    }

    async fn answers(stream: &mut TcpStream, patience: Duration) -> bool {
        let mut byte = [0; 1];
        stream.write_all(b"x").await.is_ok()
            && matches!(
                timeout(patience, stream.read_exact(&mut byte)).await,
                Ok(Ok(_))
            )
    }

    const SOON: Duration = Duration::from_secs(20);
    const A_WHILE: Duration = Duration::from_millis(200);

    #[tokio::test]
    async fn a_cut_link_moves_nothing_and_a_mended_one_takes_new_connections() {
        let link = Link::to(echo().await).await.unwrap();
        let mut before = TcpStream::connect(link.address()).await.unwrap();
        assert!(answers(&mut before, SOON).await);

        link.cut().await;
        let moved = answers(&mut before, A_WHILE).await;
        assert!(!moved, "an open connection moved bytes over a cut link");
        let mut during = TcpStream::connect(link.address()).await.unwrap();
        let moved = answers(&mut during, A_WHILE).await;
        assert!(!moved, "a new connection moved bytes over a cut link");

        link.mend();
        let mut byte = [0; 1];
        let closed = timeout(SOON, before.read(&mut byte)).await.unwrap();
        assert!(
            matches!(closed, Ok(0) | Err(_)),
            "the hung connection was not closed"
        );
        let mut after = TcpStream::connect(link.address()).await.unwrap();
        assert!(answers(&mut after, SOON).await);
    }
}
