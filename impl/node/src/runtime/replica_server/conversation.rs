//! The socket around one [`ReplicaLink`]: frames in, answers out.
//!
//! Promises: the session ends, whatever it is doing, when a newer one was admitted or a higher epoch
//! promised, and when its primary takes no answer for too long; what has come already is taken
//! before anything is answered, so that those who wait share a sync, and answers share a packet.

use std::sync::Arc;
use std::time::Duration;

use holdfast_wire::{Frame, Message, Refusal};
use tokio::task::block_in_place;
use tokio::time::timeout;

use super::super::clock::Clock;
use super::super::framed::{FrameReader, FrameWriter, StreamError};
use super::link::ReplicaLink;
use super::{Ended, torn};
use crate::replication::{About, superseded};
use crate::tls::{ReadHalf, WriteHalf};

/// One connection, from a hello that may be admitted to its end.
pub(super) struct Conversation<'a> {
    pub(super) link: ReplicaLink,
    /// For whom the hello spoke.
    pub(super) own: About,
    pub(super) clock: Clock,
    /// How long the primary may take no answer.
    pub(super) idle: Duration,
    pub(super) reader: &'a mut FrameReader<ReadHalf>,
    pub(super) writer: &'a mut FrameWriter<WriteHalf>,
}

impl Conversation<'_> {
    /// Admits the hello and lives for its session.
    pub(super) async fn run(&mut self, hello: Frame) -> Ended {
        let About { epoch, session, .. } = self.own;
        let store = Arc::clone(self.link.store());
        match block_in_place(|| self.link.take(self.clock.now(), hello)) {
            Ok(Some(answer)) => {
                if let Err(lost) = self.send(answer).await {
                    return lost.into();
                }
            }
            Ok(None) => {}
            Err(refusal) => return self.refused(refusal),
        }
        let own = self.own;
        tokio::select! {
            ended = self.stream() => ended,
            present = store.superseded(epoch, session) => Ended::Refused {
                about: own,
                refusal: superseded(epoch, session, present),
            },
        }
    }

    const fn refused(&self, refusal: Refusal) -> Ended {
        Ended::Refused {
            about: self.own,
            refusal,
        }
    }

    async fn stream(&mut self) -> Ended {
        match self.take_all().await {
            Ok(ended) => ended,
            Err(StreamError::Closed) if self.reader.is_inside_a_frame() => torn(self.own),
            Err(error) => error.into(),
        }
    }

    async fn take_all(&mut self) -> Result<Ended, StreamError> {
        let mut moved = self.link.store().moved();
        let mut next: Option<Frame> = None;
        loop {
            if let Some(frame) = next.take() {
                let about = About::of(&frame);
                match block_in_place(|| self.link.take(self.clock.now(), frame)) {
                    Ok(Some(answer)) => self.send(answer).await?,
                    Ok(None) => {}
                    Err(refusal) => return Ok(Ended::Refused { about, refusal }),
                }
            }
            if self.link.session().takes_frames() {
                next = self.reader.buffered()?;
                if next.is_some() {
                    continue;
                }
            }
            moved.borrow_and_update();
            if let Err(refusal) = self.answer_all().await? {
                return Ok(self.refused(refusal));
            }
            self.flush().await?;
            let reads = self.link.session().takes_frames();
            let look_again = self.link.session().look_again(self.clock.now());
            tokio::select! {
                biased;
                frame = self.reader.next(), if reads => next = Some(frame?),
                _ = moved.changed() => {}
                () = tokio::time::sleep_until(self.clock.instant(look_again)) => {}
            }
            if let Err(refusal) = self.link.health() {
                return Ok(self.refused(refusal));
            }
            if next.is_none() && self.link.session().is_abandoned(self.clock.now()) {
                let doing = "waiting for the primary";
                return Err(StreamError::TimedOut { doing });
            }
        }
    }

    /// Answers what the store made possible since: a batch that had no room, and barriers.
    async fn answer_all(&mut self) -> Result<Result<(), Refusal>, StreamError> {
        match block_in_place(|| self.link.retry(self.clock.now())) {
            Ok(Some(answer)) => self.send(answer).await?,
            Ok(None) => {}
            Err(refusal) => return Ok(Err(refusal)),
        }
        match self.link.answers() {
            Ok(answers) => {
                for answer in answers {
                    self.send(answer).await?;
                }
            }
            Err(refusal) => return Ok(Err(refusal)),
        }
        Ok(Ok(()))
    }

    async fn send(&mut self, answer: Message) -> Result<(), StreamError> {
        let doing = "sending to the primary";
        timeout(self.idle, self.writer.send(&self.own.with(answer)))
            .await
            .map_err(|_| StreamError::TimedOut { doing })?
    }

    async fn flush(&mut self) -> Result<(), StreamError> {
        let doing = "sending to the primary";
        timeout(self.idle, self.writer.flush())
            .await
            .map_err(|_| StreamError::TimedOut { doing })?
    }
}
