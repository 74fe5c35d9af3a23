//! Programs under test: started with their output in a file, killed as a power cut would, stopped
//! as a hung host would be, and never left behind.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::wait;

/// Bytes of a log shown when a test fails.
const LOG_TAIL: usize = 4000;

/// A running program. It dies, by SIGKILL, with this value.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program. What it prints, on both streams, is appended to `<name>.log` in
    /// `log_directory`; restarts under one name share the file.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(name: &str, command: &mut Command, log_directory: &Path) -> Self {
        let log = log_directory.join(format!("{name}.log"));
        let open = || File::options().create(true).append(true).open(&log);
        let output = open().unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let errors = output
            .try_clone()
            .unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name} ({command:?}): {error}"));
        Self {
            name: name.to_owned(),
            child,
            log,
        }
    }

    /// The name it was started under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has printed so far, under this name.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The end of [`Process::log`], for messages.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let mut from = log.len().saturating_sub(LOG_TAIL);
        while !log.is_char_boundary(from) {
            from += 1;
        }
        format!("--- end of {} ---\n{}", self.log.display(), &log[from..])
    }

    /// How it ended, if it has.
    ///
    /// # Panics
    /// When the system cannot say.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child
            .try_wait()
            .unwrap_or_else(|error| panic!("cannot ask for {}: {error}", self.name))
    }

    /// Kills it without warning (SIGKILL) and waits until it is gone.
    ///
    /// # Panics
    /// When it had ended already, as then the test has not tested what it wanted to.
    pub fn kill(mut self) {
        if let Some(status) = self.ended() {
            panic!(
                "{} ended on its own ({status})\n{}",
                self.name,
                self.log_tail()
            );
        }
        let status = self.child.kill().and_then(|()| self.child.wait());
        match status {
            Ok(status) => assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{status}"),
            Err(error) => panic!("cannot kill {}: {error}", self.name),
        }
    }

    /// Asks it to end (SIGTERM) and returns how it did.
    ///
    /// # Panics
    /// When it has not ended in time.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait(wait::PATIENCE)
    }

    /// Freezes it (SIGSTOP): its sockets stay open and nothing answers.
    ///
    /// # Panics
    /// When it has ended.
    pub fn freeze(&mut self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Panics
    /// When it has ended.
    pub fn thaw(&mut self) {
        self.signal(Signal::CONT);
    }

    /// Waits for it to end on its own.
    ///
    /// # Panics
    /// When it has not in time.
    pub fn wait(&mut self, patience: Duration) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        let ended = wait::until(&what, patience, || self.ended().ok_or("it runs"));
        ended.unwrap_or_else(|message| panic!("{message}\n{}", self.log_tail()))
    }

    /// Waits for a fact about it, and fails at once when it ends instead.
    ///
    /// # Panics
    /// When it ends, or the fact does not come true in time; both with the end of its log.
    pub fn until<T>(&mut self, what: &str, mut fact: impl FnMut() -> Result<T, String>) -> T {
        let name = self.name.clone();
        let outcome = wait::until(&format!("{name}: {what}"), wait::PATIENCE, || {
            if let Some(status) = self.ended() {
                return Ok(Err(format!("{name} ended ({status}) instead of: {what}")));
            }
            fact().map(Ok)
        });
        match outcome.and_then(|outcome| outcome) {
            Ok(found) => found,
            Err(message) => panic!("{message}\n{}", self.log_tail()),
        }
    }

    fn signal(&mut self, signal: Signal) {
        if let Some(status) = self.ended() {
            panic!(
                "{} ended on its own ({status})\n{}",
                self.name,
                self.log_tail()
            );
        }
        // Not yet waited for, so the id is still its own.
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let id = id.expect("a child's id is a positive number");
        if let Err(error) = kill_process(id, signal) {
            panic!("cannot send {signal:?} to {}: {error}", self.name);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log_tail());
        }
        // It may have ended already; either way nothing is left.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::Process;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;
    use std::time::Duration;

    fn shell(script: &str, dir: &tempfile::TempDir) -> Process {
        Process::start("shell", Command::new("sh").args(["-c", script]), dir.path())
    }

    /// The state letter of a process in /proc, `None` when there is no such process.
    fn state(id: u32) -> Option<char> {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    }

    #[test]
    fn what_a_process_prints_is_kept_over_restarts() {
        let dir = tempfile::tempdir().unwrap();
        assert!(
            shell("echo one", &dir)
                .wait(Duration::from_secs(10))
                .success()
        );
        let mut again = shell("echo two >&2; exit 3", &dir);
        assert_eq!(again.wait(Duration::from_secs(10)).code(), Some(3));
        assert_eq!(again.log(), "one\ntwo\n");
    }

    #[test]
    fn a_fact_is_waited_for_and_then_the_process_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = shell("echo ready; exec sleep 600", &dir);
        let id = process.id();
        let log = dir.path().join("shell.log");
        process.until("says ready", || {
            let log = std::fs::read_to_string(&log).map_err(|error| error.to_string())?;
            if log.contains("ready") {
                Ok(())
            } else {
                Err(log)
            }
        });
        process.kill();
        assert_eq!(state(id), None);
    }

    #[test]
    #[should_panic(expected = "ended")]
    fn a_process_that_ends_instead_of_getting_ready_fails_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = shell("exit 7", &dir);
        process.until("never happens", || Err::<(), _>("no".to_owned()));
    }

    #[test]
    #[should_panic(expected = "ended on its own")]
    fn killing_a_process_that_is_gone_is_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = shell("exit 0", &dir);
        process.wait(Duration::from_secs(10));
        process.kill();
    }

    #[test]
    fn a_process_can_be_frozen_thawed_and_asked_to_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = shell("exec sleep 600", &dir);
        let id = process.id();
        let wait_for = |wanted: char| {
            crate::wait::until("its state", crate::wait::PATIENCE, || match state(id) {
                Some(now) if now == wanted => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .unwrap();
        };
        process.freeze();
        wait_for('T');
        process.thaw();
        wait_for('S');
        assert_eq!(process.terminate().signal(), Some(15));
    }

    #[test]
    fn a_process_dies_with_its_value() {
        let dir = tempfile::tempdir().unwrap();
        let process = shell("exec sleep 600", &dir);
        let id = process.id();
        drop(process);
        assert_eq!(state(id), None);
    }
}
