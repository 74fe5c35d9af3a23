//! Connections that have not yet said a hello that was admitted: few, and few from one place.
//!
//! A connection whose hello was admitted ends the one before it, so those are bounded by the stores of
//! the node. What is bounded here is everyone else: whoever can reach the port can hold no more than
//! these places, each for as long as a hello may take, and none of them keeps a known primary from
//! coming in from another address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Strangers at once.
pub(super) const STRANGERS_MAX: usize = 256;

/// Strangers at once from one address.
pub(super) const STRANGERS_OF_ONE_MAX: usize = 64;

/// Counts those that are connected.
#[derive(Debug, Default)]
pub(super) struct Strangers(Mutex<BTreeMap<IpAddr, usize>>);

/// A place; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    strangers: Arc<Strangers>,
    address: IpAddr,
}

impl Strangers {
    fn by_address(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        // Every change of the counts is complete when the lock is released.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more from this address.
    ///
    /// # Errors
    /// The bound that is reached.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Place, usize> {
        let mut by_address = self.by_address();
        if by_address.values().sum::<usize>() >= STRANGERS_MAX {
            return Err(STRANGERS_MAX);
        }
        let own = by_address.entry(address).or_default();
        if *own >= STRANGERS_OF_ONE_MAX {
            return Err(STRANGERS_OF_ONE_MAX);
        }
        *own += 1;
        Ok(Place {
            strangers: Arc::clone(self),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_address = self.strangers.by_address();
        if let Some(own) = by_address.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Arc;

    use super::{STRANGERS_MAX, STRANGERS_OF_ONE_MAX, Strangers};

    fn from(host: usize) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, u8::try_from(host).unwrap()))
    }

    #[test]
    fn f45_strangers_of_one_address_cannot_take_the_places_of_all_others() {
        let strangers = Arc::new(Strangers::default());
        let mut places: Vec<_> = (0..STRANGERS_OF_ONE_MAX)
            .map(|_| strangers.enter(from(0)).unwrap())
            .collect();
        assert_eq!(strangers.enter(from(0)).unwrap_err(), STRANGERS_OF_ONE_MAX);
        let mut host = 1;
        while places.len() < STRANGERS_MAX {
            places.push(strangers.enter(from(host)).unwrap());
            host += 1;
        }
        assert_eq!(strangers.enter(from(host)).unwrap_err(), STRANGERS_MAX);
        places.pop();
        places.push(strangers.enter(from(host)).unwrap());
        places.clear();
        assert!(
            strangers.by_address().is_empty(),
            "nothing is kept of those that went"
        );
    }
}
