//! Volumes that are deleted: on an operator's word, and then on every node that keeps a copy, also one
//! that was away meanwhile.
//!
//! Promises: a store is given up only after the authority's record has said that its volume is deleted
//! for good, which no later record takes back; a crash in between leaves a store that is given up at the
//! next start, or a directory `.deleted-...` that is removed by it.

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use holdfast_types::VolumeRecord;
use tokio::task::block_in_place;

use super::super::control::{ControlClient, ControlReply, ControlRequest, Problem, ProblemKind};
use super::super::primary::StopReason;
use super::NodeShared;
use crate::authority::sync_directory;
use crate::controller::delete::delete;
use crate::tls::Expected;

/// What the directory of a store that is being removed is called, before the volume's id.
const LEFTOVER: &str = ".deleted-";

/// How long the primary may take to say who is attached.
const CLIENTS_WAIT: Duration = Duration::from_secs(2);

/// Whether a directory is what is left of a store that was given up.
pub(super) fn is_leftover(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(LEFTOVER))
}

impl NodeShared {
    /// Deletes a volume, if its name is said once more and nobody is attached.
    pub(super) async fn delete_volume(
        self: &Arc<Self>,
        volume: &str,
        yes: &str,
        force: bool,
    ) -> Result<ControlReply, Problem> {
        let volume = self.resolve(volume).await?;
        let record = self.authority.read(volume).await?.record;
        if record.name != yes {
            let what = format!(
                "{yes:?} is not the name of the volume, which is {:?}",
                record.name
            );
            return Err(Problem::invalid(what));
        }
        let clients = self.clients_of(&record).await;
        if clients > 0 && !force {
            let what = format!(
                "{clients} clients are attached to {:?}: detach them first, or say --force",
                record.name
            );
            return Err(Problem::new(ProblemKind::Refused, what));
        }
        delete(&self.authority, &self.protection, volume).await?;
        tracing::warn!(%volume, name = record.name, "the volume was deleted, as asked");
        // This node's own copy, if it has one, goes before the answer.
        self.record_changed.notify_one();
        Ok(ControlReply::Done)
    }

    /// Who is attached to a volume, as far as its primary answers.
    async fn clients_of(&self, record: &VolumeRecord) -> usize {
        let status = if record.primary.as_ref() == Some(&self.facts.id) {
            self.status()
        } else {
            let primary = record.primary.as_ref();
            let Some((id, member)) = primary.and_then(|id| record.members.get_key_value(id)) else {
                return 0;
            };
            let client = ControlClient::tcp(member.endpoint.control, CLIENTS_WAIT)
                .under(&self.protection, Expected::Node(id.clone()));
            match client.ask(&ControlRequest::Status).await {
                Ok(ControlReply::Status(status)) => *status,
                Ok(_) | Err(_) => return 0,
            }
        };
        let found = status.volumes.iter().find(|v| v.volume == record.volume);
        found.map_or(0, |found| found.clients)
    }

    /// Gives the store of a deleted volume up, if there is one here.
    pub(super) async fn give_up_deleted(&self, record: &VolumeRecord) {
        let volume = record.volume;
        self.missing().remove(&volume);
        if self.store(volume).is_none() {
            return;
        }
        if let Some(primary) = self.primary(volume) {
            primary.stop(StopReason::Deposed { by: record.epoch });
            primary.finished().await;
        }
        // From here on nobody is let in; who is still there holds files without a name.
        self.slots().remove(&volume);
        let (from, to) = (
            self.store_dir(volume),
            self.stores_dir().join(format!("{LEFTOVER}{volume}")),
        );
        let removed = block_in_place(|| -> io::Result<()> {
            std::fs::rename(&from, &to)?;
            sync_directory(&self.stores_dir())?;
            std::fs::remove_dir_all(&to)
        });
        match removed {
            Ok(()) => tracing::warn!(%volume, name = record.name,
                "the volume is deleted: its copy here is removed"),
            Err(error) => tracing::error!(%volume, name = record.name, %error,
                "the volume is deleted, and its copy here cannot be removed; the next start tries again"),
        }
    }
}
