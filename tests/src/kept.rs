//! A whole cluster with a volume, as `holdfast demo --keep` leaves it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::process::Process;
use crate::tools::Tool;
use crate::{binary, command, wait};

/// The demo breaks and mends its cluster before it leaves it to others.
const PATIENCE: Duration = Duration::from_secs(110);

/// One node of the cluster; a process of the demo's.
#[derive(Clone, Debug)]
pub struct KeptNode {
    /// The label of its copies.
    pub id: String,
    /// Its process.
    pub pid: u32,
    /// URI of the volume's export there.
    pub uri: String,
    /// Its control address.
    pub control: String,
}

/// The cluster; it ends with this value.
#[derive(Debug)]
pub struct Kept {
    /// The demo's process.
    pub demo: Process,
    /// Its nodes.
    pub nodes: Vec<KeptNode>,
    /// The volume's name.
    pub volume: String,
    /// The label of its primary at first.
    pub primary: String,
    /// The control address where promotions are asked for.
    pub authority: String,
}

impl Kept {
    /// Runs the demo on an image, and waits until it has left its cluster up. Its files are under
    /// `directory`.
    ///
    /// # Panics
    /// When the demo fails.
    #[must_use]
    pub fn start(image: &Path, directory: &Path) -> Self {
        let mut command = Command::new(binary::holdfast());
        command.args(["demo", "--keep", "--image"]).arg(image);
        command.env("TMPDIR", directory);
        let mut demo = Process::start("demo", &mut command, directory);
        let said = wait::until("the demo keeps its cluster", PATIENCE, || {
            if let Some(status) = demo.ended() {
                return Ok(Err(format!("the demo ended ({status})")));
            }
            let said = demo.log();
            if said.contains("\nAttach to ") {
                Ok(Ok(said))
            } else {
                Err("it plays")
            }
        });
        let said = said
            .and_then(|said| said)
            .unwrap_or_else(|message| panic!("{message}\n{}", demo.log_tail()));
        Self::read(demo, &said)
    }

    fn read(demo: Process, said: &str) -> Self {
        let mut nodes = Vec::new();
        let mut volume = BTreeMap::new();
        for line in said.lines().filter_map(|line| line.strip_prefix("kept ")) {
            let facts: BTreeMap<_, _> = line
                .split(' ')
                .filter_map(|fact| fact.split_once('='))
                .collect();
            if let Some(id) = facts.get("node") {
                nodes.push(KeptNode {
                    id: (*id).to_owned(),
                    pid: facts["pid"].parse().expect("a process id"),
                    uri: facts["uri"].to_owned(),
                    control: facts["control"].to_owned(),
                });
            } else {
                volume = facts;
            }
        }
        Self {
            demo,
            nodes,
            volume: volume["volume"].to_owned(),
            primary: volume["primary"].to_owned(),
            authority: volume["authority"].to_owned(),
        }
    }

    /// A node by its label.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn node(&self, id: &str) -> &KeptNode {
        let found = self.nodes.iter().find(|node| node.id == id);
        found.unwrap_or_else(|| panic!("no node {id} in {:?}", self.nodes))
    }

    /// Kills a node without warning (SIGKILL).
    ///
    /// # Panics
    /// When it is gone already.
    pub fn kill(&self, id: &str) {
        self.signal(id, Signal::KILL);
    }

    /// Freezes a node (SIGSTOP): its sockets stay open and nothing answers.
    ///
    /// # Panics
    /// When it is gone.
    pub fn freeze(&self, id: &str) {
        self.signal(id, Signal::STOP);
    }

    /// Lets a frozen node go on (SIGCONT).
    ///
    /// # Panics
    /// When it is gone.
    pub fn thaw(&self, id: &str) {
        self.signal(id, Signal::CONT);
    }

    /// Has a new primary promoted, waits until it serves, and returns its label.
    ///
    /// # Panics
    /// When that does not come about.
    #[must_use]
    pub fn promote(&self) -> String {
        let arguments = ["promote", &self.volume, "--node", &self.authority, "--json"];
        let promoted = command::holdfast(arguments).json();
        let primary = promoted["record"]["primary"].as_str().expect("a primary");
        let uri = &self.node(primary).uri;
        let served = wait::until("the new primary serves", wait::PATIENCE, || {
            let info = Tool::NbdInfo.attempt([uri]);
            if info.success { Ok(()) } else { Err(info.said) }
        });
        served.unwrap_or_else(|message| panic!("{message}\n{}", self.demo.log_tail()));
        primary.to_owned()
    }

    fn signal(&self, id: &str, signal: Signal) {
        let pid = i32::try_from(self.node(id).pid)
            .ok()
            .and_then(Pid::from_raw);
        let pid = pid.expect("a process id is a positive number");
        // The demo, its parent, has not waited for it: the id is still its own.
        if let Err(error) = kill_process(pid, signal) {
            panic!("cannot send {signal:?} to {id}: {error}");
        }
    }
}
