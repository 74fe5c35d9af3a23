//! Configurations of nodes under test: any free port of loopback, short waits, and keys on demand.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_node::config::{
    AuthorityConfig, Config, LeaseConfig, LimitsConfig, LogConfig, LogFormat, LogLevel, NbdConfig,
    NodeConfig, SessionLimits, TlsConfig,
};
use holdfast_node::nbd;
use holdfast_node::tls::{Holder, Protection, Validity, init, issue};
use holdfast_types::ReplicaId;

/// Any port of loopback.
pub(crate) fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A node's.
pub(crate) fn of(id: &str, directory: PathBuf, authority: AuthorityConfig) -> Config {
    Config {
        node: NodeConfig {
            id: ReplicaId::new(id).unwrap(),
            admin_socket: directory.join("admin.sock"),
            data_dir: directory.clone(),
            replication_listen: any(),
            control_listen: any(),
            allow_unprotected: false,
        },
        nbd: NbdConfig {
            listen: None,
            unix_socket: Some(directory.join("nbd.sock")),
        },
        authority,
        tls: None,
        lease: LeaseConfig {
            duration: Duration::from_millis(1500),
            margin: Duration::from_millis(200),
        },
        limits: LimitsConfig {
            log_size: Some(4 << 20),
            retention_percent: 25,
            write_timeout: Duration::from_secs(20),
            flush_timeout: Duration::from_secs(20),
            stall_timeout: Duration::from_secs(5),
            leave_after: Duration::from_secs(2),
            promotion_wait: Duration::from_secs(1),
            sessions: SessionLimits::default(),
            nbd: nbd::Limits::default(),
        },
        log: LogConfig {
            level: LogLevel::Info,
            format: LogFormat::Text,
            file: None,
        },
    }
}

/// The keys of a cluster.
pub(crate) struct Keys {
    directory: tempfile::TempDir,
}

impl Keys {
    /// A new authority.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        init(directory.path(), Validity::days(1)).unwrap();
        Self { directory }
    }

    /// Where they are.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Files for a holder.
    pub(crate) fn issue(&self, holder: &Holder, validity: Validity) -> TlsConfig {
        let made = issue(self.path(), holder, &[], validity).unwrap();
        TlsConfig {
            ca: self.path().join("ca.pem"),
            certificate: made.certificate,
            key: made.key,
        }
    }

    /// Files for a node.
    pub(crate) fn of_node(&self, label: &str) -> TlsConfig {
        let holder = Holder::Node(ReplicaId::new(label).unwrap());
        self.issue(&holder, Validity::days(1))
    }

    /// An operator's.
    pub(crate) fn operator(&self, label: &str) -> Protection {
        let holder = Holder::Operator(ReplicaId::new(label).unwrap());
        Protection::load(Some(&self.issue(&holder, Validity::days(1)))).unwrap()
    }
}
