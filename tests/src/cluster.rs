//! A cluster of real processes: nodes with copies, and the authority served by one more, so that any
//! of the others can be lost.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::command::{Outcome, holdfast};
use crate::network::Network;
use crate::node::{Authority, NodeSetup};
use crate::process::Process;
use crate::{ports, wait};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(40);

/// The node that serves the authority, and keeps no copies.
const KEEPER: &str = "keeper";

/// The ports of a node on a host of its own.
const REPLICATION_PORT: u16 = 7411;
const CONTROL_PORT: u16 = 7412;
const AUTHORITY_PORT: u16 = 7413;

/// A node on its host; clients reach it through its sockets alone.
fn on(network: &Network, mut setup: NodeSetup) -> NodeSetup {
    let host = setup.id.as_str().to_owned();
    setup.namespace = Some(network.namespace(&host));
    setup.replication = network.at(&host, REPLICATION_PORT);
    setup.control = network.at(&host, CONTROL_PORT);
    setup.with("nbd", "listen", "\"none\"")
}

/// Nodes as processes.
pub struct Cluster {
    keeper: NodeSetup,
    nodes: BTreeMap<String, NodeSetup>,
    running: BTreeMap<String, Process>,
    /// Directory of the keys, where there are any.
    keys: Option<PathBuf>,
    /// The network that they are on, where it is not the machine's own.
    network: Option<Network>,
}

impl Cluster {
    /// Starts a keeper and these nodes, without keys.
    ///
    /// # Panics
    /// When one does not start.
    #[must_use]
    pub fn start(parent: &Path, names: &[&str]) -> Self {
        Self::of(parent, names, None, None)
    }

    /// The same with keys, made by the commands that an operator uses.
    ///
    /// # Panics
    /// When one does not start, or a key cannot be made.
    #[must_use]
    pub fn start_with_keys(parent: &Path, names: &[&str]) -> Self {
        let keys = Self::make_keys(parent, names);
        Self::of(parent, names, Some(keys), None)
    }

    /// The same with a host of its own for each node, on a network whose cables can be pulled.
    ///
    /// # Panics
    /// As [`Cluster::start_with_keys`].
    #[must_use]
    pub fn start_on(network: Network, parent: &Path, names: &[&str]) -> Self {
        let keys = Self::make_keys(parent, names);
        Self::of(parent, names, Some(keys), Some(network))
    }

    /// The network.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn network(&self) -> &Network {
        self.network.as_ref().expect("it was started on one")
    }

    fn make_keys(parent: &Path, names: &[&str]) -> PathBuf {
        let keys = parent.join("keys");
        let dir = keys.to_str().expect("a path of this test");
        let made = holdfast(["keys", "init", "--dir", dir]);
        assert_eq!(made.code, Some(0), "{made:?}");
        for name in names.iter().chain(&[KEEPER]) {
            let made = holdfast(["keys", "issue", "--dir", dir, "--name", name]);
            assert_eq!(made.code, Some(0), "{made:?}");
        }
        let operator = ["keys", "issue", "--dir", dir, "--name", "op", "--operator"];
        assert_eq!(holdfast(operator).code, Some(0));
        keys
    }

    fn of(parent: &Path, names: &[&str], keys: Option<PathBuf>, network: Option<Network>) -> Self {
        let [free] = ports::free();
        let authority = network
            .as_ref()
            .map_or(free, |network| network.at(KEEPER, AUTHORITY_PORT));
        let set = |id: &str, authority| {
            let setup = NodeSetup::new(id, parent, authority)
                .with("lease", "duration", "\"1500ms\"")
                .with("lease", "margin", "\"200ms\"")
                .with("limits", "log_size", "\"4MiB\"")
                .with("limits", "stall_timeout", "\"2s\"")
                .with("limits", "leave_after", "\"2s\"")
                .with("limits", "promotion_wait", "\"2s\"")
                .with("limits", "write_timeout", "\"8s\"")
                .with("limits", "flush_timeout", "\"8s\"");
            let setup = match &network {
                None => setup,
                Some(network) => on(network, setup),
            };
            let Some(keys) = &keys else {
                return setup;
            };
            let file = |name: &str| format!("\"{}\"", keys.join(name).display());
            let setup = setup
                .with("tls", "ca", &file("ca.pem"))
                .with("tls", "certificate", &file(&format!("{id}.pem")))
                .with("tls", "key", &file(&format!("{id}.key")));
            match authority {
                Authority::Embedded(_) => setup,
                Authority::Remote(_) => setup.with("authority", "node", "\"keeper\""),
            }
        };
        let keeper = set(KEEPER, Authority::Embedded(authority));
        let nodes = names
            .iter()
            .map(|name| ((*name).to_owned(), set(name, Authority::Remote(authority))));
        let mut cluster = Self {
            keeper,
            nodes: nodes.collect(),
            running: BTreeMap::new(),
            keys,
            network,
        };
        let keeper = cluster.keeper.start();
        cluster.running.insert(KEEPER.into(), keeper);
        for name in names {
            cluster.start_node(name);
        }
        cluster
    }

    /// Starts a node, for the first time or again.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_node(&mut self, name: &str) {
        let process = self.nodes[name].start();
        self.running.insert(name.into(), process);
    }

    /// How a node is set up.
    #[must_use]
    pub fn node(&self, name: &str) -> &NodeSetup {
        &self.nodes[name]
    }

    /// The process of a node.
    ///
    /// # Panics
    /// When it was not started.
    pub fn process(&mut self, name: &str) -> &mut Process {
        self.running.get_mut(name).expect("it was started")
    }

    /// Kills a node (SIGKILL).
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self, name: &str) {
        self.running.remove(name).expect("it was started").kill();
    }

    /// Runs a command against the node at a control address, with an operator's keys where there are any.
    #[must_use]
    pub fn ask_at(&self, control: SocketAddr, arguments: &[&str]) -> Outcome {
        let mut all: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        all.extend(["--node".into(), control.to_string()]);
        if let Some(keys) = &self.keys {
            for (option, file) in [
                ("--ca", "ca.pem"),
                ("--certificate", "op.pem"),
                ("--key", "op.key"),
            ] {
                all.extend([option.into(), keys.join(file).display().to_string()]);
            }
        }
        holdfast(all)
    }

    /// Runs a command against a node.
    #[must_use]
    pub fn ask(&self, name: &str, arguments: &[&str]) -> Outcome {
        self.ask_node(&self.nodes[name], arguments)
    }

    /// On a network of its own a node is reached through its socket.
    fn ask_node(&self, node: &NodeSetup, arguments: &[&str]) -> Outcome {
        if self.network.is_none() {
            return self.ask_at(node.control, arguments);
        }
        let socket = node.admin_socket();
        let socket = socket.to_str().expect("a path of this test");
        holdfast([arguments, &["--socket", socket]].concat())
    }

    /// Runs a command against the keeper of the authority.
    #[must_use]
    pub fn ask_keeper(&self, arguments: &[&str]) -> Outcome {
        self.ask_node(&self.keeper, arguments)
    }

    /// Creates a volume with copies on these nodes; further arguments as they are.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn create(&self, volume: &str, on: &[&str], further: &[&str]) -> Value {
        self.create_of(volume, "8MiB", on, further)
    }

    /// The same of another size.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn create_of(&self, volume: &str, size: &str, on: &[&str], further: &[&str]) -> Value {
        let controls: Vec<String> = on
            .iter()
            .map(|name| self.nodes[*name].control.to_string())
            .collect();
        let mut arguments = vec!["volume", "create", volume, "--size", size, "--json"];
        for control in &controls {
            arguments.extend(["--copy", control]);
        }
        arguments.extend(further);
        self.ask_keeper(&arguments).json()
    }

    /// What a node says of a volume.
    ///
    /// # Errors
    /// When it has none, or does not answer.
    pub fn volume(&self, name: &str, volume: &str) -> Result<Value, String> {
        let told = self.ask(name, &["status", "--json"]);
        if told.code != Some(0) {
            return Err(format!("{told:?}"));
        }
        let told = told.json();
        let volumes = told["volumes"].as_array().ok_or("no volumes")?;
        let found = volumes.iter().find(|found| found["name"] == volume);
        found
            .cloned()
            .ok_or_else(|| format!("{name} has no {volume}: {told}"))
    }

    /// The record of a volume.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn record(&self, volume: &str) -> Value {
        self.ask_keeper(&["volume", "show", volume, "--json"])
            .json()
    }

    /// Waits until the node that the record names serves the volume, and names it.
    ///
    /// # Panics
    /// When none does.
    #[must_use]
    pub fn serving(&self, volume: &str) -> String {
        let mut serving = String::new();
        self.until(&format!("{volume} is served"), || {
            // One that has not heard yet that it is deposed calls itself the primary too.
            let record = self.record(volume);
            let named = record["primary"].as_str().ok_or("nobody is promoted")?;
            let told = self.volume(named, volume)?;
            let present = told["role"] == "primary" && told["promised"] == record["epoch"];
            if !present {
                return Err(told.to_string());
            }
            named.clone_into(&mut serving);
            Ok(())
        });
        serving
    }

    /// Waits until a copy is in sync and in the in-sync set.
    ///
    /// # Panics
    /// When it does not get there.
    pub fn until_in_sync(&self, volume: &str, replica: &str) {
        self.until(&format!("{replica} is in sync"), || {
            let primary = self.serving(volume);
            if primary == replica {
                return Ok(());
            }
            let told = self.volume(&primary, volume)?;
            let found = told["replicas"].as_array().and_then(|replicas| {
                replicas
                    .iter()
                    .find(|found| found["replica"] == replica)
                    .cloned()
            });
            match found {
                Some(found) if found["state"] == "in_sync" && found["member"] == true => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }

    /// Waits for a fact.
    ///
    /// # Panics
    /// When it does not come about; with the logs.
    pub fn until(&self, fact: &str, holds: impl FnMut() -> Result<(), String>) {
        if let Err(message) = wait::until(fact, PATIENCE, holds) {
            let logs: Vec<String> = self.running.values().map(Process::log_tail).collect();
            panic!("{message}\n{}", logs.join("\n"));
        }
    }
}
