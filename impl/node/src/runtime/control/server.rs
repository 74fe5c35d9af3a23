//! The HTTP API of a node: on its Unix socket for commands, on its control address for other nodes and
//! for commands elsewhere, on the address of the authority that it serves.
//!
//! Promises: connections, headers, bodies and the time that a request may take to arrive are bounded
//! (F45); what was begun is carried out whether or not its caller stays; what cannot be understood is
//! refused with a [`Problem`] and disturbs nobody else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use holdfast_types::ReplicaId;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::super::complaints::Complaints;
use super::super::node::NodeShared;
use super::order::Order;
use super::problem::{Problem, ProblemKind};
use super::request::{ControlReply, ControlRequest};
use super::route::{
    DeleteBody, EventsQuery, EvictBody, MadeStore, PromoteBody, Promoted, REQUEST_MAX, RecoverBody,
    ShutdownBody,
};
use crate::tls::{HandshakeError, Peer, Protection};

/// Connections served at once, of each listener.
const CONNECTIONS_MAX: usize = 256;

/// How long a connection may take to shake hands.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(5);

/// How long a connection may be silent, a head or a body take to arrive.
const IDLE: Duration = Duration::from_secs(30);

/// The most bytes of a request's head.
const HEAD_MAX: usize = 64 << 10;

type Node = State<Arc<NodeShared>>;

fn router(node: Arc<NodeShared>) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/events", get(events))
        .route("/v1/volumes", get(volumes).post(create_volume))
        .route("/v1/volumes/{volume}/set", post(set))
        .route("/v1/volumes/{volume}/evict", post(evict))
        .route("/v1/volumes/{volume}/orders/{order}", post(order))
        .route("/v1/volumes/{volume}/delete", post(delete))
        .route("/v1/volumes/{volume}/plan", get(plan))
        .route("/v1/volumes/{volume}/promote", post(promote))
        .route("/v1/volumes/{volume}/recover-authority", post(recover))
        .route("/v1/volumes/{volume}/replace-store", post(replace_store))
        .route("/v1/shutdown", post(shutdown))
        .route("/v1/node", post(between_nodes))
        .fallback(async || {
            refused(Problem::new(
                ProblemKind::NotFound,
                "there is no such route",
            ))
        })
        .method_not_allowed_fallback(async || {
            let what = "this route takes another method: GET looks, POST changes";
            (
                StatusCode::METHOD_NOT_ALLOWED,
                json(&Problem::invalid(what)),
            )
        })
        .with_state(node)
}

async fn status(State(node): Node) -> Response {
    carry_out(node, ControlRequest::Status).await
}

async fn events(State(node): Node, query: Result<Query<EventsQuery>, QueryRejection>) -> Response {
    match query {
        Ok(Query(EventsQuery { after })) => carry_out(node, ControlRequest::Events { after }).await,
        Err(error) => refused(Problem::invalid(error.body_text())),
    }
}

async fn volumes(State(node): Node) -> Response {
    carry_out(node, ControlRequest::ListVolumes).await
}

async fn create_volume(State(node): Node, body: Body) -> Response {
    with(node, body, ControlRequest::CreateVolume).await
}

async fn set(State(node): Node, Path(volume): Path<String>, body: Body) -> Response {
    let request = |change| ControlRequest::SetVolume { volume, change };
    with(node, body, request).await
}

async fn evict(State(node): Node, Path(volume): Path<String>, body: Body) -> Response {
    let request = |EvictBody { replica }| ControlRequest::EvictReplica { volume, replica };
    with(node, body, request).await
}

async fn delete(State(node): Node, Path(volume): Path<String>, body: Body) -> Response {
    let request = |DeleteBody { yes, force }| ControlRequest::DeleteVolume { volume, yes, force };
    with(node, body, request).await
}

async fn order(
    State(node): Node,
    Path((volume, name)): Path<(String, String)>,
    body: Body,
) -> Response {
    let order = match read(body).await {
        Ok(body) => Order::of(&name, body),
        Err(problem) => Err(problem),
    };
    match order {
        Ok(order) => carry_out(node, ControlRequest::Order { volume, order }).await,
        Err(problem) => refused(problem),
    }
}

async fn plan(State(node): Node, Path(volume): Path<String>) -> Response {
    carry_out(node, ControlRequest::Plan { volume }).await
}

async fn promote(State(node): Node, Path(volume): Path<String>, body: Body) -> Response {
    let request = |PromoteBody { replica, forced }| ControlRequest::Promote {
        volume,
        replica,
        forced,
    };
    with(node, body, request).await
}

async fn recover(State(node): Node, Path(volume): Path<String>, body: Body) -> Response {
    let request = |RecoverBody { keep, without }| ControlRequest::RecoverAuthority {
        volume,
        keep,
        without,
    };
    with(node, body, request).await
}

async fn replace_store(State(node): Node, Path(volume): Path<String>) -> Response {
    carry_out(node, ControlRequest::ReplaceStore { volume }).await
}

async fn shutdown(State(node): Node, body: Body) -> Response {
    let request = |ShutdownBody { hand_over }| ControlRequest::Shutdown { hand_over };
    with(node, body, request).await
}

/// What nodes ask of each other: the answer is tagged, refusals of the authority included.
async fn between_nodes(
    State(node): Node,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Response {
    let request = match read::<ControlRequest>(body).await {
        Ok(request) if request.has_own_route() => {
            let what = "this request has a route of its own";
            return refused(Problem::invalid(what));
        }
        Ok(request) => request,
        Err(problem) => return refused(problem),
    };
    if let Err(problem) = may_ask(&peer, &request) {
        return refused(problem);
    }
    match answer(node, request).await {
        ControlReply::Failed { problem } => refused(problem),
        reply @ (ControlReply::Done
        | ControlReply::Node(_)
        | ControlReply::Store { .. }
        | ControlReply::Fenced { .. }
        | ControlReply::Recorded { .. }
        | ControlReply::Records { .. }
        | ControlReply::Ordered(_)
        | ControlReply::Copy(_)
        | ControlReply::Plan(_)
        | ControlReply::Promoted { .. }
        | ControlReply::Status(_)
        | ControlReply::Events { .. }
        | ControlReply::Lease(_)
        | ControlReply::AuthorityError { .. }) => json(&reply),
    }
}

/// What nodes ask of each other is for nodes, and a lease is for the node that it names.
fn may_ask(peer: &Peer, request: &ControlRequest) -> Result<(), Problem> {
    let claimed = request.asks_as();
    let may = claimed.is_none_or(|node| peer.may_be(node));
    if may && peer.may_be_a_node() {
        return Ok(());
    }
    let claimed = claimed.map_or("a node", ReplicaId::as_str);
    let what = format!("this is for {claimed}, and the certificate is for {peer}");
    Err(Problem::new(ProblemKind::Forbidden, what))
}

async fn with<T: DeserializeOwned>(
    node: Arc<NodeShared>,
    body: Body,
    request: impl FnOnce(T) -> ControlRequest,
) -> Response {
    match read(body).await {
        Ok(asked) => carry_out(node, request(asked)).await,
        Err(problem) => refused(problem),
    }
}

/// Reads a body, within its bounds.
async fn read<T: DeserializeOwned>(body: Body) -> Result<T, Problem> {
    let invalid = |error: &dyn std::fmt::Display| Problem::invalid(format!("the body: {error}"));
    let bytes = match timeout(IDLE, to_bytes(body, REQUEST_MAX)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => {
            let source = std::error::Error::source(&error);
            if source.is_some_and(|source| source.is::<http_body_util::LengthLimitError>()) {
                let what = format!("a body has at most {REQUEST_MAX} bytes");
                return Err(Problem::new(ProblemKind::TooLarge, what));
            }
            return Err(invalid(&error));
        }
        Err(_) => return Err(Problem::invalid("the body did not arrive in time")),
    };
    serde_json::from_slice(&bytes).map_err(|error| invalid(&error))
}

/// Carries a request out, and puts the answer as its route has it.
async fn carry_out(node: Arc<NodeShared>, request: ControlRequest) -> Response {
    match answer(node, request).await {
        ControlReply::Status(status) => json(&status),
        ControlReply::Events { events } => json(&events),
        ControlReply::Records { records } => json(&records),
        ControlReply::Ordered(outcome) => json(&outcome),
        ControlReply::Plan(plan) => json(&plan),
        ControlReply::Recorded { recorded } => json(&recorded),
        ControlReply::Promoted { promotion, record } => json(&Promoted { promotion, record }),
        ControlReply::Store { store } => json(&MadeStore { store }),
        ControlReply::Failed { problem } => refused(problem),
        ControlReply::AuthorityError { error } => refused(error.into()),
        ControlReply::Done
        | ControlReply::Node(_)
        | ControlReply::Fenced { .. }
        | ControlReply::Copy(_)
        | ControlReply::Lease(_) => json(&serde_json::json!({})),
    }
}

/// Carries a request out to its end, whether or not the caller waits for it.
async fn answer(node: Arc<NodeShared>, request: ControlRequest) -> ControlReply {
    let task = tokio::spawn(async move {
        tokio::select! {
            reply = node.answer(request) => reply,
            () = node.crashed() => ControlReply::Failed {
                problem: Problem::new(ProblemKind::Unavailable, "this node has stopped"),
            },
        }
    });
    task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a request was not carried out to its end");
        let what = "the request was not carried out to its end; the node's log says why";
        ControlReply::Failed {
            problem: Problem::new(ProblemKind::Unavailable, what),
        }
    })
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn refused(problem: Problem) -> Response {
    let status = StatusCode::from_u16(problem.kind.status());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, json(&problem)).into_response()
}

/// Serves a TCP address until the node stops.
pub(crate) async fn serve_tcp(node: Arc<NodeShared>, listener: TcpListener) {
    let door = Door::new(node);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = door.node.stopping() => return,
        };
        match accepted {
            Ok((socket, address)) => door.let_in_from(socket, address),
            Err(error) => pause(&error).await,
        }
    }
}

/// Serves the Unix socket until the node stops.
pub(crate) async fn serve_unix(node: Arc<NodeShared>, listener: UnixListener) {
    let door = Door::new(node);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = door.node.stopping() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                door.let_in(async { Some((stream, Peer::Unproven)) });
            }
            Err(error) => pause(&error).await,
        }
    }
}

async fn pause(error: &std::io::Error) {
    tracing::warn!(%error, "cannot accept a connection of the API");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// What the connections of a listener share.
struct Door {
    node: Arc<NodeShared>,
    router: Router,
    slots: Arc<Semaphore>,
    complaints: Arc<Complaints>,
}

impl Door {
    fn new(node: Arc<NodeShared>) -> Self {
        Self {
            router: router(Arc::clone(&node)),
            slots: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            complaints: Arc::default(),
            node,
        }
    }

    /// Over TCP: under TLS, if this node has keys.
    fn let_in_from(&self, socket: TcpStream, address: SocketAddr) {
        let (node, complaints) = (Arc::clone(&self.node), Arc::clone(&self.complaints));
        self.let_in(async move {
            let deadline = Instant::now() + HANDSHAKE_WAIT;
            let protection = node.protection();
            let told = wrong_way(protection);
            match protection.accept(socket, deadline, &told).await {
                Ok(taken) => Some(taken),
                Err(HandshakeError::Io(error)) => {
                    tracing::debug!(%address, %error, "a connection was gone at once");
                    None
                }
                Err(error) => {
                    complaints.note(address.ip(), error.name(), &error);
                    None
                }
            }
        });
    }

    fn let_in<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        taken: impl Future<Output = Option<(S, Peer)>> + Send + 'static,
    ) {
        // Beyond the bound a connection is closed at once: its caller tries again.
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            return;
        };
        let (node, router) = (Arc::clone(&self.node), self.router.clone());
        tokio::spawn(async move {
            let _slot = slot;
            tokio::select! {
                () = serve(taken, router) => {}
                () = node.crashed() => {}
            }
        });
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    taken: impl Future<Output = Option<(S, Peer)>>,
    router: Router,
) {
    let Some((stream, peer)) = taken.await else {
        return;
    };
    let service = TowerToHyperService::new(router.layer(Extension(peer)));
    let ended = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection of the API ended");
    }
}

/// What is answered, in the clear, to whoever speaks the wrong way.
fn wrong_way(protection: &Protection) -> Vec<u8> {
    let what = match protection {
        Protection::None => HandshakeError::TlsPeer.to_string(),
        Protection::Mutual(_) => HandshakeError::PlainPeer.to_string(),
    };
    let problem = Problem::new(ProblemKind::Forbidden, what);
    let body = serde_json::to_string(&problem).unwrap_or_default();
    format!(
        "HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
