//! The byte streams that clients come in on.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// A connected socket whose two directions can be used at once without a lock between them.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {
    /// The receiving and the sending direction.
    fn halves(
        &mut self,
    ) -> (
        impl AsyncRead + Send + Unpin,
        impl AsyncWrite + Send + Unpin,
    );
}

impl Socket for TcpStream {
    fn halves(
        &mut self,
    ) -> (
        impl AsyncRead + Send + Unpin,
        impl AsyncWrite + Send + Unpin,
    ) {
        self.split()
    }
}

impl Socket for UnixStream {
    fn halves(
        &mut self,
    ) -> (
        impl AsyncRead + Send + Unpin,
        impl AsyncWrite + Send + Unpin,
    ) {
        self.split()
    }
}
