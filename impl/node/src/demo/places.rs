//! Loopback ports for processes that are killed and come back at the same addresses.
//!
//! Not from the range that the system takes local ports of outgoing connections from: a peer that
//! calls a dead node's port there may be connected to itself, and then holds the port that the node
//! comes back for.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use super::failure::Failure;
use super::image::SplitMix;

/// Below the range of local ports as Linux has it by default (32768 to 60999).
const FIRST_PORT: u16 = 10_240;
const PORTS: u16 = 22_000;

/// Where one node listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    /// Replication traffic.
    pub(crate) data: SocketAddr,
    /// Control traffic.
    pub(crate) control: SocketAddr,
    /// NBD clients.
    pub(crate) nbd: SocketAddr,
}

/// Places for `N` nodes, free at this moment. Different seeds look in different places first.
///
/// # Errors
/// [`Failure::Environment`] when there are not enough free ports.
pub(crate) fn free<const N: usize>(seed: u64) -> Result<[Places; N], Failure> {
    let mut random = SplitMix(seed);
    // Held until all are found, so that no two are the same.
    let mut held = Vec::new();
    for _ in 0..u32::from(PORTS) {
        if held.len() == 3 * N {
            break;
        }
        let port = FIRST_PORT + (random.next() % u64::from(PORTS)) as u16;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if let Ok(listener) = TcpListener::bind(address) {
            held.push((listener, address));
        }
    }
    if held.len() < 3 * N {
        return Err(Failure::Environment(
            "there are not enough free TCP ports on 127.0.0.1".into(),
        ));
    }
    Ok(std::array::from_fn(|node| Places {
        data: held[3 * node].1,
        control: held[3 * node + 1].1,
        nbd: held[3 * node + 2].1,
    }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::TcpListener;

    use super::free;

    #[test]
    fn places_are_distinct_and_can_be_listened_on() {
        let places = free::<3>(7).unwrap();
        let all: BTreeSet<_> = places
            .iter()
            .flat_map(|place| [place.data, place.control, place.nbd])
            .collect();
        assert_eq!(all.len(), 9);
        for address in all {
            TcpListener::bind(address).unwrap();
        }
    }
}
