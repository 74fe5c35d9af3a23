//! The acts, in order. Each does one thing to the cluster, waits for what must follow from it, and
//! says so; the first thing that does not follow ends the demo.

use std::path::Path;
use std::time::Duration;

use holdfast_types::{BLOCK_SIZE, ReplicaId};

use super::at_rest;
use super::chronicle::{Chronicle, Told};
use super::cluster::{Cluster, VOLUME, is_in_sync};
use super::device::{Device, Submitted};
use super::facts::{PATIENCE, until, until_within};
use super::failure::Failure;
use super::image::Image;
use super::narrator::Narrator;

/// Small writes of each stretch of ordinary work.
const WRITES: usize = 96;

/// Writes that only the primary gets to log before it is killed.
const TAIL: usize = 24;

/// Small writes between two looks at a rebuild.
const WRITES_PER_LOOK: usize = 8;

/// How much longer a rebuild may take for each MiB of the volume.
const REBUILD_PATIENCE: Duration = Duration::from_millis(200);

/// Bytes of a chunk of a base transfer.
const CHUNK_BYTES: u64 = holdfast_blockvol::CHUNK_BLOCKS * BLOCK_SIZE as u64;

/// What was proven.
pub(crate) struct Verdict {
    /// Blocks of each copy, all of them compared.
    pub(crate) blocks: u64,
    /// Copies.
    pub(crate) copies: usize,
    /// SHA-256 of the volume's content.
    pub(crate) digest: String,
}

/// A cluster on the stage.
pub(crate) struct Play<'a> {
    cluster: Cluster<'a>,
    device: Device,
    primary: ReplicaId,
    narrator: &'a Narrator,
    chronicle: &'a Chronicle,
}

impl<'a> Play<'a> {
    /// Acts 1 and 2: the cluster, the volume, the image.
    ///
    /// # Errors
    /// [`Failure`]: the first thing that did not happen.
    pub(crate) async fn open(
        directory: &Path,
        image: &Image,
        narrator: &'a Narrator,
        chronicle: &'a Chronicle,
    ) -> Result<Self, Failure> {
        narrator.act("Three nodes and an authority");
        let mut cluster = Cluster::start(directory, chronicle).await?;
        for seat in cluster.seats() {
            narrator.say(&format!(
                "{} is process {}: replication {}, control {}, NBD {}",
                seat.id,
                seat.pid().unwrap_or_default(),
                seat.places.data,
                seat.places.control,
                seat.places.nbd
            ));
        }
        narrator.say(&format!(
            "the authority, which alone mints epochs, answers at {}",
            cluster.authority_control()
        ));

        narrator.act("A volume of three copies, and an image written through NBD");
        let record = cluster.create_volume(image.blocks()).await?;
        let primary = primary_of(&record)?;
        narrator.say(&format!(
            "volume {} of {} MiB: {:?}, epoch {}, primary {primary}",
            record.volume,
            image.bytes().len() >> 20,
            record.mode,
            record.epoch
        ));
        let nbd = cluster.seat(&primary).places.nbd;
        let device = Device::attach(nbd, VOLUME, image.blocks()).await?;
        narrator.say(&format!("attached to nbd://{nbd}/{VOLUME}"));
        let mut play = Self {
            cluster,
            device,
            primary,
            narrator,
            chronicle,
        };
        let progress = narrator.progress("writing the image", image.bytes().len() as u64);
        play.device.write_image(image, progress).await?;
        play.device.verify("the volume").await?;
        play.say("the image is flushed, and reads back as it was written");
        Ok(play)
    }

    /// Acts 3 to 6: what happens to clusters.
    ///
    /// # Errors
    /// [`Failure`]: the first thing that did not happen.
    pub(crate) async fn perform(&mut self) -> Result<(), Failure> {
        let [near, far] = self.two_others();
        self.isolation(&far).await?;
        let old = self.failover().await?;
        self.divergent_tail(&old).await?;
        // Not the old primary, which has had its share; and not the new one.
        let emptied = if self.primary == near { far } else { near };
        self.lost_disk(&emptied).await
    }

    fn say(&self, text: &str) {
        self.narrator.say(text);
    }

    fn two_others(&self) -> [ReplicaId; 2] {
        let others = self.cluster.others(&self.primary);
        others.try_into().expect("three nodes less one")
    }

    async fn all_in_sync(&self) -> Result<(), Failure> {
        for replica in self.two_others() {
            self.cluster.until_in_sync(&self.primary, &replica).await?;
        }
        Ok(())
    }

    async fn isolation(&mut self, replica: &ReplicaId) -> Result<(), Failure> {
        self.narrator
            .act("A replica is cut off, misses writes, and catches up");
        self.all_in_sync().await?;
        let mark = self.chronicle.mark();
        self.cluster.seat(replica).link.cut().await;
        self.say(&format!(
            "{replica} is cut off; the volume goes on without it"
        ));
        self.device.write_somewhere(WRITES).await?;
        self.device.flush().await?;
        self.say(&format!(
            "{WRITES} writes and a flush are acknowledged by the two others"
        ));
        self.cluster.until_missed(&self.primary, replica).await?;
        self.device.write_somewhere(WRITES).await?;
        self.device.flush().await?;

        self.cluster.seat(replica).link.mend();
        self.say("the cable is mended");
        let fact = format!("a session with {replica} completes");
        let of_replica = |told: &Told| told.is("completed", replica);
        let completed = self.chronicle.wait_for(&fact, mark, of_replica).await?;
        let achieved = completed.number("achieved").unwrap_or_default();
        self.cluster.until_in_sync(&self.primary, replica).await?;
        self.say(&format!(
            "{replica} caught up from the log: a barrier proved it durable up to entry {achieved}"
        ));
        Ok(())
    }

    /// Kills the primary while it has a tail that nobody else has; returns its label.
    async fn failover(&mut self) -> Result<ReplicaId, Failure> {
        self.narrator
            .act("The primary is killed with writes that nobody else has");
        self.all_in_sync().await?;
        self.device.write_somewhere(WRITES).await?;
        self.device.flush().await?;
        let old = self.primary.clone();
        let submitted = self.log_a_tail(&old).await?;
        self.cluster.kill(&old)?;
        self.say(&format!("{old} is killed (SIGKILL)"));
        none_was_acknowledged(submitted).await?;
        self.say(&format!(
            "none of the {TAIL} writes was acknowledged: their client was cut off"
        ));
        for replica in self.cluster.others(&old) {
            self.cluster.seat(&replica).link.mend();
        }

        self.say(&format!(
            "a promotion is asked for; the lease of {old} has to run out first"
        ));
        let record = self.cluster.promote().await?;
        self.primary = primary_of(&record)?;
        if self.primary == old {
            return Err(Failure::Step(format!("{old} is dead and was promoted")));
        }
        let nbd = self.cluster.seat(&self.primary).places.nbd;
        self.say(&format!(
            "{} is the primary of epoch {}; the client goes to nbd://{nbd}/{VOLUME}",
            self.primary, record.epoch
        ));
        self.device.reattach(nbd).await?;
        self.device.verify("the volume at the new primary").await?;
        self.say("every block reads as it was acknowledged, and nothing of the lost tail is seen");
        self.device.write_somewhere(WRITES).await?;
        self.device.flush().await?;
        self.say(&format!(
            "{WRITES} more writes and a flush are acknowledged"
        ));
        Ok(old)
    }

    /// Has the primary log writes that no replica gets.
    async fn log_a_tail(&mut self, primary: &ReplicaId) -> Result<Vec<Submitted>, Failure> {
        for replica in self.cluster.others(primary) {
            self.cluster.seat(&replica).link.cut().await;
        }
        let head = self.cluster.status(primary).await?.head.0;
        self.say(&format!(
            "both replicas are cut off; the log of {primary} ends at entry {head}"
        ));
        let submitted = self.device.submit(TAIL);
        let wanted = head + TAIL as u64;
        let fact = format!("{primary} logs the writes");
        let logged = until(&fact, async || match self.cluster.status(primary).await {
            Ok(status) if status.head.0 >= wanted => Ok(status.head.0),
            Ok(status) => Err(format!("its log ends at entry {}", status.head)),
            Err(failure) => Err(failure.to_string()),
        });
        let logged = logged.await?;
        self.say(&format!(
            "{primary} alone has logged {TAIL} more writes, up to entry {logged}"
        ));
        Ok(submitted)
    }

    async fn divergent_tail(&mut self, old: &ReplicaId) -> Result<(), Failure> {
        self.narrator
            .act("The old primary returns with a divergent tail");
        let mark = self.chronicle.mark();
        self.cluster.start_node(old).await?;
        let fact = format!("the tail of {old} is truncated");
        let of_old = |told: &Told| told.is("truncated", old);
        let cut = self.chronicle.wait_for(&fact, mark, of_old).await?;
        if cut.by != self.primary {
            return Err(Failure::Step(format!(
                "{} is not the primary and cut {old}",
                cut.by
            )));
        }
        let to = cut.number("to").unwrap_or_default();
        self.cluster.until_in_sync(&self.primary, old).await?;
        self.say(&format!(
            "{old} cut its log after entry {to}, the last that it shares with {}, and caught up",
            self.primary
        ));
        Ok(())
    }

    async fn lost_disk(&mut self, replica: &ReplicaId) -> Result<(), Failure> {
        self.narrator
            .act("A replica loses its disk and is rebuilt while writes go on");
        self.all_in_sync().await?;
        self.cluster.kill(replica)?;
        self.cluster.until_missed(&self.primary, replica).await?;
        let before = self.cluster.store_directory(replica);
        self.cluster.empty(replica)?;
        self.say(&format!(
            "{replica} is killed and {} deleted",
            before.display()
        ));
        let mark = self.chronicle.mark();
        self.cluster.start_node(replica).await?;
        self.cluster.replace(replica).await?;
        self.say(&format!(
            "{replica} is back and makes nothing up; told to (`holdfast replica replace`), it has a new, \
             empty store under an old name"
        ));
        let written = self.write_until_rebuilt(replica).await?;
        for event in ["transfer_began", "base_installed", "completed"] {
            let fact = format!("the rebuild of {replica}: {event}");
            let told = |told: &Told| told.is(event, replica);
            self.chronicle.wait_for(&fact, mark, told).await?;
        }
        self.device.flush().await?;
        self.say(&format!(
            "{replica} is rebuilt and in sync; {written} writes were acknowledged meanwhile"
        ));
        Ok(())
    }

    /// Writes on until a replica is in sync, and shows how far its rebuild is.
    async fn write_until_rebuilt(&mut self, replica: &ReplicaId) -> Result<usize, Failure> {
        let volume_bytes = self.device.reference().bytes().len() as u64;
        let narrator = self.narrator;
        let mut progress = narrator.progress("rebuilding", volume_bytes);
        let mut written = 0;
        let patience = PATIENCE + REBUILD_PATIENCE * (volume_bytes >> 20) as u32;
        until_within(patience, &format!("{replica} is rebuilt"), async || {
            if let Err(failure) = self.device.write_somewhere(WRITES_PER_LOOK).await {
                return Ok(Err(failure));
            }
            written += WRITES_PER_LOOK;
            match self.cluster.replica_status(&self.primary, replica).await {
                Ok(status) if is_in_sync(&status) => Ok(Ok(())),
                Ok(status) => {
                    if let Some((done, _)) = status.chunks {
                        progress.at(done * CHUNK_BYTES);
                    }
                    Err(format!("{status:?}"))
                }
                Err(failure) => Err(failure.to_string()),
            }
        })
        .await??;
        progress.finish();
        Ok(written)
    }

    /// The last act: every block of every copy, read through the primary and then at rest.
    ///
    /// # Errors
    /// [`Failure::Differs`] when a block of any copy is not what was acknowledged; or the first
    /// thing that did not happen.
    pub(crate) async fn judge(&mut self) -> Result<Verdict, Failure> {
        self.narrator.act("Every block of every copy");
        self.device.write_somewhere(WRITES).await?;
        self.device.flush().await?;
        self.all_in_sync().await?;
        let head = self.cluster.status(&self.primary).await?.head;
        for replica in self.two_others() {
            let fact = format!("{replica} is durable up to entry {head}");
            until(&fact, async || match self.cluster.status(&replica).await {
                Ok(status) if status.durable >= head => Ok(()),
                Ok(status) => Err(format!("up to entry {}", status.durable)),
                Err(failure) => Err(failure.to_string()),
            })
            .await?;
        }
        self.device.verify("the volume at the primary").await?;
        let blocks = self.device.reference().blocks();
        self.say(&format!(
            "through NBD, at {}: {blocks} blocks as acknowledged",
            self.primary
        ));

        let [first, second] = self.two_others();
        let all = [self.primary.clone(), first, second];
        for id in &all {
            self.cluster.stop_node(id).await?;
        }
        self.say("the nodes are stopped; their stores are read by the storage alone");
        let mut reaches = Vec::new();
        for id in &all {
            let directory = self.cluster.store_directory(id);
            let volume = self.cluster.volume();
            let reach = at_rest::verify(&directory, id, volume, self.device.reference())?;
            let durable = reach.durable;
            self.say(&format!(
                "at rest, {id}: {blocks} blocks as acknowledged, log up to {durable}"
            ));
            reaches.push((id, reach));
        }
        for (id, reach) in &reaches {
            if *reach != reaches[0].1 {
                let what = format!("its log is not that of the others: {reach:?}");
                let replica = (*id).clone();
                return Err(Failure::AtRest { replica, what });
            }
        }
        Ok(Verdict {
            blocks,
            copies: reaches.len(),
            digest: self.device.reference().digest(),
        })
    }

    /// Starts the nodes again, for whoever wants to use them.
    ///
    /// # Errors
    /// [`Failure`]: the first thing that did not happen.
    pub(crate) async fn encore(&mut self) -> Result<(), Failure> {
        self.narrator.act("The cluster stays up");
        for id in self.cluster.ids() {
            self.cluster.start_node(&id).await?;
        }
        let record = self.cluster.promote().await?;
        self.primary = primary_of(&record)?;
        let nbd = self.cluster.seat(&self.primary).places.nbd;
        self.device.reattach(nbd).await?;
        self.all_in_sync().await?;
        self.device
            .verify("the volume after a restart of every node")
            .await
    }

    /// The cluster, as it is, and its primary.
    pub(crate) const fn stage(&self) -> (&Cluster<'a>, &ReplicaId) {
        (&self.cluster, &self.primary)
    }

    /// Stops everything in order.
    ///
    /// # Errors
    /// When a node did not stop in order.
    pub(crate) async fn close(self) -> Result<(), Failure> {
        drop(self.device);
        self.cluster.stop().await
    }
}

fn primary_of(record: &holdfast_types::VolumeRecord) -> Result<ReplicaId, Failure> {
    let nobody = || Failure::Step(format!("epoch {} has no primary", record.epoch));
    record.primary.clone().ok_or_else(nobody)
}

/// A write that one copy alone has must not be acknowledged; with its connection gone it never is.
async fn none_was_acknowledged(submitted: Vec<Submitted>) -> Result<(), Failure> {
    for write in submitted {
        match write.await {
            Ok(Err(_)) => {}
            Ok(Ok(())) => {
                return Err(Failure::Step(
                    "a write that only the primary had was acknowledged".into(),
                ));
            }
            Err(error) => return Err(Failure::Environment(format!("a task ended: {error}"))),
        }
    }
    Ok(())
}
