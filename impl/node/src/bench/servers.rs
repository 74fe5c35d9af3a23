//! NBD servers as processes of their own: a node with a volume of one copy, and `nbdkit`'s file
//! plugin as the reference. They are killed when their value is dropped.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use holdfast_types::BLOCK_SIZE;

use super::raw::written_file;
use super::scratch::{During, Scratch};
use crate::failure::Failure;
use crate::nbd::Pipeline;
use crate::runtime::{
    ControlClient, ControlReply, ControlRequest, MemberPlan, NodePlace, VolumePlan,
};

/// The name of the volume, and of its export.
const VOLUME: &str = "bench";

/// How long a server may take to answer for the first time.
const START_WAIT: Duration = Duration::from_secs(20);

/// How long making a volume may take.
const CREATE_WAIT: Duration = Duration::from_secs(120);

/// Between two attempts to reach a server that is starting.
const ATTEMPT_EVERY: Duration = Duration::from_millis(20);

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    process: Child,
    socket: PathBuf,
    export: &'static str,
    /// Where the socket is: paths of sockets are short, and the directory of the files may not be.
    _sockets: Scratch,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; either way nothing is left.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    /// A connection to its export.
    pub(super) fn connect(&self) -> Result<Pipeline, Failure> {
        Pipeline::connect(&self.socket, self.export).during("an NBD connection")
    }

    /// Waits until its export answers.
    fn answering(self) -> Result<Self, Failure> {
        let begun = Instant::now();
        loop {
            match Pipeline::connect(&self.socket, self.export) {
                Ok(_) => return Ok(self),
                Err(_) if begun.elapsed() < START_WAIT => thread::sleep(ATTEMPT_EVERY),
                Err(error) => return Err(error).during("an NBD server"),
            }
        }
    }
}

/// `nbdkit` serving a file of so many bytes, all of them written; `None` where it is not installed.
pub(super) fn nbdkit_file(scratch: &Scratch, bytes: u64) -> Result<Option<Server>, Failure> {
    let file = scratch.path("nbdkit-file");
    written_file(&file, bytes).during("the file of nbdkit")?;
    let sockets = Scratch::inside(&std::env::temp_dir())?;
    let socket = sockets.path("nbd.sock");
    let spawned = Command::new("nbdkit")
        .args(["--foreground", "--exit-with-parent", "--unix"])
        .arg(&socket)
        .arg("file")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    match spawned {
        Ok(process) => Server {
            process,
            socket,
            export: "",
            _sockets: sockets,
        }
        .answering()
        .map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).during("nbdkit"),
    }
}

/// A node that serves a volume of one copy, of so many bytes, with as large a log.
pub(super) fn node(scratch: &Scratch, bytes: u64) -> Result<Server, Failure> {
    let sockets = Scratch::inside(&std::env::temp_dir())?;
    let (socket, admin) = (sockets.path("nbd.sock"), sockets.path("admin.sock"));
    let config = scratch.path("node.toml");
    let text = configuration(&scratch.path("node"), &admin, &socket, bytes);
    std::fs::write(&config, text).during("the configuration of a node")?;
    let process = std::env::current_exe()
        .and_then(|executable| {
            Command::new(executable)
                .args(["node", "--until-stdin-ends", "--config"])
                .arg(&config)
                // What overrides the configuration of another node is not meant for this one.
                .env_clear()
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
        })
        .during("a node")?;
    let server = Server {
        process,
        socket,
        export: VOLUME,
        _sockets: sockets,
    };
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .during("a runtime")?
        .block_on(create_volume(&admin, bytes))?;
    server.answering()
}

fn configuration(directory: &Path, admin: &Path, nbd: &Path, log_bytes: u64) -> String {
    // A TOML basic string is quoted as a JSON string is.
    let quoted = |path: &Path| serde_json::Value::from(path.display().to_string());
    format!(
        "[node]\nid = \"bench\"\ndata_dir = {}\nadmin_socket = {}\n\
         replication_listen = \"127.0.0.1:0\"\ncontrol_listen = \"127.0.0.1:0\"\n\
         [nbd]\nlisten = \"none\"\nunix_socket = {}\n\
         [authority]\nkind = \"embedded\"\nlisten = \"127.0.0.1:0\"\n\
         [limits]\nlog_size = \"{log_bytes}B\"\n\
         [log]\nlevel = \"warn\"\n",
        quoted(directory),
        quoted(admin),
        quoted(nbd),
    )
}

/// Waits for the node, then has it create the volume.
async fn create_volume(admin: &Path, bytes: u64) -> Result<(), Failure> {
    let client = ControlClient::new(NodePlace::Unix(admin.to_owned()), CREATE_WAIT);
    let begun = Instant::now();
    let control = loop {
        match client.ask(&ControlRequest::Identify).await {
            Ok(ControlReply::Node(facts)) => break facts.control,
            Err(_) if begun.elapsed() < START_WAIT => tokio::time::sleep(ATTEMPT_EVERY).await,
            Err(error) => return Err(error).during("a node"),
            Ok(_) => return Err(client.unexpected()).during("a node"),
        }
    };
    let plan = VolumePlan {
        name: VOLUME.into(),
        blocks: bytes / BLOCK_SIZE as u64,
        members: vec![MemberPlan {
            control,
            data: None,
        }],
        mode: None,
        min_in_sync: None,
        write_ack: None,
    };
    client
        .ask(&ControlRequest::CreateVolume(plan))
        .await
        .map(drop)
        .during("a volume")
}
