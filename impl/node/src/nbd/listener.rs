//! Where clients come in: TCP and Unix sockets.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tracing::warn;

use super::export::Export;
use super::server::Server;

/// How long to let go of the processor when accepting fails, for instance for want of file
/// descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A client whose host has vanished is noticed after so long without a sign of life, and three
/// more unanswered questions.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_QUESTIONS: u32 = 3;

/// Why clients cannot come in.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The TCP address cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Tcp {
        /// The address asked for.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The Unix socket cannot be made.
    #[error("cannot listen on {}: {source}", path.display())]
    Unix {
        /// The path asked for.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Something is at the path that is not ours to remove.
    #[error("{} exists and is no abandoned socket: remove it or choose another path", path.display())]
    Occupied {
        /// The path asked for.
        path: PathBuf,
    },
}

/// Accepts clients until it is dropped; those that came in stay.
#[derive(Debug)]
pub struct Listener {
    task: JoinHandle<()>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Listener {
    /// The TCP address, with the port that was really taken.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match &self.place {
            Place::Tcp(address) => Some(*address),
            Place::Unix(_) => None,
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Tcp(address) => write!(f, "nbd://{address}"),
            Place::Unix(path) => write!(f, "nbd+unix:///?socket={}", path.display()),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
        match &self.place {
            Place::Tcp(_) => {}
            Place::Unix(path) => {
                // Ours by construction; if it is gone already, so much the better.
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

impl<E: Export> Server<E> {
    /// Accepts clients on a TCP address; port 0 takes a free one.
    ///
    /// # Errors
    /// [`ListenError::Tcp`].
    pub async fn listen_tcp(&self, address: SocketAddr) -> Result<Listener, ListenError> {
        let refused = |source| ListenError::Tcp { address, source };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let place = Place::Tcp(listener.local_addr().map_err(refused)?);
        let server = self.clone();
        let task = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((socket, peer)) => {
                        if let Err(error) = tune(&socket) {
                            warn!(%peer, %error, "socket options refused");
                        }
                        let server = server.clone();
                        tokio::spawn(async move {
                            server.handle(socket, &peer.to_string()).await;
                        });
                    }
                    Err(error) => accept_failed(&error).await,
                }
            }
        });
        Ok(Listener { task, place })
    }

    /// Accepts clients on a Unix socket. A socket that nobody listens on any more is replaced;
    /// anything else at that path is left alone.
    ///
    /// # Errors
    /// [`ListenError::Occupied`], [`ListenError::Unix`].
    pub async fn listen_unix(&self, path: &Path) -> Result<Listener, ListenError> {
        let refused = |source| ListenError::Unix {
            path: path.to_owned(),
            source,
        };
        remove_abandoned_socket(path).await?;
        let listener = UnixListener::bind(path).map_err(refused)?;
        let server = self.clone();
        let task = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((socket, _)) => {
                        let server = server.clone();
                        tokio::spawn(async move { server.handle(socket, "unix").await });
                    }
                    Err(error) => accept_failed(&error).await,
                }
            }
        });
        Ok(Listener {
            task,
            place: Place::Unix(path.to_owned()),
        })
    }
}

/// Replies leave at once, and a client that is gone for good does not stay attached for ever.
fn tune(socket: &TcpStream) -> io::Result<()> {
    // Without it a reply can wait 40 ms for the client's next request.
    socket.set_nodelay(true)?;
    sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(socket, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(socket, KEEPALIVE_QUESTIONS)?;
    sockopt::set_socket_keepalive(socket, true)?;
    Ok(())
}

async fn accept_failed(error: &io::Error) {
    warn!(%error, "cannot accept a client");
    tokio::time::sleep(ACCEPT_RETRY).await;
}

/// Removes what a killed process left behind: a socket that refuses connections.
async fn remove_abandoned_socket(path: &Path) -> Result<(), ListenError> {
    let refused = |source| ListenError::Unix {
        path: path.to_owned(),
        source,
    };
    let occupied = || ListenError::Occupied {
        path: path.to_owned(),
    };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(occupied()),
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(refused)
        }
        Err(error) => Err(refused(error)),
        Ok(_) => Err(occupied()),
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::sockopt;
    use tokio::net::{TcpListener, TcpStream};

    use super::{KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_QUESTIONS, tune};

    #[tokio::test]
    async fn a_vanished_client_is_noticed_within_two_minutes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let socket = TcpStream::connect(address).await.unwrap();
        tune(&socket).unwrap();
        assert!(socket.nodelay().unwrap());
        assert!(sockopt::socket_keepalive(&socket).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&socket).unwrap(), KEEPALIVE_IDLE);
        let noticed = KEEPALIVE_IDLE + KEEPALIVE_INTERVAL * KEEPALIVE_QUESTIONS;
        assert!(noticed.as_secs() <= 120);
    }
}
