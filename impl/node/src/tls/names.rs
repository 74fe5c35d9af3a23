//! What a certificate says about its holder.
//!
//! A node's certificate carries two names of the domain `holdfast.internal`, which no resolver knows:
//! one that is its own, by which it is dialled when it is known who it must be, and one that all
//! nodes have, by which it is dialled when it is to say who it is. An operator's carries neither, so
//! it can ask, and never pass for a node.

use std::fmt;

use holdfast_types::ReplicaId;
use rustls::pki_types::{CertificateDer, DnsName, ServerName};
use webpki::EndEntityCert;

/// The name of every node, and what stands behind a node's label in its own.
const NODES: &str = "node.holdfast.internal";

/// What stands behind an operator's label.
const OPERATORS: &str = "operator.holdfast.internal";

/// The name of a node.
pub(super) fn of_node(label: &str) -> String {
    format!("{label}.{NODES}")
}

/// The name that all nodes have.
pub(super) fn of_every_node() -> String {
    NODES.to_owned()
}

/// The name of an operator.
pub(super) fn of_operator(label: &str) -> String {
    format!("{label}.{OPERATORS}")
}

/// Who must be at the other end of a connection that is dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// This node.
    Node(ReplicaId),
    /// Any node of the cluster; who it is, it says.
    AnyNode,
}

impl Expected {
    /// The name that its certificate must carry; `None` for a label that no certificate can.
    pub(super) fn server_name(&self) -> Option<ServerName<'static>> {
        let name = match self {
            Self::Node(id) => of_node(id.as_str()),
            Self::AnyNode => of_every_node(),
        };
        DnsName::try_from(name).ok().map(ServerName::DnsName)
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(id) => write!(f, "node {id}"),
            Self::AnyNode => f.write_str("a node"),
        }
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Somebody on this host, or wherever an operator lets connections come from: nothing proves who.
    Unproven,
    /// The holder of a certificate of the cluster with these names.
    Certified {
        /// The names in it.
        names: Vec<String>,
    },
}

impl Peer {
    /// The holder of a certificate that was verified.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Self {
        let names = EndEntityCert::try_from(certificate).map_or_else(
            |_| Vec::new(),
            |certificate| certificate.valid_dns_names().map(str::to_owned).collect(),
        );
        Self::Certified { names }
    }

    /// Whether it may be this node, as far as is known.
    #[must_use]
    pub fn may_be(&self, node: &ReplicaId) -> bool {
        match self {
            Self::Unproven => true,
            Self::Certified { names } => names.contains(&of_node(node.as_str())),
        }
    }

    /// Whether it may be some node.
    #[must_use]
    pub fn may_be_a_node(&self) -> bool {
        match self {
            Self::Unproven => true,
            Self::Certified { names } => names.iter().any(|name| name == NODES),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unproven => f.write_str("nobody proven"),
            Self::Certified { names } if names.is_empty() => f.write_str("no name"),
            Self::Certified { names } => {
                let own = names.iter().filter(|name| *name != NODES);
                let short = own.map(|name| name.strip_suffix(NODES).unwrap_or(name));
                let short: Vec<&str> = short.map(|name| name.trim_end_matches('.')).collect();
                f.write_str(&short.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use holdfast_types::ReplicaId;

    use super::{Expected, Peer, of_every_node, of_node, of_operator};

    #[test]
    fn a_certificate_stands_for_the_node_that_it_names_and_for_no_other() {
        let node = |label: &str| ReplicaId::new(label).unwrap();
        let names = vec![of_node("r1"), of_every_node()];
        let peer = Peer::Certified { names };
        assert!(peer.may_be(&node("r1")) && peer.may_be_a_node());
        assert!(!peer.may_be(&node("r2")) && !peer.may_be(&node("r")));
        assert_eq!(peer.to_string(), "r1");
        let names = vec![of_operator("r1")];
        let operator = Peer::Certified { names };
        assert!(!operator.may_be(&node("r1")) && !operator.may_be_a_node());
        assert!(!Peer::Certified { names: Vec::new() }.may_be_a_node());
    }

    #[test]
    fn a_label_that_no_certificate_can_carry_names_no_server() {
        let longest = ReplicaId::new("x".repeat(64)).unwrap();
        assert_eq!(Expected::Node(longest).server_name(), None);
        let usual = ReplicaId::new("r-1").unwrap();
        assert!(Expected::Node(usual).server_name().is_some());
    }
}
