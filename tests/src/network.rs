//! A network of its own for a test: one namespace for each host, and one with a switch between them,
//! whose cables can be pulled. Nothing of the machine's own network is touched.
//!
//! Making one needs the right to make namespaces (root); without it there is none, and the reason.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

/// Hosts on one switch.
#[derive(Debug)]
pub struct Network {
    /// What the names of its namespaces begin with: unique on this machine.
    prefix: String,
    hosts: Vec<String>,
}

/// The switch's namespace.
const SWITCH: &str = "switch";

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output();
    let output = output.map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("ip {}: {}", arguments.join(" "), said.trim()))
}

impl Network {
    /// A switch, and a cable to each host.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn new(hosts: &[&str]) -> Result<Self, String> {
        let network = Self {
            prefix: format!("holdfast-{}", std::process::id()),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        };
        let switch = network.namespace(SWITCH);
        ip(&["netns", "add", &switch])?;
        ip(&["-n", &switch, "link", "add", "switch", "type", "bridge"])?;
        ip(&["-n", &switch, "link", "set", "switch", "up"])?;
        for (number, host) in hosts.iter().enumerate() {
            network.plug_in(number, host)?;
        }
        Ok(network)
    }

    fn plug_in(&self, number: usize, host: &str) -> Result<(), String> {
        let (own, switch) = (self.namespace(host), self.namespace(SWITCH));
        let port = port(number);
        ip(&["netns", "add", &own])?;
        ip(&["-n", &own, "link", "set", "lo", "up"])?;
        let cable = [
            "link", "add", "cable", "netns", &own, "type", "veth", "peer", "name", &port,
        ];
        ip(&[&cable[..], &["netns", &switch]].concat())?;
        let address = format!("{}/24", address(number));
        ip(&["-n", &own, "address", "add", &address, "dev", "cable"])?;
        ip(&["-n", &own, "link", "set", "cable", "up"])?;
        ip(&["-n", &switch, "link", "set", &port, "master", "switch"])?;
        ip(&["-n", &switch, "link", "set", &port, "up"])
    }

    /// The namespace of a host.
    #[must_use]
    pub fn namespace(&self, host: &str) -> String {
        format!("{}-{host}", self.prefix)
    }

    fn number(&self, host: &str) -> usize {
        let found = self.hosts.iter().position(|name| name == host);
        found.expect("a host of this network")
    }

    /// Where a host listens on a port.
    ///
    /// # Panics
    /// When there is no such host.
    #[must_use]
    pub fn at(&self, host: &str, port: u16) -> SocketAddr {
        SocketAddr::from((address(self.number(host)), port))
    }

    /// Pulls a host's cable.
    ///
    /// # Panics
    /// When that fails.
    pub fn unplug(&self, host: &str) {
        self.set_port(host, "down");
    }

    /// Puts it back.
    ///
    /// # Panics
    /// When that fails.
    pub fn plug(&self, host: &str) {
        self.set_port(host, "up");
    }

    fn set_port(&self, host: &str, state: &str) {
        let (switch, port) = (self.namespace(SWITCH), port(self.number(host)));
        let set = ip(&["-n", &switch, "link", "set", &port, state]);
        set.unwrap_or_else(|error| panic!("{error}"));
    }
}

fn port(number: usize) -> String {
    format!("port{number}")
}

fn address(number: usize) -> Ipv4Addr {
    let host = u8::try_from(number + 1).expect("few hosts");
    Ipv4Addr::new(10, 211, 55, host)
}

impl Drop for Network {
    fn drop(&mut self) {
        for host in self.hosts.iter().map(String::as_str).chain([SWITCH]) {
            // One that was never made is not there to be removed.
            let _ = ip(&["netns", "delete", &self.namespace(host)]);
        }
    }
}
