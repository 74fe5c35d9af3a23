//! What a node shows and accepts on its connections with others.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use holdfast_types::ReplicaId;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::error::{HandshakeError, LoadError};
use super::names::{Expected, Peer};
use super::stream::Stream;
use crate::config::TlsConfig;

/// The longest file of certificates or keys, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The first byte of every TLS handshake, which begins no frame and no HTTP request.
const TLS_HANDSHAKE: u8 = 0x16;

/// How long, and for how many bytes, a peer that was refused is listened to, so that it hears why
/// before its connection is reset.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 64 << 10;

/// What a node shows and accepts.
#[derive(Clone, Debug, Default)]
pub enum Protection {
    /// Nothing: whoever can connect is let in.
    #[default]
    None,
    /// Mutual TLS under the cluster's authority.
    Mutual(Arc<Credentials>),
}

/// A certificate, its key, and the authority that both sides trust.
#[derive(Debug)]
pub struct Credentials {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    own: Peer,
}

impl Protection {
    /// Reads keys, if there are any to be read.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load(config: Option<&TlsConfig>) -> Result<Self, LoadError> {
        config.map_or(Ok(Self::None), |config| {
            Ok(Self::Mutual(Arc::new(Credentials::load(config)?)))
        })
    }

    /// The same for a node, which its certificate must name.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn of_node(config: Option<&TlsConfig>, node: &ReplicaId) -> Result<Self, LoadError> {
        let protection = Self::load(config)?;
        match (&protection, config) {
            (Self::Mutual(credentials), Some(config)) if !credentials.own.may_be(node) => {
                Err(LoadError::OtherNode {
                    path: config.certificate.clone(),
                    certified: credentials.own.clone(),
                    node: node.clone(),
                })
            }
            _ => Ok(protection),
        }
    }

    /// Connects to a node.
    ///
    /// # Errors
    /// [`HandshakeError`].
    pub async fn connect(
        &self,
        address: SocketAddr,
        expected: &Expected,
    ) -> Result<Stream, HandshakeError> {
        let socket = TcpStream::connect(address)
            .await
            .map_err(HandshakeError::Io)?;
        socket.set_nodelay(true).map_err(HandshakeError::Io)?;
        let credentials = match self {
            Self::None => return Ok(Stream::Plain(socket)),
            Self::Mutual(credentials) => credentials,
        };
        let name = expected
            .server_name()
            .ok_or_else(|| HandshakeError::OtherName {
                expected: expected.clone(),
            })?;
        let connector = TlsConnector::from(Arc::clone(&credentials.client));
        let stream = connector.connect(name, socket).await;
        let stream = stream.map_err(|error| HandshakeError::of(error, Some(expected)))?;
        Ok(Stream::Tls(Box::new(TlsStream::Client(stream))))
    }

    /// Takes a connection and learns who is at its other end. Whoever speaks the wrong way hears
    /// `told`, in the clear.
    ///
    /// # Errors
    /// [`HandshakeError`]; the connection is closed then.
    pub async fn accept(
        &self,
        mut socket: TcpStream,
        deadline: Instant,
        told: &[u8],
    ) -> Result<(Stream, Peer), HandshakeError> {
        let mut first = [0];
        let peeked = timeout_at(deadline, socket.peek(&mut first)).await;
        let peeked = peeked.map_err(|_| HandshakeError::TimedOut)?;
        let speaks_tls = match peeked.map_err(HandshakeError::Io)? {
            0 => return Err(HandshakeError::Io(io::ErrorKind::UnexpectedEof.into())),
            _ => first[0] == TLS_HANDSHAKE,
        };
        match (self, speaks_tls) {
            (Self::None, false) => Ok((Stream::Plain(socket), Peer::Unproven)),
            (Self::Mutual(credentials), true) => credentials.accept(socket, deadline).await,
            (Self::None, true) => {
                tell(&mut socket, told).await;
                Err(HandshakeError::TlsPeer)
            }
            (Self::Mutual(_), false) => {
                tell(&mut socket, told).await;
                Err(HandshakeError::PlainPeer)
            }
        }
    }
}

impl Credentials {
    fn load(config: &TlsConfig) -> Result<Self, LoadError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        for authority in certificates(&config.ca)? {
            roots
                .add(authority)
                .map_err(|error| unusable(&config.ca, error))?;
        }
        let chain = certificates(&config.certificate)?;
        let key = key(&config.key)?;
        let roots = Arc::new(roots);
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
        let verifier = verifier
            .build()
            .map_err(|error| unusable(&config.ca, error))?;
        let own = certified(&config.certificate, &chain, &verifier)?;
        Ok(Self {
            server: server(&provider, verifier, chain.clone(), key.clone_key())
                .map_err(|error| unusable(&config.key, error))?,
            client: client(&provider, roots, chain, key)
                .map_err(|error| unusable(&config.key, error))?,
            own,
        })
    }

    async fn accept(
        &self,
        socket: TcpStream,
        deadline: Instant,
    ) -> Result<(Stream, Peer), HandshakeError> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.server));
        let handshake = acceptor.accept(socket).into_fallible();
        let Ok(ended) = timeout_at(deadline, handshake).await else {
            return Err(HandshakeError::TimedOut);
        };
        match ended {
            Ok(stream) => {
                let shown = stream.get_ref().1.peer_certificates();
                let peer = shown.and_then(<[_]>::first).map(Peer::of);
                let peer = peer.ok_or(HandshakeError::NoCertificate)?;
                Ok((Stream::Tls(Box::new(TlsStream::Server(stream))), peer))
            }
            Err((error, mut socket)) => {
                linger(&mut socket).await;
                Err(HandshakeError::of(error, None))
            }
        }
    }
}

/// Both sides speak TLS 1.3, show a certificate, and no session is resumed: every connection is
/// authenticated anew.
fn server(
    provider: &Arc<CryptoProvider>,
    verifier: Arc<dyn ClientCertVerifier>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut server = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    server.send_tls13_tickets = 0;
    Ok(Arc::new(server))
}

fn client(
    provider: &Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut client = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    client.resumption = Resumption::disabled();
    Ok(Arc::new(client))
}

/// Whom the own certificate names: by the authority that this node itself trusts, and at this time.
fn certified(
    path: &Path,
    chain: &[CertificateDer<'static>],
    verifier: &Arc<dyn ClientCertVerifier>,
) -> Result<Peer, LoadError> {
    let Some((own, others)) = chain.split_first() else {
        return Err(unusable(path, "there is no certificate in it"));
    };
    let verified = verifier.verify_client_cert(own, others, UnixTime::now());
    verified.map_err(|error| unusable(path, error))?;
    Ok(Peer::of(own))
}

fn unusable(path: &Path, what: impl std::fmt::Display) -> LoadError {
    LoadError::Unusable {
        path: path.to_owned(),
        what: what.to_string(),
    }
}

/// A file's content, within its bound.
fn read(
    path: &Path,
    allowed: impl FnOnce(&File) -> io::Result<bool>,
) -> Result<Vec<u8>, LoadError> {
    let unreadable = |source| LoadError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    if !allowed(&file).map_err(unreadable)? {
        return Err(LoadError::KeyIsOpen {
            path: path.to_owned(),
        });
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(unusable(path, "it is too long for certificates or keys"));
    }
    Ok(bytes)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    let bytes = read(path, |_| Ok(true))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| unusable(path, error))?;
    if found.is_empty() {
        return Err(unusable(path, "there is no certificate in it"));
    }
    Ok(found)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, LoadError> {
    const BY_OTHERS: u32 = 0o007;
    let bytes = read(path, |file| Ok(file.metadata()?.mode() & BY_OTHERS == 0))?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| unusable(path, error))
}

/// Tells a peer that speaks the wrong way, as far as it listens.
async fn tell(socket: &mut TcpStream, told: &[u8]) {
    let told = async { socket.write_all(told).await.is_ok() && socket.flush().await.is_ok() };
    if timeout(LINGER, told).await == Ok(true) {
        linger(socket).await;
    }
}

/// Ends this side, and listens for a moment: a connection that is closed with unread bytes is reset,
/// and its peer may never read what it was told.
async fn linger(socket: &mut TcpStream) {
    let end = async {
        socket.shutdown().await?;
        let mut rest = socket.take(LINGER_BYTES);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // Whatever comes of it, the connection is given up.
    let _ = timeout(LINGER, end).await;
}
