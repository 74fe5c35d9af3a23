//! Which change of a record is allowed, apart from the compare-and-set itself.

use std::collections::BTreeSet;

use holdfast_types::{Epoch, RecordError, ReplicaId, StoreId, VolumeRecord};

/// Whether a record can be one at all.
///
/// A quorum volume normally has at least 3 voters; after a forced promotion it has one, and the
/// others become voters again as they join. So fewer are allowed here, and refused at creation.
pub(super) fn is_sound(record: &VolumeRecord) -> Result<(), String> {
    match record.validate() {
        Ok(()) => Ok(()),
        Err(RecordError::TooFewVoters { voters }) if voters > 0 => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether a volume may begin with this record.
pub(super) fn may_create(record: &VolumeRecord) -> Result<(), String> {
    record.validate().map_err(|error| error.to_string())?;
    if record.epoch.0 != 0 || record.primary.is_some() {
        return Err("a new volume begins at epoch 0 without a primary".into());
    }
    if record.isr.len() != record.members.len() {
        return Err("the first in-sync set is all members".into());
    }
    if record.committed_seen.1.0 != 0 {
        return Err("a new volume has no committed entry".into());
    }
    Ok(())
}

/// Whether `next` may follow `present` within its epoch.
pub(super) fn may_follow(present: &VolumeRecord, next: &VolumeRecord) -> Result<(), String> {
    is_sound(next)?;
    if next.volume != present.volume || next.epoch != present.epoch {
        return Err(format!(
            "a change stays in its volume and epoch: {} {} to {} {}",
            present.volume, present.epoch, next.volume, next.epoch
        ));
    }
    if present.primary.is_some() && next.primary != present.primary {
        return Err("an epoch has one primary for ever; mint another epoch first".into());
    }
    if next.primary.is_some() && next.epoch.0 == 0 {
        return Err("epoch 0 has no primary; mint the first epoch".into());
    }
    if next.committed_seen < present.committed_seen {
        return Err(format!(
            "committed_seen goes back from {:?} to {:?}",
            present.committed_seen, next.committed_seen
        ));
    }
    let regressed = next.members.iter().find(|(replica, member)| {
        present.members.get(*replica).is_some_and(|old| {
            member.endpoint.version < old.endpoint.version
                || (member.endpoint.version == old.endpoint.version
                    && member.endpoint != old.endpoint)
        })
    });
    if let Some((replica, _)) = regressed {
        return Err(format!(
            "the endpoint of {replica} changes without a newer version"
        ));
    }
    Ok(())
}

/// Goes on in `epoch` with one copy: no other store is recorded, and there is no primary yet.
pub(super) fn go_on_with(
    record: &mut VolumeRecord,
    epoch: Epoch,
    keep: &ReplicaId,
) -> Result<(), String> {
    if !record.members.contains_key(keep) {
        return Err(format!("{keep} keeps no copy of this volume"));
    }
    for (replica, member) in &mut record.members {
        if replica != keep {
            member.store = StoreId::forgotten_in(epoch);
        }
    }
    record.epoch = epoch;
    record.primary = None;
    record.isr = BTreeSet::from([keep.clone()]);
    record.voters = record.isr.clone();
    Ok(())
}
