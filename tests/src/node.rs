//! One node of a cluster under test: its directory, its addresses, its life.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use holdfast_types::ReplicaId;

use crate::{binary, ports, process::Process};

/// Where a node finds the authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// It serves the authority itself, at this address.
    Embedded(SocketAddr),
    /// Another node does, at this address.
    Remote(SocketAddr),
}

/// A node that can be started, any number of times, over the same directory and addresses.
#[derive(Clone, Debug)]
pub struct NodeSetup {
    /// The label of its copies.
    pub id: ReplicaId,
    /// Its own directory: configuration, stores, sockets, log.
    pub directory: PathBuf,
    /// Replication traffic.
    pub replication: SocketAddr,
    /// Control traffic.
    pub control: SocketAddr,
    /// NBD clients.
    pub nbd: SocketAddr,
    /// The authority.
    pub authority: Authority,
    /// The network namespace that it runs in, where it is not the machine's own.
    pub namespace: Option<String>,
    /// Further keys, as `section -> key -> TOML value`; they go into the configuration as they are.
    pub extra: BTreeMap<&'static str, BTreeMap<&'static str, String>>,
}

impl NodeSetup {
    /// A node with free ports and a directory of its own under `parent`.
    ///
    /// # Panics
    /// When the label is none, or the directory cannot be made.
    #[must_use]
    pub fn new(id: &str, parent: &Path, authority: Authority) -> Self {
        let id = ReplicaId::new(id).expect("tests use good labels");
        let directory = parent.join(id.as_str());
        std::fs::create_dir_all(&directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let [replication, control, nbd] = ports::free();
        Self {
            id,
            directory,
            replication,
            control,
            nbd,
            authority,
            namespace: None,
            extra: BTreeMap::new(),
        }
    }

    /// Adds a key, with its value as TOML.
    #[must_use]
    pub fn with(mut self, section: &'static str, key: &'static str, value: &str) -> Self {
        let keys = self.extra.entry(section).or_default();
        keys.insert(key, value.to_owned());
        self
    }

    /// The Unix socket of its NBD server.
    #[must_use]
    pub fn nbd_socket(&self) -> PathBuf {
        self.directory.join("nbd.sock")
    }

    /// The Unix socket of its commands.
    #[must_use]
    pub fn admin_socket(&self) -> PathBuf {
        self.directory.join("admin.sock")
    }

    /// URI of an export for NBD clients, over TCP.
    #[must_use]
    pub fn uri(&self, export: &str) -> String {
        format!("nbd://{}/{export}", self.nbd)
    }

    /// Its configuration file's content.
    #[must_use]
    pub fn configuration(&self) -> String {
        let quoted = |text: &dyn std::fmt::Display| format!("\"{text}\"");
        let mut sections = self.extra.clone();
        let mut set = |section, key, value| {
            let keys: &mut BTreeMap<_, _> = sections.entry(section).or_default();
            keys.entry(key).or_insert(value);
        };
        set("node", "id", quoted(&self.id));
        set("node", "data_dir", quoted(&self.directory.display()));
        set("node", "replication_listen", quoted(&self.replication));
        set("node", "control_listen", quoted(&self.control));
        set("nbd", "listen", quoted(&self.nbd));
        match self.authority {
            Authority::Embedded(address) => set("authority", "listen", quoted(&address)),
            Authority::Remote(address) => {
                set("authority", "kind", quoted(&"remote"));
                set("authority", "address", quoted(&address));
            }
        }
        let mut out = String::new();
        for (section, keys) in sections {
            let _ = writeln!(out, "[{section}]");
            for (key, value) in keys {
                let _ = writeln!(out, "{key} = {value}");
            }
        }
        out
    }

    /// Starts it and waits until it takes commands.
    ///
    /// # Panics
    /// When there is no binary, or it does not get ready; with the end of its log.
    #[must_use]
    pub fn start(&self) -> Process {
        let file = self.directory.join("node.toml");
        std::fs::write(&file, self.configuration())
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut command = match &self.namespace {
            None => Command::new(binary::holdfast()),
            Some(namespace) => {
                // It becomes the node, under the same process id.
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]);
                command.arg(binary::holdfast());
                command
            }
        };
        command.arg("node").arg("--config").arg(&file);
        let mut process = Process::start(self.id.as_str(), &mut command, &self.directory);
        let socket = self.admin_socket();
        process.until("takes commands", || {
            UnixStream::connect(&socket)
                .map(drop)
                .map_err(|error| format!("{}: {error}", socket.display()))
        });
        process
    }
}

#[cfg(test)]
mod tests {
    use super::{Authority, NodeSetup};

    #[test]
    fn the_configuration_names_the_nodes_own_places_and_what_was_added() {
        let parent = tempfile::tempdir().unwrap();
        let at = "127.0.0.1:9".parse().unwrap();
        let setup = NodeSetup::new("r1", parent.path(), Authority::Remote(at))
            .with("lease", "duration", "\"1s\"")
            .with("nbd", "unix_socket", "\"none\"");
        let expected = format!(
            "[authority]\naddress = \"127.0.0.1:9\"\nkind = \"remote\"\n\
             [lease]\nduration = \"1s\"\n\
             [nbd]\nlisten = \"{}\"\nunix_socket = \"none\"\n\
             [node]\ncontrol_listen = \"{}\"\ndata_dir = \"{}/r1\"\nid = \"r1\"\n\
             replication_listen = \"{}\"\n",
            setup.nbd,
            setup.control,
            parent.path().display(),
            setup.replication
        );
        assert_eq!(setup.configuration(), expected);
        assert!(setup.directory.is_dir());
    }
}
