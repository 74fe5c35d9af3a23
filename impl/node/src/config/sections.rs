//! The configuration as the rest of the node sees it, its defaults and ranges, and what must hold
//! between its values.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_types::ReplicaId;

use super::keys::{self, Key};
use super::reader::{Reader, parse_address};
use crate::nbd;

/// A node's whole configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Who the node is and where it listens.
    pub node: NodeConfig,
    /// The front end for block clients.
    pub nbd: NbdConfig,
    /// Who keeps the volumes' records.
    pub authority: AuthorityConfig,
    /// Keys for mutual TLS with other nodes; without them there is none.
    pub tls: Option<TlsConfig>,
    /// The primary's lease.
    pub lease: LeaseConfig,
    /// Bounds and time-outs.
    pub limits: LimitsConfig,
    /// The log.
    pub log: LogConfig,
}

/// `[node]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// The label of this node's copies.
    pub id: ReplicaId,
    /// Directory of the stores.
    pub data_dir: PathBuf,
    /// Where replication traffic comes in. Port 0 takes a free one.
    pub replication_listen: SocketAddr,
    /// Where control traffic comes in. Port 0 takes a free one.
    pub control_listen: SocketAddr,
    /// Unix socket of the commands.
    pub admin_socket: PathBuf,
    /// Whether the node may listen beyond loopback although nothing authenticates its peers.
    pub allow_unprotected: bool,
}

/// `[nbd]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NbdConfig {
    /// TCP address for clients, if any.
    pub listen: Option<SocketAddr>,
    /// Unix socket for clients, if any.
    pub unix_socket: Option<PathBuf>,
}

/// `[authority]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthorityConfig {
    /// This node serves it.
    Embedded {
        /// Where other nodes reach it. Port 0 takes a free one.
        listen: SocketAddr,
        /// Its durable file.
        file: PathBuf,
    },
    /// Another node serves it.
    Remote {
        /// Where that node listens.
        address: SocketAddr,
        /// Who it is. Known where there is TLS.
        node: Option<ReplicaId>,
    },
}

/// `[tls]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// Certificate of the cluster's authority.
    pub ca: PathBuf,
    /// The own certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// `[lease]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseConfig {
    /// How long the authority waits before it mints the next epoch.
    pub duration: Duration,
    /// How much earlier the primary stops; below half of the duration.
    pub margin: Duration,
}

/// `[limits]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Bytes of one volume's log, if set. See [`LimitsConfig::log_bytes`].
    pub log_size: Option<u64>,
    /// Percent of the log kept for laggards.
    pub retention_percent: u8,
    /// A write that is not acknowledged by then fails.
    pub write_timeout: Duration,
    /// A flush that is not acknowledged by then fails.
    pub flush_timeout: Duration,
    /// A replica that answers nothing for so long loses its session.
    pub stall_timeout: Duration,
    /// A member without session for so long leaves the in-sync set.
    pub leave_after: Duration,
    /// How long a promotion waits for silent members.
    pub promotion_wait: Duration,
    /// What one recovery session may cost.
    pub sessions: SessionLimits,
    /// Bounds of the NBD front end.
    pub nbd: nbd::Limits,
}

/// What one recovery session may cost: beyond it, it counts as not converging (A5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// Without progress for so long.
    pub stall: Duration,
    /// A catch-up may take so long.
    pub catch_up_time: Duration,
    /// A rebuild may take so long.
    pub rebuild_time: Duration,
    /// A catch-up may replay so many entries.
    pub catch_up_entries: u64,
    /// Bytes of log that a session may hold back; half of the log at most in any case.
    pub pinned_bytes: u64,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            stall: 60 * SECOND,
            catch_up_time: HOUR,
            rebuild_time: 24 * HOUR,
            catch_up_entries: 10_000_000,
            pinned_bytes: GIB / 2,
        }
    }
}

impl LimitsConfig {
    /// Bytes of the log of a volume of `volume_bytes`: what is set, else 1 GiB or a quarter of the
    /// volume, whichever is less. The log's own format rounds it and has a least size.
    #[must_use]
    pub fn log_bytes(&self, volume_bytes: u64) -> u64 {
        self.log_size.unwrap_or((volume_bytes / 4).min(GIB))
    }
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Failures.
    Error,
    /// And what an operator should look at.
    Warn,
    /// And what happens.
    Info,
    /// And why.
    Debug,
    /// And every step.
    Trace,
}

impl From<LogLevel> for tracing::Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// What a line of the log looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// How much.
    pub level: LogLevel,
    /// In what form.
    pub format: LogFormat,
    /// Where to; standard error when `None`.
    pub file: Option<PathBuf>,
}

const GIB: u64 = 1 << 30;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const SHORTEST: Duration = Duration::from_millis(10);
/// The longest path that a Unix socket address holds, in bytes.
const SOCKET_PATH_MAX: usize = 107;

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Reads every section. `None` only when a value without default is missing; the reader knows.
pub(super) fn read(reader: &mut Reader) -> Option<Config> {
    let node = read_node(reader);
    let data_dir = node
        .as_ref()
        .map_or_else(default_data_dir, |node| node.data_dir.clone());
    let nbd = read_nbd(reader, &data_dir);
    let tls = read_tls(reader);
    let authority = read_authority(reader, &data_dir, tls.is_some());
    let lease = read_lease(reader);
    let limits = read_limits(reader);
    let log = read_log(reader);
    let config = Config {
        node: node?,
        nbd,
        authority: authority?,
        tls,
        lease,
        limits,
        log,
    };
    check_listeners(reader, &config);
    check_socket_paths(reader, &config);
    Some(config)
}

fn default_data_dir() -> PathBuf {
    PathBuf::from("/var/lib/holdfast")
}

fn read_node(reader: &mut Reader) -> Option<NodeConfig> {
    let id = reader.required(keys::NODE_ID, "a label", |text| {
        ReplicaId::new(text).map_err(|error| error.to_string())
    });
    let data_dir = reader.path(keys::NODE_DATA_DIR, default_data_dir());
    let replication_listen = reader.address(keys::NODE_REPLICATION_LISTEN, loopback(7411));
    let control_listen = reader.address(keys::NODE_CONTROL_LISTEN, loopback(7412));
    let admin_socket = reader.path(keys::NODE_ADMIN_SOCKET, data_dir.join("admin.sock"));
    let allow_unprotected = reader.boolean(keys::NODE_ALLOW_UNPROTECTED, false);
    Some(NodeConfig {
        id: id?,
        data_dir,
        replication_listen,
        control_listen,
        admin_socket,
        allow_unprotected,
    })
}

fn read_nbd(reader: &mut Reader, data_dir: &Path) -> NbdConfig {
    NbdConfig {
        listen: reader.address_or_none(keys::NBD_LISTEN, loopback(10809)),
        unix_socket: reader.path_or_none(keys::NBD_UNIX_SOCKET, Some(data_dir.join("nbd.sock"))),
    }
}

/// All three keys or none.
fn read_tls(reader: &mut Reader) -> Option<TlsConfig> {
    let [ca, certificate, key] = [keys::TLS_CA, keys::TLS_CERTIFICATE, keys::TLS_KEY]
        .map(|key| (key, reader.path_or_none(key, None)));
    let paths = (ca.1, certificate.1, key.1);
    if let (Some(ca), Some(certificate), Some(key)) = paths {
        return Some(TlsConfig {
            ca,
            certificate,
            key,
        });
    }
    let each = [(ca.0, paths.0), (certificate.0, paths.1), (key.0, paths.2)];
    if each.iter().any(|(_, path)| path.is_some()) {
        for (key, _) in each.iter().filter(|(_, path)| path.is_none()) {
            reader.object(
                key,
                "is not set, and TLS needs it",
                "set ca, certificate and key under [tls], or none of them",
            );
        }
    }
    None
}

fn read_authority(reader: &mut Reader, data_dir: &Path, with_tls: bool) -> Option<AuthorityConfig> {
    let kinds = [("embedded", true), ("remote", false)];
    if reader.choice(keys::AUTHORITY_KIND, &kinds, true) {
        refuse_for_kind(reader, keys::AUTHORITY_ADDRESS, "remote", "embedded");
        refuse_for_kind(reader, keys::AUTHORITY_NODE, "remote", "embedded");
        return Some(AuthorityConfig::Embedded {
            listen: reader.address(keys::AUTHORITY_LISTEN, loopback(7413)),
            file: reader.path(keys::AUTHORITY_FILE, data_dir.join("authority")),
        });
    }
    refuse_for_kind(reader, keys::AUTHORITY_LISTEN, "embedded", "remote");
    refuse_for_kind(reader, keys::AUTHORITY_FILE, "embedded", "remote");
    let wanted = "an address and port";
    let address = reader.required(keys::AUTHORITY_ADDRESS, wanted, parse_address);
    let label = |text: &str| ReplicaId::new(text).map_err(|error| error.to_string());
    let named = reader.skip(keys::AUTHORITY_NODE) || with_tls;
    let node = named.then(|| reader.required(keys::AUTHORITY_NODE, "a label", label));
    Some(AuthorityConfig::Remote {
        address: address?,
        node: match node {
            Some(node) => Some(node?),
            None => None,
        },
    })
}

/// Notes a problem when a key is set that means nothing here.
fn refuse_for_kind(reader: &mut Reader, key: &'static Key, of: &str, is: &str) {
    if reader.skip(key) {
        reader.object(
            key,
            format!("belongs to kind = \"{of}\", this authority is \"{is}\""),
            "remove it, or change authority.kind",
        );
    }
}

fn read_lease(reader: &mut Reader) -> LeaseConfig {
    let least = Duration::from_millis(100);
    let duration = reader.duration(keys::LEASE_DURATION, 10 * SECOND, least..=HOUR);
    let margin = reader.duration(keys::LEASE_MARGIN, duration / 10, SHORTEST..=HOUR);
    if margin >= duration / 2 {
        reader.object(
            keys::LEASE_MARGIN,
            format!("{margin:?} is half of the lease ({duration:?}) or more"),
            "make it smaller than half of lease.duration",
        );
    }
    LeaseConfig { duration, margin }
}

fn read_limits(reader: &mut Reader) -> LimitsConfig {
    let defaults = nbd::Limits::default();
    let sessions = SessionLimits::default();
    let waits = SHORTEST..=24 * HOUR;
    let days = SECOND..=24 * 30 * HOUR;
    LimitsConfig {
        log_size: reader.size_if_set(keys::LIMITS_LOG_SIZE, 1 << 20..=64 << 40),
        retention_percent: reader.percent(keys::LIMITS_RETENTION, 25, 1..=90),
        write_timeout: reader.duration(keys::LIMITS_WRITE_TIMEOUT, 30 * SECOND, waits.clone()),
        flush_timeout: reader.duration(keys::LIMITS_FLUSH_TIMEOUT, 30 * SECOND, waits.clone()),
        stall_timeout: reader.duration(keys::LIMITS_STALL_TIMEOUT, 5 * SECOND, waits.clone()),
        leave_after: reader.duration(keys::LIMITS_LEAVE_AFTER, 10 * SECOND, waits.clone()),
        promotion_wait: reader.duration(keys::LIMITS_PROMOTION_WAIT, 5 * SECOND, waits.clone()),
        sessions: SessionLimits {
            stall: reader.duration(keys::LIMITS_SESSION_STALL, sessions.stall, waits),
            catch_up_time: reader.duration(
                keys::LIMITS_CATCH_UP_TIME,
                sessions.catch_up_time,
                days.clone(),
            ),
            rebuild_time: reader.duration(keys::LIMITS_REBUILD_TIME, sessions.rebuild_time, days),
            catch_up_entries: reader.count(
                keys::LIMITS_CATCH_UP_ENTRIES,
                sessions.catch_up_entries as usize,
                1..=1 << 40,
            ) as u64,
            pinned_bytes: reader.size(
                keys::LIMITS_PINNED_LOG,
                sessions.pinned_bytes,
                1 << 20..=64 << 40,
            ),
        },
        nbd: nbd::Limits {
            connections: reader.count(
                keys::LIMITS_NBD_CONNECTIONS,
                defaults.connections,
                1..=65_536,
            ),
            requests_in_flight: reader.count(
                keys::LIMITS_NBD_REQUESTS_IN_FLIGHT,
                defaults.requests_in_flight,
                1..=4096,
            ),
            bytes_in_flight: reader.size(
                keys::LIMITS_NBD_BYTES_IN_FLIGHT,
                defaults.bytes_in_flight as u64,
                u64::from(nbd::MAX_PAYLOAD)..=GIB,
            ) as usize,
            negotiation_time_max: defaults.negotiation_time_max,
        },
    }
}

fn read_log(reader: &mut Reader) -> LogConfig {
    let levels = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    LogConfig {
        level: reader.choice(keys::LOG_LEVEL, &levels, LogLevel::Info),
        format: reader.choice(keys::LOG_FORMAT, &formats, LogFormat::Text),
        file: reader.path_or_none(keys::LOG_FILE, None),
    }
}

/// No two listeners share an address, and none is open to the network unasked: those for other nodes
/// without TLS, that for NBD clients in any case.
fn check_listeners(reader: &mut Reader, config: &Config) {
    let protected = config.tls.is_some();
    let mut listeners = vec![
        (
            keys::NODE_REPLICATION_LISTEN,
            config.node.replication_listen,
            protected,
        ),
        (
            keys::NODE_CONTROL_LISTEN,
            config.node.control_listen,
            protected,
        ),
    ];
    let nbd = config.nbd.listen;
    listeners.extend(nbd.map(|address| (keys::NBD_LISTEN, address, false)));
    match &config.authority {
        AuthorityConfig::Embedded { listen, .. } => {
            listeners.push((keys::AUTHORITY_LISTEN, *listen, protected));
        }
        AuthorityConfig::Remote { .. } => {}
    }
    let mut taken = BTreeMap::new();
    for (key, address, protected) in listeners {
        if !address.ip().is_loopback() && !protected && !config.node.allow_unprotected {
            let remedy = if key == keys::NBD_LISTEN {
                "use a loopback address, or set node.allow_unprotected = true"
            } else {
                "set the keys of [tls], use a loopback address, or set node.allow_unprotected = true"
            };
            reader.object(
                key,
                format!("{address} is open to the network, and nothing authenticates who connects"),
                remedy,
            );
        }
        if address.port() == 0 {
            continue;
        }
        if let Some(other) = taken.insert(address, key) {
            reader.object(
                key,
                format!("{address} is the address of {} too", other.path()),
                "give each listener its own port",
            );
        }
    }
}

/// A path that the system would cut or refuse is found here, not when the node is half up.
fn check_socket_paths(reader: &mut Reader, config: &Config) {
    let mut sockets = vec![(keys::NODE_ADMIN_SOCKET, &config.node.admin_socket)];
    if let Some(path) = &config.nbd.unix_socket {
        sockets.push((keys::NBD_UNIX_SOCKET, path));
        if *path == config.node.admin_socket {
            reader.object(
                keys::NBD_UNIX_SOCKET,
                "is the socket of node.admin_socket too",
                "give each its own path",
            );
        }
    }
    for (key, path) in sockets {
        let length = path.as_os_str().len();
        if length > SOCKET_PATH_MAX {
            reader.object(
                key,
                format!(
                    "{} has {length} bytes, a socket's path has at most {SOCKET_PATH_MAX}",
                    path.display()
                ),
                "choose a shorter path",
            );
        }
    }
}
