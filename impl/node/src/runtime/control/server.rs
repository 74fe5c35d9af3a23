//! Answering requests: connections of other nodes and of commands.

use std::sync::Arc;
use std::time::Duration;

use holdfast_wire::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::super::framed::{FrameReader, FrameWriter, StreamError};
use super::super::node::NodeShared;
use super::client::control_frame;
use super::request::{ControlReply, ControlRequest};

/// Connections served at once.
const CONNECTIONS_MAX: usize = 256;

/// How long a connection may be silent.
const IDLE: Duration = Duration::from_secs(30);

/// Serves a TCP address until the node stops.
pub(crate) async fn serve_tcp(node: Arc<NodeShared>, listener: TcpListener) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = node.stopping() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let (reader, writer) = stream.into_split();
                spawn(&node, &slots, reader, writer);
            }
            Err(error) => pause(&error).await,
        }
    }
}

/// Serves a Unix socket until the node stops.
pub(crate) async fn serve_unix(node: Arc<NodeShared>, listener: UnixListener) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = node.stopping() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let (reader, writer) = stream.into_split();
                spawn(&node, &slots, reader, writer);
            }
            Err(error) => pause(&error).await,
        }
    }
}

async fn pause(error: &std::io::Error) {
    tracing::warn!(%error, "cannot accept a control connection");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

fn spawn(
    node: &Arc<NodeShared>,
    slots: &Arc<Semaphore>,
    reader: impl AsyncRead + Unpin + Send + 'static,
    writer: impl AsyncWrite + Unpin + Send + 'static,
) {
    // Beyond the bound a connection is closed at once: its caller tries again.
    let Ok(slot) = Arc::clone(slots).try_acquire_owned() else {
        return;
    };
    let node = Arc::clone(node);
    tokio::spawn(async move {
        let _slot = slot;
        tokio::select! {
            _ = answer_all(&node, FrameReader::new(reader), FrameWriter::new(writer)) => {}
            () = node.crashed() => {}
        }
    });
}

async fn answer_all<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    node: &Arc<NodeShared>,
    mut reader: FrameReader<R>,
    mut writer: FrameWriter<W>,
) -> Result<(), StreamError> {
    loop {
        let doing = "waiting for a request";
        let frame = timeout(IDLE, reader.next())
            .await
            .map_err(|_| StreamError::TimedOut { doing })??;
        let Message::ControlRequest(json) = frame.message else {
            return Ok(());
        };
        let reply = match serde_json::from_slice::<ControlRequest>(&json) {
            Ok(request) => node.answer(request).await,
            Err(error) => ControlReply::Failed {
                reason: format!("not a request: {error}"),
            },
        };
        let json = serde_json::to_vec(&reply).unwrap_or_default();
        let frame = control_frame(Message::ControlReply(json.into()));
        if writer.send(&frame).await.is_err() {
            let reply = ControlReply::Failed {
                reason: "the answer is larger than a control frame".into(),
            };
            let json = serde_json::to_vec(&reply).unwrap_or_default();
            writer
                .send(&control_frame(Message::ControlReply(json.into())))
                .await?;
        }
        writer.flush().await?;
    }
}
