//! Free TCP ports on loopback.
//!
//! Not from the range that the system takes local ports of outgoing connections from: a test that
//! kills a process and starts it again wants the same port back, and a client that calls it
//! meanwhile may otherwise be given that very port, and be connected to itself.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};

/// Below the range of local ports as Linux has it by default (32768 to 60999).
const FIRST_PORT: u16 = 10_240;
const PORTS: u16 = 22_000;

/// Ports given out by this process, so that two tests of one binary never get the same.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// `N` loopback addresses whose ports nobody listens on at this moment.
///
/// Another process of the machine can still take one before the test does: a test that can bind
/// to port 0 itself and ask what it got should do that.
///
/// # Panics
/// When the system has no free port.
#[must_use]
pub fn free<const N: usize>() -> [SocketAddr; N] {
    let mut given = GIVEN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    // Every process looks in another place first.
    let begin = RandomState::new().hash_one(std::process::id()) % u64::from(PORTS);
    let mut candidates =
        (0..u64::from(PORTS)).map(|step| FIRST_PORT + ((begin + step) % u64::from(PORTS)) as u16);
    std::array::from_fn(|_| {
        candidates
            .by_ref()
            .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
            .find(|address| {
                !given.contains(&address.port())
                    && nobody_listens_on(*address)
                    && given.insert(address.port())
            })
            .expect("the system has a free TCP port on loopback")
    })
}

/// Asked without listening there: a process that another test starts at this moment holds copies of
/// all sockets until it becomes its own program, and a copy that listens would keep the port.
fn nobody_listens_on(address: SocketAddr) -> bool {
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .expect("the system has a socket to spare");
    sockopt::set_socket_reuseaddr(&socket, true).expect("a new socket may share its address");
    bind(&socket, &address).is_ok()
}

#[cfg(test)]
mod tests {
    use super::{free, nobody_listens_on};
    use std::collections::BTreeSet;
    use std::net::TcpListener;

    #[test]
    fn ports_are_distinct_and_can_be_listened_on() {
        let addresses: Vec<_> = free::<8>().into_iter().chain(free::<8>()).collect();
        let distinct: BTreeSet<_> = addresses.iter().collect();
        assert_eq!(distinct.len(), 16);
        for address in &addresses {
            TcpListener::bind(address).unwrap();
        }
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_not_free() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(!nobody_listens_on(listener.local_addr().unwrap()));
    }
}
