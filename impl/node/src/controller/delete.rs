//! Deleting a volume: its last primary stops, an epoch is minted that nobody leads, and the record says
//! that it is deleted. Only then does any node give its copy up.
//!
//! ```text
//! 1  the primary is asked to stop; else its lease is waited out
//! 2  mint: compare-and-set to (epoch + 1, no primary)
//! 3  delete: compare-and-set to a tombstone, which stays
//! 4  every node that reads it gives its store up, whenever that is
//! ```
//!
//! A crash between 2 and 3 leaves a volume without a primary, which can be promoted, or deleted again.

use std::sync::Arc;

use holdfast_types::{VolumeId, VolumeRecord};

use super::drive::{mint, tell_members};
use crate::authority::{Authority, AuthorityError, RecordVersion};
use crate::tls::Protection;

/// Deletes a volume; its last record.
///
/// # Errors
/// [`AuthorityError`]; the volume may have lost its primary then.
pub async fn delete(
    authority: &Arc<dyn Authority>,
    protection: &Protection,
    volume: VolumeId,
) -> Result<VolumeRecord, AuthorityError> {
    let minted = mint(authority, protection, volume).await?;
    let version = RecordVersion::of(&minted.record);
    let deleted = authority.delete(volume, version).await?;
    tell_members(protection, &deleted.record).await;
    Ok(deleted.record)
}
