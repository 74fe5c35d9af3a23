//! The embedded authority: durable files in one directory, one file per volume.
//!
//! [`EmbeddedCore`] is the authority itself, without a clock: time is an argument, measured from the
//! opening of the core. [`EmbeddedAuthority`] gives it the clock of the machine and the trait.
//!
//! A change is first made durable (written beside, synced, renamed, directory synced) and only then
//! visible. When a write fails its outcome is unknown, so the volume is refused from then on until
//! the authority is opened again and has read what is there.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use holdfast_types::{Epoch, Revision, VolumeId, VolumeRecord};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::check;
use super::durable_file::{replace_file, sync_directory};
use super::lease::{Lease, LeaseClaim};
use super::{
    Answer, Authority, AuthorityError, LeaseGrant, LeaseRequest, RecordVersion, Recorded,
    RecoverRequest,
};
use crate::runtime::Clock;

/// The version of the file format. Version 1 has no deleted volumes, and is read.
const FORMAT: u32 = 2;

/// The largest record file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// What one file holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VolumeFile {
    format: u32,
    recorded: Recorded,
    lease: LeaseClaim,
}

/// Why an authority's directory cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The file system refused.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A file that is not a record; nothing is skipped.
    #[error("{path} is not a volume record: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

struct Entry {
    recorded: Recorded,
    lease: Lease,
    /// A write whose outcome is unknown: nothing is answered before a restart has read the file.
    failed: Option<String>,
}

/// The authority's state and its files; one owner, time as an argument.
pub struct EmbeddedCore {
    directory: PathBuf,
    term: Duration,
    volumes: BTreeMap<VolumeId, Entry>,
}

impl EmbeddedCore {
    /// Opens (or makes) the directory. `term` is the length of a lease; leases that an earlier life
    /// granted are waited out from now (time zero), for as long as they were granted or for `term`,
    /// whichever is longer.
    ///
    /// # Errors
    /// [`OpenError`] when a file cannot be read or is no record.
    pub fn open(directory: &Path, term: Duration) -> Result<Self, OpenError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        fs::create_dir_all(directory).map_err(io(directory))?;
        let mut volumes = BTreeMap::new();
        for item in fs::read_dir(directory).map_err(io(directory))? {
            let path = item.map_err(io(directory))?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let file = read_volume_file(&path)?;
            let lease = Lease::recovered(file.lease, Duration::ZERO, term);
            let entry = Entry {
                recorded: file.recorded,
                lease,
                failed: None,
            };
            volumes.insert(entry.recorded.record.volume, entry);
        }
        sync_directory(directory).map_err(io(directory))?;
        Ok(Self {
            directory: directory.to_owned(),
            term,
            volumes,
        })
    }

    /// The length of a lease.
    #[must_use]
    pub const fn term(&self) -> Duration {
        self.term
    }

    /// Every volume whose record is known.
    #[must_use]
    pub fn volumes(&self) -> Vec<Recorded> {
        let known = self.volumes.values().filter(|entry| entry.failed.is_none());
        known.map(|entry| entry.recorded.clone()).collect()
    }

    /// One volume.
    ///
    /// # Errors
    /// When it is unknown, or a write of it failed.
    pub fn read(&self, volume: VolumeId) -> Result<Recorded, AuthorityError> {
        Ok(self.entry(volume)?.recorded.clone())
    }

    /// Records a new volume.
    ///
    /// # Errors
    /// When it, or its name, exists, or the record is no beginning of a volume.
    pub fn create(&mut self, mut record: VolumeRecord) -> Result<Recorded, AuthorityError> {
        let same = |entry: &&Entry| {
            let known = &entry.recorded;
            // A deleted volume keeps its identity, and not its name.
            known.record.volume == record.volume
                || (!known.deleted && known.record.name == record.name)
        };
        if let Some(existing) = self.volumes.values().find(same) {
            return Err(AuthorityError::AlreadyExists {
                volume: existing.recorded.record.volume,
                name: existing.recorded.record.name.clone(),
            });
        }
        check::may_create(&record).map_err(|reason| AuthorityError::Refused { reason })?;
        record.revision = Revision(1);
        let recorded = Recorded {
            record,
            last_primary: None,
            deleted: false,
        };
        self.write(&recorded, &LeaseClaim::default())?;
        self.volumes.insert(
            recorded.record.volume,
            Entry {
                recorded: recorded.clone(),
                lease: Lease::unclaimed(),
                failed: None,
            },
        );
        Ok(recorded)
    }

    /// Replaces a record that is still at `expected`.
    ///
    /// # Errors
    /// On a conflict, or when the change breaks a rule.
    pub fn compare_and_set(
        &mut self,
        expected: RecordVersion,
        mut record: VolumeRecord,
    ) -> Result<Recorded, AuthorityError> {
        let entry = self.entry_at(record.volume, expected)?;
        let present = &entry.recorded;
        check::may_follow(&present.record, &record)
            .map_err(|reason| AuthorityError::Refused { reason })?;
        record.revision = present.record.revision.next();
        let last_primary = record
            .primary
            .clone()
            .or_else(|| present.last_primary.clone());
        let claim = entry.lease.claim.clone();
        self.replace(
            Recorded {
                record,
                last_primary,
                deleted: false,
            },
            claim,
        )
    }

    /// Mints the next epoch.
    ///
    /// # Errors
    /// On a conflict, or while the lease of the present epoch may be held.
    pub fn mint_epoch(
        &mut self,
        volume: VolumeId,
        expected: RecordVersion,
        now: Duration,
    ) -> Result<Recorded, AuthorityError> {
        let entry = self.entry_at(volume, expected)?;
        let epoch = entry.recorded.record.epoch;
        let remaining = entry.lease.remaining(epoch, now);
        if !remaining.is_zero() {
            return Err(held(epoch, remaining));
        }
        let minted = next_epoch(epoch)?;
        let mut recorded = entry.recorded.clone();
        let claim = entry.lease.claim.clone();
        recorded.record.epoch = minted;
        recorded.record.revision = recorded.record.revision.next();
        recorded.record.primary = None;
        self.replace(recorded, claim)
    }

    /// Moves a record that was rolled back forward.
    ///
    /// # Errors
    /// On a conflict, or while any lease may be held: an earlier life may have granted one that the
    /// record has forgotten, so a whole one is waited out from the opening.
    pub fn recover(
        &mut self,
        request: &RecoverRequest,
        now: Duration,
    ) -> Result<Recorded, AuthorityError> {
        let entry = self.entry_at(request.volume, request.expected)?;
        let epoch = entry.recorded.record.epoch;
        let forgotten = self.term.saturating_sub(now);
        let remaining = entry.lease.remaining(epoch, now).max(forgotten);
        if !remaining.is_zero() {
            return Err(held(epoch, remaining));
        }
        let mut recorded = entry.recorded.clone();
        let claim = entry.lease.claim.clone();
        let minted = next_epoch(epoch.max(request.beyond))?;
        check::go_on_with(&mut recorded.record, minted, &request.keep)
            .map_err(|reason| AuthorityError::Refused { reason })?;
        recorded.record.revision = recorded.record.revision.next();
        recorded.last_primary = Some(request.keep.clone());
        self.replace(recorded, claim)
    }

    /// Deletes a volume that nobody leads.
    ///
    /// # Errors
    /// On a conflict, or while there is a primary: mint an epoch first.
    pub fn delete(
        &mut self,
        volume: VolumeId,
        expected: RecordVersion,
    ) -> Result<Recorded, AuthorityError> {
        let entry = self.entry_at(volume, expected)?;
        let mut recorded = entry.recorded.clone();
        if let Some(primary) = &recorded.record.primary {
            let reason = format!("{primary} is its primary; mint another epoch first");
            return Err(AuthorityError::Refused { reason });
        }
        let claim = entry.lease.claim.clone();
        recorded.record.revision = recorded.record.revision.next();
        recorded.deleted = true;
        self.replace(recorded, claim)
    }

    /// Grants or renews a lease.
    ///
    /// # Errors
    /// [`AuthorityError::NoLease`] when it is not this incarnation's.
    pub fn renew_lease(
        &mut self,
        request: &LeaseRequest,
        now: Duration,
    ) -> Result<LeaseGrant, AuthorityError> {
        self.check_holder(request)?;
        let term = self.term;
        let entry = self.entry(request.volume)?;
        let duration_ms = u64::try_from(term.as_millis()).unwrap_or(u64::MAX);
        let claim = entry
            .lease
            .granted(request.epoch, request.incarnation, duration_ms);
        if entry.lease.claim != claim {
            let recorded = entry.recorded.clone();
            self.replace(recorded, claim)?;
        }
        if let Some(entry) = self.volumes.get_mut(&request.volume) {
            entry.lease.extend(now, term);
        }
        Ok(LeaseGrant { duration_ms })
    }

    /// Ends a lease for good.
    ///
    /// # Errors
    /// [`AuthorityError::NoLease`] when it is not this incarnation's.
    pub fn end_lease(&mut self, request: &LeaseRequest) -> Result<(), AuthorityError> {
        self.check_holder(request)?;
        let entry = self.entry(request.volume)?;
        let recorded = entry.recorded.clone();
        let claim = entry.lease.ended(request.epoch, request.incarnation);
        self.replace(recorded, claim).map(|_| ())
    }

    fn check_holder(&self, request: &LeaseRequest) -> Result<(), AuthorityError> {
        let entry = self.entry(request.volume)?;
        let record = &entry.recorded.record;
        let no_lease = |reason: String| AuthorityError::NoLease {
            asked: request.epoch,
            current: record.epoch,
            replica: request.replica.clone(),
            reason,
        };
        if record.epoch != request.epoch {
            return Err(no_lease(format!("the epoch is {}", record.epoch)));
        }
        if record.primary.as_ref() != Some(&request.replica) {
            return Err(no_lease("it is not the primary of that epoch".into()));
        }
        entry
            .lease
            .admits(request.epoch, request.incarnation)
            .map_err(no_lease)
    }

    fn entry(&self, volume: VolumeId) -> Result<&Entry, AuthorityError> {
        let entry = self
            .volumes
            .get(&volume)
            .ok_or(AuthorityError::UnknownVolume { volume })?;
        match &entry.failed {
            None => Ok(entry),
            Some(detail) => Err(AuthorityError::Storage {
                detail: detail.clone(),
            }),
        }
    }

    fn entry_at(
        &self,
        volume: VolumeId,
        expected: RecordVersion,
    ) -> Result<&Entry, AuthorityError> {
        let entry = self.entry(volume)?;
        let found = RecordVersion::of(&entry.recorded.record);
        if found != expected {
            return Err(AuthorityError::Conflict { expected, found });
        }
        if entry.recorded.deleted {
            return Err(AuthorityError::Refused {
                reason: "the volume was deleted".into(),
            });
        }
        Ok(entry)
    }

    /// Makes a new state of a known volume durable, then visible.
    fn replace(
        &mut self,
        recorded: Recorded,
        claim: LeaseClaim,
    ) -> Result<Recorded, AuthorityError> {
        let written = self.write(&recorded, &claim);
        let Some(entry) = self.volumes.get_mut(&recorded.record.volume) else {
            return Err(AuthorityError::UnknownVolume {
                volume: recorded.record.volume,
            });
        };
        match written {
            Ok(()) => {
                entry.recorded = recorded.clone();
                entry.lease.claim = claim;
                Ok(recorded)
            }
            Err(error) => {
                entry.failed = Some(error.to_string());
                Err(error)
            }
        }
    }

    fn write(&self, recorded: &Recorded, lease: &LeaseClaim) -> Result<(), AuthorityError> {
        let path = self
            .directory
            .join(format!("{}.json", recorded.record.volume));
        let storage = |detail: String| AuthorityError::Storage { detail };
        let content = serde_json::to_vec_pretty(&VolumeFile {
            format: FORMAT,
            recorded: recorded.clone(),
            lease: lease.clone(),
        })
        .map_err(|error| storage(error.to_string()))?;
        replace_file(&path, &content)
            .map_err(|error| storage(format!("{}: {error}", path.display())))
    }
}

fn read_volume_file(path: &Path) -> Result<VolumeFile, OpenError> {
    let io = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    let malformed = |reason: String| OpenError::Malformed {
        path: path.to_owned(),
        reason,
    };
    let length = fs::metadata(path).map_err(io)?.len();
    if length > MAX_FILE_BYTES {
        return Err(malformed(format!(
            "{length} bytes, at most {MAX_FILE_BYTES} are read"
        )));
    }
    let bytes = fs::read(path).map_err(io)?;
    let file: VolumeFile =
        serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
    if !(1..=FORMAT).contains(&file.format) {
        return Err(malformed(format!(
            "format {}, this node reads formats 1 to {FORMAT}",
            file.format
        )));
    }
    check::is_sound(&file.recorded.record).map_err(malformed)?;
    if path
        .file_stem()
        .is_none_or(|stem| stem.to_string_lossy() != file.recorded.record.volume.to_string())
    {
        return Err(malformed("the name is not that of its volume".into()));
    }
    Ok(file)
}

fn held(epoch: Epoch, remaining: Duration) -> AuthorityError {
    let remaining_ms = u64::try_from(remaining.as_millis()).unwrap_or(u64::MAX);
    AuthorityError::LeaseHeld {
        epoch,
        remaining_ms: remaining_ms.max(1),
    }
}

fn next_epoch(epoch: Epoch) -> Result<Epoch, AuthorityError> {
    let refused = || AuthorityError::Refused {
        reason: "the epochs of this volume are used up".into(),
    };
    epoch.checked_next().ok_or_else(refused)
}

/// An [`EmbeddedCore`] with the machine's clock, sleep included.
pub struct EmbeddedAuthority {
    core: Mutex<EmbeddedCore>,
    clock: Clock,
}

impl EmbeddedAuthority {
    /// Opens the directory; leases of an earlier life are waited out from now.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(directory: &Path, term: Duration) -> Result<Self, OpenError> {
        Ok(Self {
            clock: Clock::start(),
            core: Mutex::new(EmbeddedCore::open(directory, term)?),
        })
    }

    fn core(&self) -> MutexGuard<'_, EmbeddedCore> {
        // Every change of the core is one assignment after its write: a panic leaves it whole.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.clock.now()
    }
}

// The files are a few hundred bytes and changes are rare; they are written in place on the
// caller's thread.
impl Authority for EmbeddedAuthority {
    fn volumes(&self) -> Answer<'_, Vec<Recorded>> {
        Box::pin(async { Ok(self.core().volumes()) })
    }

    fn read(&self, volume: VolumeId) -> Answer<'_, Recorded> {
        Box::pin(async move { self.core().read(volume) })
    }

    fn create(&self, record: VolumeRecord) -> Answer<'_, Recorded> {
        Box::pin(async move { self.core().create(record) })
    }

    fn compare_and_set(
        &self,
        expected: RecordVersion,
        record: VolumeRecord,
    ) -> Answer<'_, Recorded> {
        Box::pin(async move { self.core().compare_and_set(expected, record) })
    }

    fn mint_epoch(&self, volume: VolumeId, expected: RecordVersion) -> Answer<'_, Recorded> {
        Box::pin(async move {
            let mut core = self.core();
            core.mint_epoch(volume, expected, self.now())
        })
    }

    fn recover(&self, request: RecoverRequest) -> Answer<'_, Recorded> {
        Box::pin(async move {
            let mut core = self.core();
            core.recover(&request, self.now())
        })
    }

    fn delete(&self, volume: VolumeId, expected: RecordVersion) -> Answer<'_, Recorded> {
        Box::pin(async move { self.core().delete(volume, expected) })
    }

    fn renew_lease(&self, request: LeaseRequest) -> Answer<'_, LeaseGrant> {
        Box::pin(async move {
            let mut core = self.core();
            // The holder counts from before it asked, so a term that begins at any time between
            // the request and the answer outlasts what the holder believes.
            core.renew_lease(&request, self.now())
        })
    }

    fn end_lease(&self, request: LeaseRequest) -> Answer<'_, ()> {
        Box::pin(async move { self.core().end_lease(&request) })
    }
}

#[cfg(test)]
mod tests;
