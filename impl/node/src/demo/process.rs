//! A node as a process of its own: this same executable, running `node --config FILE`.
//!
//! It never outlives the demo: it is killed when its value is dropped, and it ends by itself when
//! its standard input does, which is a pipe that only the demo holds, so that it goes even when
//! the demo itself is killed.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use holdfast_types::ReplicaId;

use super::facts::until;
use super::failure::Failure;

/// Bytes of a node's log that are shown when it ends unasked.
const LOG_TAIL: usize = 2000;

/// A running node. Dropping it kills it (SIGKILL).
#[derive(Debug)]
pub(crate) struct NodeProcess {
    id: ReplicaId,
    child: Child,
    log: PathBuf,
}

impl NodeProcess {
    /// Starts a node; what it prints is appended to `log`.
    ///
    /// # Errors
    /// [`Failure::Environment`] when no process can be had.
    pub(crate) fn start(id: &ReplicaId, config: &Path, log: &Path) -> Result<Self, Failure> {
        let failed = |what: &str, error: std::io::Error| {
            Failure::Environment(format!("cannot start node {id}: {what}: {error}"))
        };
        let executable = std::env::current_exe().map_err(|e| failed("this executable", e))?;
        let output = File::options().create(true).append(true).open(log);
        let output = output.map_err(|e| failed("its log", e))?;
        let errors = output.try_clone().map_err(|e| failed("its log", e))?;
        let mut command = Command::new(executable);
        for variable in overrides(std::env::vars_os().map(|(name, _)| name)) {
            command.env_remove(variable);
        }
        let child = command
            .args(["node", "--until-stdin-ends", "--config"])
            .arg(config)
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            // Ctrl-C on a terminal reaches the demo alone, which stops its nodes in order.
            .process_group(0)
            .spawn()
            .map_err(|e| failed("the process", e))?;
        Ok(Self {
            id: id.clone(),
            child,
            log: log.to_owned(),
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>, Failure> {
        self.child.try_wait().map_err(|error| {
            Failure::Environment(format!("cannot ask for node {}: {error}", self.id))
        })
    }

    /// Kills it as the loss of its process would (SIGKILL); returns when it is gone.
    ///
    /// # Errors
    /// When it had ended by itself.
    pub(crate) fn kill(mut self) -> Result<(), Failure> {
        if let Some(status) = self.ended()? {
            return Err(self.ended_unasked(status));
        }
        self.child
            .kill()
            .and_then(|()| self.child.wait())
            .map(drop)
            .map_err(|error| Failure::Environment(format!("cannot kill node {}: {error}", self.id)))
    }

    /// Waits until it has ended as it was asked to.
    ///
    /// # Errors
    /// When it does not, or not with exit code 0.
    pub(crate) async fn finished(mut self) -> Result<(), Failure> {
        let fact = format!("node {} has stopped", self.id);
        let status = until(&fact, async || match self.ended() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err("it runs".into()),
            Err(failure) => Err(failure.to_string()),
        });
        let status = status.await?;
        if status.success() {
            return Ok(());
        }
        Err(self.ended_unasked(status))
    }

    /// The failure that a node's end is.
    pub(crate) fn ended_unasked(&self, status: ExitStatus) -> Failure {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let tail = &log[log.len().saturating_sub(LOG_TAIL)..];
        Failure::Step(format!(
            "node {} ended ({status}); the end of its log:\n{}",
            self.id,
            String::from_utf8_lossy(tail).trim_end()
        ))
    }
}

/// The variables that would override a node's configuration file: what is meant for some other node
/// must not reach those of the demo.
fn overrides(names: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    names.filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("HOLDFAST_") && name.contains("__")
    })
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // It may have ended already; either way nothing is left.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::overrides;

    #[test]
    fn what_overrides_another_nodes_configuration_is_kept_from_the_demos() {
        let names = [
            "PATH",
            "HOLDFAST_NODE__ID",
            "HOLDFAST_SEED",
            "HOLDFAST_LOG__LEVEL",
        ];
        let found: Vec<_> = overrides(names.into_iter().map(OsString::from)).collect();
        assert_eq!(found, ["HOLDFAST_NODE__ID", "HOLDFAST_LOG__LEVEL"]);
    }
}
