//! The exports of a node, and who is connected to them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use tokio::sync::{Semaphore, watch};
use tracing::{debug, info};

use super::alignment::Aligned;
use super::connection::{ConnectionEnd, negotiate, transmit};
use super::export::{Export, ExportInfo};
use super::limits::Limits;
use super::negotiation::{Catalogue, Chosen};
use super::proto::MAX_STRING;
use super::socket::Socket;

/// Why an export cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServeError {
    /// Withdraw the present one first.
    #[error("an export named {name:?} is being served already")]
    AlreadyServed {
        /// The name.
        name: String,
    },
    /// The protocol has no place for such a name.
    #[error("an export name has 1 to {MAX_STRING} bytes and no NUL character")]
    InvalidName,
    /// Clients could not address such a device.
    #[error("an export's size is a multiple of 4096 bytes below 2^63, this one has {size}")]
    InvalidSize {
        /// Size in bytes.
        size: u64,
    },
}

/// One incarnation of an export.
struct Served<E> {
    device: Arc<Aligned<E>>,
    /// Every connection holds a receiver; `true` tells it to go, and the sender sees when the
    /// last one is gone.
    withdrawn: watch::Sender<bool>,
}

struct Shared<E> {
    limits: Limits,
    exports: Mutex<BTreeMap<String, Served<E>>>,
    connections: Semaphore,
    /// Like [`Served::withdrawn`], for every connection there is.
    closing: watch::Sender<bool>,
}

/// An NBD server: a set of exports that [`Listener`](super::Listener)s lead clients to. Clones
/// are the same server.
pub struct Server<E> {
    shared: Arc<Shared<E>>,
}

impl<E> Clone for Server<E> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<E> std::fmt::Debug for Server<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("limits", &self.shared.limits)
            .field("exports", &self.shared.exports().keys())
            .finish_non_exhaustive()
    }
}

impl<E> Shared<E> {
    fn exports(&self) -> MutexGuard<'_, BTreeMap<String, Served<E>>> {
        // Every change is one call on the map; a panic elsewhere cannot leave it half changed.
        self.exports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E: Export> Server<E> {
    /// A server without exports and listeners.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let limits = limits.clamped();
        Self {
            shared: Arc::new(Shared {
                limits,
                exports: Mutex::default(),
                connections: Semaphore::new(limits.connections),
                closing: watch::Sender::new(false),
            }),
        }
    }

    /// Lets clients attach to `export` under `name` from now on.
    ///
    /// # Errors
    /// [`ServeError`]; nothing has changed then.
    pub fn serve(&self, name: &str, export: E) -> Result<(), ServeError> {
        if name.is_empty() || name.len() > MAX_STRING || name.contains('\0') {
            return Err(ServeError::InvalidName);
        }
        let info = export.info();
        if !info.is_servable() {
            return Err(ServeError::InvalidSize { size: info.size });
        }
        let mut exports = self.shared.exports();
        if exports.contains_key(name) {
            return Err(ServeError::AlreadyServed {
                name: name.to_owned(),
            });
        }
        let served = Served {
            device: Arc::new(Aligned::new(export)),
            withdrawn: watch::Sender::new(false),
        };
        exports.insert(name.to_owned(), served);
        Ok(())
    }

    /// Ends an incarnation: from the call on nobody can attach, and when it returns every
    /// connection is closed, the requests in flight are abandoned and the server holds the device
    /// no more. `false` when no such export is served.
    ///
    /// Dropping the future leaves the export withdrawn; only the waiting is given up.
    pub async fn withdraw(&self, name: &str) -> bool {
        let Some(served) = self.shared.exports().remove(name) else {
            return false;
        };
        served.withdrawn.send_replace(true);
        served.withdrawn.closed().await;
        true
    }

    /// Clients attached to an export at present.
    #[must_use]
    pub fn attached(&self, name: &str) -> usize {
        self.shared
            .exports()
            .get(name)
            .map_or(0, |served| served.withdrawn.receiver_count())
    }

    /// Closes every connection and accepts none any more, for good.
    pub async fn shut_down(&self) {
        self.shared.closing.send_replace(true);
        let exports = std::mem::take(&mut *self.shared.exports());
        for served in exports.values() {
            served.withdrawn.send_replace(true);
        }
        self.shared.closing.closed().await;
    }

    /// The device under a chosen name, and the word that ends its connections.
    fn attach(&self, chosen: &Chosen) -> Option<(Arc<Aligned<E>>, watch::Receiver<bool>)> {
        let exports = self.shared.exports();
        let served = exports.get(&chosen.name)?;
        // An incarnation that came up since the client was answered may be another size.
        (served.device.info() == chosen.info)
            .then(|| (served.device.clone(), served.withdrawn.subscribe()))
    }

    /// Serves one client to its end.
    pub(super) async fn handle<S>(&self, socket: S, peer: &str)
    where
        S: Socket,
    {
        let mut closing = self.shared.closing.subscribe();
        let Ok(_permit) = self.shared.connections.try_acquire() else {
            let bound = self.shared.limits.connections;
            info!(peer, bound, "client refused: too many connections");
            return;
        };
        tokio::select! {
            _ = closing.wait_for(|closing| *closing) => {}
            () = self.converse(socket, peer) => {}
        }
    }

    async fn converse<S>(&self, mut socket: S, peer: &str)
    where
        S: Socket,
    {
        let mut input = BytesMut::new();
        let negotiated = tokio::time::timeout(
            self.shared.limits.negotiation_time_max,
            negotiate(&mut socket, &mut input, self),
        );
        let chosen = match negotiated.await {
            Ok(Ok(chosen)) => chosen,
            Ok(Err(end)) => return debug!(peer, %end, "no export chosen"),
            Err(_) => return info!(peer, "client dropped: it chose no export in time"),
        };
        let Some((device, mut withdrawn)) = self.attach(&chosen) else {
            return debug!(peer, export = chosen.name, "export withdrawn meanwhile");
        };
        info!(peer, export = chosen.name, "client attached");
        let end = {
            let (mut reader, mut writer) = socket.halves();
            let limits = self.shared.limits;
            tokio::select! {
                biased;
                _ = withdrawn.wait_for(|withdrawn| *withdrawn) => None,
                end = transmit(&mut reader, &mut writer, input, device, &chosen, limits) => Some(end),
            }
        };
        match end {
            None => info!(
                peer,
                export = chosen.name,
                "client dropped: export withdrawn"
            ),
            Some(end @ ConnectionEnd::Violation(_)) => {
                info!(peer, export = chosen.name, %end, "client dropped");
            }
            Some(end) => info!(peer, export = chosen.name, %end, "client gone"),
        }
        // The last word to a withdrawal in progress: device and socket are released by now.
        drop(withdrawn);
    }
}

impl<E: Export> Catalogue for Server<E> {
    fn find(&self, name: &str) -> Option<(String, ExportInfo)> {
        let exports = self.shared.exports();
        if name.is_empty() && exports.len() == 1 {
            let (name, served) = exports.first_key_value()?;
            return Some((name.clone(), served.device.info()));
        }
        let served = exports.get(name)?;
        Some((name.to_owned(), served.device.info()))
    }

    fn names(&self) -> Vec<String> {
        self.shared.exports().keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests;
