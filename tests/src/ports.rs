//! Free TCP ports on loopback.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Mutex;

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
    // Held until all are found, so that they differ.
    let mut held: Vec<TcpListener> = Vec::new();
    std::array::from_fn(|_| {
        loop {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .expect("the system has a free TCP port on loopback");
            let address = listener
                .local_addr()
                .expect("a bound socket has an address");
            held.push(listener);
            if given.insert(address.port()) {
                return address;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::free;
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
}
