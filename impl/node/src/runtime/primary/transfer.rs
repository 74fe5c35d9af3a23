//! The base transfer of a rebuild session, on a socket and this node's image.

use holdfast_blockvol::{BaseSource, RetentionPin};
use holdfast_engine::{Command, Evidence as Fact, PinSlot, RebuildCommand, RebuildEvidence};
use holdfast_types::{Lsn, RetainedHistory};
use holdfast_wire::{BaseInstalled, Manifest, RebuildBegin, RebuildSource as BaseKind};
use tokio::task::block_in_place;

use super::pace::Pace;
use super::session::{HeldBack, LOOK_EVERY, Link, Never, Session, SessionError};
use crate::rebuild::{RebuildSource, SourceBounds, SourceEvidence, SourceStep};

/// How often the split is tried to be taken between two checkpoints.
const SPLIT_TRIES: usize = 100;

impl Session<'_> {
    pub(super) async fn rebuild(&mut self, mut link: Link) -> Result<Never, SessionError> {
        let (base, history) = block_in_place(|| self.pin_base())?;
        let base_lsn = base.split();
        self.select(&history, base_lsn)?;
        let target = history
            .committed
            .max(history.epoch_start.unwrap_or(Lsn::ZERO));
        let begin = RebuildBegin {
            source: BaseKind::FullBase,
            target,
            base_lsn,
            blocks: self.primary.blocks(),
        };
        let chunks_total = base.chunk_count();
        let replica = self.token.replica.clone();
        let pace = Pace::begin(self.primary, replica, self.pin_bytes(), chunks_total);
        let (installed, retention) = self.transfer(&mut link, base, begin, &pace).await?;
        let (command, _) = self.step(Fact::Rebuild(RebuildEvidence::BaseInstalled {
            base_lsn: installed.base_lsn,
            extent_bound: installed.extent_bound,
        }))?;
        let shipper = self.shipper(base_lsn, None)?;
        let held = HeldBack {
            retention,
            _pace: Some(pace),
        };
        self.stream(link, shipper, command, Some(held)).await
    }

    /// A live base whose split is the checkpoint that the history names: both are pinned before
    /// anything is decided from them (F73, T17).
    fn pin_base(&self) -> Result<(BaseSource, RetainedHistory), SessionError> {
        let volume = self.primary.store().volume();
        for _ in 0..SPLIT_TRIES {
            let base = volume.begin_base(self.pin_bytes())?;
            let history = volume.history();
            if history.base.checkpoint == base.split() {
                return Ok((base, history));
            }
        }
        Err(SessionError::Malformed {
            what: "the checkpoint moved on each time that a base was pinned",
        })
    }

    /// Has the engine select the source, and reports both pins.
    fn select(&self, history: &RetainedHistory, base_lsn: Lsn) -> Result<(), SessionError> {
        self.step(Fact::History(history))?;
        let retained_from = self.primary.store().positions().retained_from;
        for slot in [PinSlot::Retention, PinSlot::Base] {
            let (command, _) = self.step(Fact::Rebuild(RebuildEvidence::Pinned {
                slot,
                retained_from,
            }))?;
            if command == Command::Rebuild(RebuildCommand::PrepareReplica) {
                tracing::info!(replica = %self.token.replica, %base_lsn, "a rebuild begins");
            }
        }
        Ok(())
    }

    /// Sends the base, chunk by chunk, until the replica has switched to it.
    async fn transfer(
        &self,
        link: &mut Link,
        base: BaseSource,
        begin: RebuildBegin,
        pace: &Pace,
    ) -> Result<(BaseInstalled, RetentionPin), SessionError> {
        let clock = self.primary.services.clock;
        let limits = self.primary.services.limits;
        let bounds = SourceBounds {
            answer: limits.stall_timeout,
            work: limits.sessions.stall,
        };
        let frame = (self.token.volume, self.token.epoch, self.token.session);
        let mut source = RebuildSource::new(frame, begin, bounds, clock.now());
        let mut base = Some(base);
        let mut retention = None;
        loop {
            match source.step() {
                SourceStep::Send(message) => link.send(message).await?,
                SourceStep::Read { index } => {
                    if let Some(base) = &base {
                        let (bytes, digest) = block_in_place(|| base.read(index))?;
                        let message = source.chunk(clock.now(), index, bytes, digest.0)?;
                        link.send(message).await?;
                    }
                }
                SourceStep::Finish => {
                    let Some(base) = base.take() else {
                        return Err(SessionError::Malformed {
                            what: "a base that was finished before",
                        });
                    };
                    let (manifest, pin) = block_in_place(|| base.finish())?;
                    retention = Some(pin);
                    let manifest = Manifest {
                        base_lsn: manifest.base_lsn,
                        extent_bound: manifest.extent_bound,
                        blocks: manifest.blocks,
                        sha256: manifest.digest.0,
                        lineage: manifest.lineage,
                    };
                    let message = source.manifest(clock.now(), manifest);
                    link.send(message).await?;
                }
                SourceStep::Wait => {
                    link.flush().await?;
                    let look_at = clock.instant(clock.now() + LOOK_EVERY);
                    let frame = tokio::select! {
                        frame = link.reader.next() => Some(frame?),
                        () = tokio::time::sleep_until(look_at) => None,
                    };
                    if let Some(frame) = frame {
                        let evidence = source.receive(clock.now(), &frame)?;
                        if let SourceEvidence::Installed { chunks } = evidence {
                            pace.installed(chunks);
                        }
                        let switched = self.note(evidence, source.chunks_total())?;
                        if let (Some(installed), Some(pin)) = (switched, retention.take()) {
                            return Ok((installed, pin));
                        }
                    }
                }
            }
            source.check(clock.now())?;
            let before = base.as_ref().map(BaseSource::held_bytes);
            let after = retention.as_ref().map(RetentionPin::held_bytes);
            self.within_budget(before.or(after).unwrap_or(0))?;
        }
    }

    /// Tells the engine what the replica has proven.
    fn note(
        &self,
        evidence: SourceEvidence,
        chunks_total: u64,
    ) -> Result<Option<BaseInstalled>, SessionError> {
        let fact = match evidence {
            SourceEvidence::Ready => RebuildEvidence::ReplicaReady { chunks_total },
            SourceEvidence::Installed { chunks } => RebuildEvidence::ChunksInstalled {
                chunks_done: chunks,
            },
            SourceEvidence::Switched(installed) => return Ok(Some(installed)),
        };
        match self.step(Fact::Rebuild(fact))? {
            (Command::Ended { cause }, _) => Err(SessionError::Ended { cause }),
            (
                Command::Dial { .. }
                | Command::SendHello
                | Command::AwaitReport
                | Command::SelectSource
                | Command::CatchUp(_)
                | Command::Rebuild(_)
                | Command::KeepUp,
                _,
            ) => Ok(None),
        }
    }
}
