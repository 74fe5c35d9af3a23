//! The cluster of the demo: three node processes, each with files, ports and a cable of its own,
//! and the embedded authority, which the demo serves from its own process so that any node can be
//! killed. The authority is a node without copies: the same code, reached over the same TCP.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_types::{ReplicaId, VolumeId, VolumeRecord};
use uuid::Uuid;

use super::chronicle::Chronicle;
use super::facts::until;
use super::failure::Failure;
use super::link::Link;
use super::places::{self, Places};
use super::process::NodeProcess;
use crate::config::Loaded;
use crate::runtime::{
    ControlClient, ControlReply, ControlRequest, MemberPlan, Node, NodeStatus, ReplicaStatus,
    Successor, VolumePlan, VolumeStatus,
};

/// The volume's name, and that of its NBD export.
pub(crate) const VOLUME: &str = "demo";

/// The nodes.
const NODES: [&str; 3] = ["r1", "r2", "r3"];

/// How long a request to a node may take; promotions wait for leases meanwhile.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// Time-outs short enough to watch. The log is much smaller than a made image, so that it goes
/// round and a replica that lost everything cannot be brought back from it alone.
const SETTINGS: &str = "\
[lease]
duration = \"2s\"
margin = \"200ms\"
[limits]
log_size = \"16MiB\"
write_timeout = \"20s\"
flush_timeout = \"20s\"
stall_timeout = \"1500ms\"
leave_after = \"3s\"
promotion_wait = \"3s\"
";

/// One node's place in the cluster, whether it runs or not.
pub(crate) struct Seat {
    /// The label of its copies.
    pub(crate) id: ReplicaId,
    /// Where it listens.
    pub(crate) places: Places,
    /// Its log.
    pub(crate) log: PathBuf,
    /// Its stores.
    pub(crate) directory: PathBuf,
    /// The cable that primaries reach it over.
    pub(crate) link: Link,
    config: PathBuf,
    process: Option<NodeProcess>,
}

impl Seat {
    fn control(&self) -> ControlClient {
        ControlClient::tcp(self.places.control, ANSWER_WAIT)
    }

    /// The id of its process, if one runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(NodeProcess::pid)
    }
}

/// The whole.
pub(crate) struct Cluster<'a> {
    seats: Vec<Seat>,
    authority: Node,
    volume: VolumeId,
    chronicle: &'a Chronicle,
}

fn environment(what: &str, error: impl std::fmt::Display) -> Failure {
    Failure::Environment(format!("{what}: {error}"))
}

/// Writes a configuration file and checks it as the node will.
fn configure(path: &Path, text: &str) -> Result<Loaded, Failure> {
    fs::write(path, text).map_err(|error| environment(&path.display().to_string(), error))?;
    // Without the environment, which the nodes do not get either.
    Loaded::from_file(path, [])
        .map_err(|error| environment("the nodes cannot be configured", error))
}

/// `[node]` and what follows, up to the settings that all have.
fn configuration(id: &str, directory: &Path, own: &str) -> String {
    // A TOML basic string is quoted as a JSON string is.
    let quoted = serde_json::Value::from(directory.display().to_string());
    let mut text = String::new();
    let _ = write!(
        text,
        "[node]\nid = \"{id}\"\ndata_dir = {quoted}\n{own}{SETTINGS}"
    );
    text
}

async fn start_authority(directory: &Path) -> Result<Node, Failure> {
    let own = "replication_listen = \"127.0.0.1:0\"\n\
               control_listen = \"127.0.0.1:0\"\n\
               [nbd]\nlisten = \"none\"\nunix_socket = \"none\"\n\
               [authority]\nkind = \"embedded\"\nlisten = \"127.0.0.1:0\"\n";
    let text = configuration("authority", &directory.join("authority"), own);
    let loaded = configure(&directory.join("authority.toml"), &text)?;
    Node::start(loaded.config)
        .await
        .map_err(|error| environment("the authority cannot be started", error))
}

async fn take_seat(
    id: &str,
    places: Places,
    directory: &Path,
    authority: std::net::SocketAddr,
) -> Result<Seat, Failure> {
    let Places { data, control, nbd } = places;
    let own = format!(
        "replication_listen = \"{data}\"\ncontrol_listen = \"{control}\"\n\
         [nbd]\nlisten = \"{nbd}\"\n\
         [authority]\nkind = \"remote\"\naddress = \"{authority}\"\n"
    );
    let config = directory.join(format!("{id}.toml"));
    configure(&config, &configuration(id, &directory.join(id), &own))?;
    let link = Link::to(data).await;
    Ok(Seat {
        id: ReplicaId::new(id).map_err(|error| environment("a label", error))?,
        places,
        log: directory.join(format!("{id}.log")),
        directory: directory.join(id),
        link: link.map_err(|error| environment("no port for a relay", error))?,
        config,
        process: None,
    })
}

impl<'a> Cluster<'a> {
    /// Starts everything in an empty directory; no volume yet.
    ///
    /// # Errors
    /// [`Failure::Environment`] when ports, files or processes cannot be had.
    pub(crate) async fn start(
        directory: &Path,
        chronicle: &'a Chronicle,
    ) -> Result<Cluster<'a>, Failure> {
        let authority = start_authority(directory).await?;
        let address = authority
            .authority_address()
            .ok_or_else(|| environment("the authority", "it serves nobody"))?;
        let seed = Uuid::new_v4().as_u64_pair().0;
        let mut seats = Vec::new();
        for (id, places) in NODES
            .into_iter()
            .zip(places::free::<{ NODES.len() }>(seed)?)
        {
            seats.push(take_seat(id, places, directory, address).await?);
        }
        let mut cluster = Self {
            seats,
            authority,
            volume: VolumeId(Uuid::nil()),
            chronicle,
        };
        for id in cluster.ids() {
            cluster.start_node(&id).await?;
        }
        Ok(cluster)
    }

    /// Every label.
    pub(crate) fn ids(&self) -> Vec<ReplicaId> {
        self.seats.iter().map(|seat| seat.id.clone()).collect()
    }

    /// Every label but that one.
    pub(crate) fn others(&self, than: &ReplicaId) -> Vec<ReplicaId> {
        let mut ids = self.ids();
        ids.retain(|id| id != than);
        ids
    }

    /// Every seat.
    pub(crate) fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// One seat.
    pub(crate) fn seat(&self, id: &ReplicaId) -> &Seat {
        let seat = self.seats.iter().find(|seat| seat.id == *id);
        seat.expect("only the labels of this cluster are asked for")
    }

    fn seat_mut(&mut self, id: &ReplicaId) -> &mut Seat {
        let seat = self.seats.iter_mut().find(|seat| seat.id == *id);
        seat.expect("only the labels of this cluster are asked for")
    }

    /// The volume, once it is created.
    pub(crate) const fn volume(&self) -> VolumeId {
        self.volume
    }

    /// Where promotions are asked for: the node that serves the authority.
    pub(crate) fn authority_control(&self) -> std::net::SocketAddr {
        self.authority.control_address()
    }

    fn ask_authority(&self) -> ControlClient {
        ControlClient::tcp(self.authority_control(), ANSWER_WAIT)
    }

    /// Creates the volume with a copy on every node, reached over its cable.
    ///
    /// # Errors
    /// When the cluster refuses.
    pub(crate) async fn create_volume(&mut self, blocks: u64) -> Result<VolumeRecord, Failure> {
        let members = self.seats.iter().map(|seat| MemberPlan {
            control: seat.places.control,
            data: Some(seat.link.address()),
        });
        let plan = VolumePlan {
            name: VOLUME.into(),
            blocks,
            members: members.collect(),
            mode: None,
            min_in_sync: None,
            write_ack: None,
        };
        let client = self.ask_authority();
        let reply = client.ask(&ControlRequest::CreateVolume(plan)).await?;
        let ControlReply::Promoted { record, .. } = reply else {
            return Err(client.unexpected().into());
        };
        self.volume = record.volume;
        Ok(*record)
    }

    /// Has the best eligible copy promoted; repeated until it succeeds, as an operator would.
    ///
    /// # Errors
    /// When nobody can be promoted.
    pub(crate) async fn promote(&self) -> Result<VolumeRecord, Failure> {
        let client = self.ask_authority();
        let request = ControlRequest::Promote {
            volume: VOLUME.into(),
            replica: None,
            forced: false,
        };
        until("a new primary is promoted", async || {
            match client.ask(&request).await {
                Ok(ControlReply::Promoted { record, .. }) => Ok(*record),
                Ok(_) => Err(client.unexpected().to_string()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
    }

    /// What a node says of the volume.
    ///
    /// # Errors
    /// When it does not answer, or has no store of it.
    pub(crate) async fn status(&self, id: &ReplicaId) -> Result<VolumeStatus, Failure> {
        let client = self.seat(id).control();
        let ControlReply::Status(status) = client.ask(&ControlRequest::Status).await? else {
            return Err(client.unexpected().into());
        };
        let NodeStatus { volumes, .. } = *status;
        let found = volumes
            .into_iter()
            .find(|found| found.volume == self.volume);
        found.ok_or_else(|| Failure::Step(format!("{id} has no store of the volume")))
    }

    /// What a primary says of another copy.
    ///
    /// # Errors
    /// As [`Cluster::status`]; or when the node is not its primary.
    pub(crate) async fn replica_status(
        &self,
        primary: &ReplicaId,
        replica: &ReplicaId,
    ) -> Result<ReplicaStatus, Failure> {
        let status = self.status(primary).await?;
        let role = status.role;
        let mut replicas = status.replicas.into_iter();
        replicas
            .find(|found| found.replica == *replica)
            .ok_or_else(|| {
                Failure::Step(format!(
                    "{primary} has no sender for {replica}, its role is {role:?}"
                ))
            })
    }

    /// Waits until a copy is in sync and in the in-sync set.
    ///
    /// # Errors
    /// When that does not come about.
    pub(crate) async fn until_in_sync(
        &self,
        primary: &ReplicaId,
        replica: &ReplicaId,
    ) -> Result<(), Failure> {
        until(&format!("{replica} is in sync"), async || {
            match self.replica_status(primary, replica).await {
                Ok(status) if is_in_sync(&status) => Ok(()),
                Ok(status) => Err(format!("{status:?}")),
                Err(failure) => Err(failure.to_string()),
            }
        })
        .await
    }

    /// Waits until the primary has noticed that a copy is gone.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) async fn until_missed(
        &self,
        primary: &ReplicaId,
        replica: &ReplicaId,
    ) -> Result<(), Failure> {
        until(&format!("{primary} misses {replica}"), async || match self
            .replica_status(primary, replica)
            .await
        {
            Ok(status) if status.state != "in_sync" => Ok(()),
            Ok(status) => Err(format!("{status:?}")),
            Err(failure) => Err(failure.to_string()),
        })
        .await
    }

    /// Starts a node, for the first time or again, and waits until it answers under its name.
    ///
    /// # Errors
    /// When it does not, or ends instead.
    pub(crate) async fn start_node(&mut self, id: &ReplicaId) -> Result<(), Failure> {
        let seat = self.seat_mut(id);
        let mut process = NodeProcess::start(&seat.id, &seat.config, &seat.log)?;
        let client = seat.control();
        let fact = format!("node {id} answers");
        let answered = until(&fact, async || {
            match process.ended() {
                Ok(None) => {}
                Ok(Some(status)) => return Ok(Err(process.ended_unasked(status))),
                Err(failure) => return Ok(Err(failure)),
            }
            match client.ask(&ControlRequest::Identify).await {
                Ok(ControlReply::Node(facts)) if facts.id == *id => Ok(Ok(())),
                Ok(other) => Err(format!("{other:?}")),
                Err(error) => Err(error.to_string()),
            }
        });
        answered.await??;
        seat.process = Some(process);
        let control = seat.places.control;
        self.chronicle.listen(id, control);
        Ok(())
    }

    /// Kills a node (SIGKILL).
    ///
    /// # Errors
    /// When it had ended before.
    pub(crate) fn kill(&mut self, id: &ReplicaId) -> Result<(), Failure> {
        match self.seat_mut(id).process.take() {
            Some(process) => process.kill(),
            None => Err(Failure::Step(format!("node {id} does not run"))),
        }
    }

    /// Where a node keeps its copy.
    pub(crate) fn store_directory(&self, id: &ReplicaId) -> PathBuf {
        let directory = self.seat(id).directory.join("volumes");
        directory.join(self.volume.to_string())
    }

    /// Deletes the copy of a node that was killed.
    ///
    /// # Errors
    /// When there is nothing to delete, or the system refuses.
    pub(crate) fn empty(&self, id: &ReplicaId) -> Result<(), Failure> {
        let directory = self.store_directory(id);
        fs::remove_dir_all(&directory)
            .map_err(|error: io::Error| environment(&directory.display().to_string(), error))
    }

    /// Has a node make an empty copy in place of the one that it lost.
    ///
    /// # Errors
    /// When it refuses.
    pub(crate) async fn replace(&self, id: &ReplicaId) -> Result<(), Failure> {
        let client = self.seat(id).control();
        let request = ControlRequest::ReplaceStore {
            volume: self.volume.to_string(),
        };
        let ControlReply::Store { .. } = client.ask(&request).await? else {
            return Err(client.unexpected().into());
        };
        Ok(())
    }

    /// Stops a node that runs, in order: its stores are closed.
    ///
    /// # Errors
    /// When it does not stop by itself with exit code 0.
    pub(crate) async fn stop_node(&mut self, id: &ReplicaId) -> Result<(), Failure> {
        let seat = self.seat_mut(id);
        let Some(process) = seat.process.take() else {
            return Ok(());
        };
        let client = seat.control();
        let stop = ControlRequest::Shutdown { hand_over: false };
        client.ask(&stop).await?;
        process.finished().await
    }

    /// Stops every node that still runs, then the authority.
    ///
    /// # Errors
    /// The first that did not stop in order; it was killed, as all others were stopped.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        let mut outcome = Ok(());
        for seat in &mut self.seats {
            // One that was killed from outside has nothing to close.
            let ended = seat.process.as_mut().map(NodeProcess::ended);
            if matches!(ended, Some(Ok(Some(_)))) {
                seat.process = None;
            }
        }
        for id in self.ids() {
            outcome = outcome.and(self.stop_node(&id).await);
        }
        self.authority.shutdown(Successor::None).await;
        outcome
    }
}

/// Whether a copy is equal to the primary's and counts.
pub(crate) fn is_in_sync(status: &ReplicaStatus) -> bool {
    status.state == "in_sync" && status.member
}
