//! Every key there is: the one table behind the check for unknown keys, the environment's names
//! and the documentation.

use std::fmt::Write;

/// One key of the configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// The section it stands in.
    pub section: &'static str,
    /// Its name in that section.
    pub name: &'static str,
    /// What it means, in one or two lines.
    pub meaning: &'static str,
    /// An example in TOML: the default where that is a constant.
    pub example: &'static str,
    /// What holds when it is not set.
    pub unset: Unset,
}

/// What holds when a key is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unset {
    /// The example.
    Example,
    /// Something that depends on other values, in words.
    Derived(&'static str),
    /// Nothing: it must be set, at least under this condition.
    Required(&'static str),
}

impl Key {
    /// `section.name`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// `HOLDFAST_<SECTION>__<KEY>`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!(
            "HOLDFAST_{}__{}",
            self.section.to_ascii_uppercase(),
            self.name.to_ascii_uppercase()
        )
    }
}

macro_rules! keys {
    ($($const:ident = $section:literal . $name:literal, $example:literal, $unset:expr, $meaning:literal;)*) => {
        $(pub(super) const $const: &Key = &Key {
            section: $section, name: $name, meaning: $meaning, example: $example, unset: $unset,
        };)*
        /// Every key, section by section.
        pub(super) const KEYS: &[&Key] = &[$($const),*];
    };
}

keys! {
    NODE_ID = "node"."id", r#""r1""#, Unset::Required("always"),
        "The stable label of this node's copies: 1 to 64 characters of a-z, 0-9 and '-'.";
    NODE_DATA_DIR = "node"."data_dir", r#""/var/lib/holdfast""#, Unset::Example,
        "Directory of the stores, made when it is missing.";
    NODE_REPLICATION_LISTEN = "node"."replication_listen", r#""127.0.0.1:7411""#, Unset::Example,
        "Address for replication traffic. Port 0 takes a free one.";
    NODE_CONTROL_LISTEN = "node"."control_listen", r#""127.0.0.1:7412""#, Unset::Example,
        "Address for control traffic: assignments, fencing, status.";
    NODE_ADMIN_SOCKET = "node"."admin_socket", r#""/run/holdfast/admin.sock""#,
        Unset::Derived("admin.sock in data_dir"),
        "Unix socket of the commands that talk to this node.";
    NODE_ALLOW_UNPROTECTED = "node"."allow_unprotected", "false", Unset::Example,
        "Listen beyond loopback although nothing authenticates who connects: clients, or nodes without [tls].";
    NBD_LISTEN = "nbd"."listen", r#""127.0.0.1:10809""#, Unset::Example,
        "TCP address for NBD clients, or \"none\".";
    NBD_UNIX_SOCKET = "nbd"."unix_socket", r#""/run/holdfast/nbd.sock""#,
        Unset::Derived("nbd.sock in data_dir"),
        "Unix socket for NBD clients, or \"none\".";
    TLS_CA = "tls"."ca", r#""/etc/holdfast/ca.pem""#, Unset::Derived("no TLS"),
        "Certificate of the cluster's authority (`holdfast keys init`). With the other two: mutual TLS.";
    TLS_CERTIFICATE = "tls"."certificate", r#""/etc/holdfast/r1.pem""#, Unset::Derived("no TLS"),
        "This node's certificate (`holdfast keys issue`).";
    TLS_KEY = "tls"."key", r#""/etc/holdfast/r1.key""#, Unset::Derived("no TLS"),
        "Its key, which other users of the host must not be able to read.";
    AUTHORITY_KIND = "authority"."kind", r#""embedded""#, Unset::Example,
        "\"embedded\": this node serves the authority from a file. \"remote\": another node does.";
    AUTHORITY_LISTEN = "authority"."listen", r#""127.0.0.1:7413""#, Unset::Example,
        "Embedded only: address at which other nodes reach the authority.";
    AUTHORITY_FILE = "authority"."file", r#""/var/lib/holdfast/authority""#,
        Unset::Derived("authority in data_dir"),
        "Embedded only: the authority's durable file.";
    AUTHORITY_ADDRESS = "authority"."address", r#""192.0.2.1:7413""#,
        Unset::Required("with kind = \"remote\""),
        "Remote only: where the node that serves the authority listens.";
    AUTHORITY_NODE = "authority"."node", r#""r1""#,
        Unset::Required("with kind = \"remote\" and [tls]"),
        "Remote only: the label of the node that serves it, which its certificate must name.";
    LEASE_DURATION = "lease"."duration", r#""10s""#, Unset::Example,
        "How long a primary may serve without renewing its lease.";
    LEASE_MARGIN = "lease"."margin", r#""1s""#, Unset::Derived("a tenth of the duration"),
        "How much earlier the primary stops than the authority waits, for drifting clocks.";
    LIMITS_LOG_SIZE = "limits"."log_size", r#""1GiB""#,
        Unset::Derived("1 GiB or a quarter of the volume, whichever is less"),
        "Space for one volume's log, on each of its copies: of the volumes that this node creates.";
    LIMITS_RETENTION = "limits"."retention", r#""25%""#, Unset::Example,
        "Share of the log that is kept for replicas that lag behind.";
    LIMITS_WRITE_TIMEOUT = "limits"."write_timeout", r#""30s""#, Unset::Example,
        "How long a write waits for the copies that must acknowledge it, before it fails.";
    LIMITS_FLUSH_TIMEOUT = "limits"."flush_timeout", r#""30s""#, Unset::Example,
        "How long a flush waits for the copies that must acknowledge it, before it fails.";
    LIMITS_STALL_TIMEOUT = "limits"."stall_timeout", r#""5s""#, Unset::Example,
        "How long a replica may answer nothing before its session ends.";
    LIMITS_LEAVE_AFTER = "limits"."leave_after", r#""10s""#, Unset::Example,
        "How long a member may be without session before it leaves the in-sync set.";
    LIMITS_PROMOTION_WAIT = "limits"."promotion_wait", r#""5s""#, Unset::Example,
        "How long a promotion waits for members of the in-sync set that do not report.";
    LIMITS_SESSION_STALL = "limits"."session_stall", r#""1m""#, Unset::Example,
        "How long a recovery session may make no progress before a rebuild is needed.";
    LIMITS_CATCH_UP_TIME = "limits"."catch_up_time", r#""1h""#, Unset::Example,
        "How long a catch-up may take before a rebuild is needed.";
    LIMITS_REBUILD_TIME = "limits"."rebuild_time", r#""24h""#, Unset::Example,
        "How long one attempt at a rebuild may take.";
    LIMITS_CATCH_UP_ENTRIES = "limits"."catch_up_entries", "10000000", Unset::Example,
        "Log entries that a catch-up may replay; a copy that lacks more is rebuilt.";
    LIMITS_PINNED_LOG = "limits"."pinned_log", r#""512MiB""#, Unset::Example,
        "Log that one recovery session may hold back; never more than half of the volume's log.";
    LIMITS_NBD_CONNECTIONS = "limits"."nbd_connections", "256", Unset::Example,
        "NBD clients attached at once, all exports together.";
    LIMITS_NBD_REQUESTS_IN_FLIGHT = "limits"."nbd_requests_in_flight", "128", Unset::Example,
        "Unanswered requests of one NBD connection.";
    LIMITS_NBD_BYTES_IN_FLIGHT = "limits"."nbd_bytes_in_flight", r#""64MiB""#, Unset::Example,
        "Payload of the unanswered requests of one NBD connection; at least 32MiB.";
    LOG_LEVEL = "log"."level", r#""info""#, Unset::Example,
        "error, warn, info, debug or trace.";
    LOG_FORMAT = "log"."format", r#""text""#, Unset::Example,
        "\"text\" for people, \"json\" for programs (one object per line).";
    LOG_FILE = "log"."file", r#""/var/log/holdfast.log""#, Unset::Derived("standard error"),
        "File to append the log to.";
}

/// The key of that name, if there is one.
pub(super) fn find(section: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter()
        .copied()
        .find(|key| key.section == section && key.name == name)
}

/// The name that was probably meant.
pub(super) fn nearest<'a>(wrong: &str, names: &[&'a str]) -> Option<&'a str> {
    let close_enough = (wrong.chars().count() / 3).max(2);
    names
        .iter()
        .map(|name| (strsim::damerau_levenshtein(wrong, name), *name))
        .min()
        .filter(|(distance, _)| *distance <= close_enough)
        .map(|(_, name)| name)
}

/// A complete configuration file with every key at its default, explained.
#[must_use]
pub fn documented() -> String {
    let mut out = String::from(
        "# Holdfast node. Every key can also be set by the environment, as\n\
         # HOLDFAST_<SECTION>__<KEY>; the environment wins.\n",
    );
    let mut section = "";
    for key in KEYS {
        if key.section != section {
            section = key.section;
            let _ = write!(out, "\n[{section}]\n");
        }
        let (note, comment) = match key.unset {
            Unset::Example => (String::new(), ""),
            Unset::Derived(default) => (format!(" Default: {default}."), "# "),
            Unset::Required("always") => (" Must be set.".to_owned(), ""),
            Unset::Required(when) => (format!(" Must be set {when}."), "# "),
        };
        let _ = writeln!(out, "# {}{note}", key.meaning);
        let _ = writeln!(out, "{comment}{} = {}", key.name, key.example);
    }
    out
}
