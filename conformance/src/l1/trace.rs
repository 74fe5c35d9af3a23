//! A recorded run of the specification, replayed on the specification and on the engine.
//!
//! A trace comes from outside. It is read by the specification's own reader, whose work is held
//! against a count of the lines that is made here: a reader that loses or invents a step must not
//! make a shorter run look like a whole one.

use std::io::{self, BufRead, Read};

use holdfast_model::checking::{Header, Spec as _, Trace, TraceError, read_header};
use holdfast_model::session::Session as Spec;

use super::rig::{EngineRig, Lens};
use crate::product::{Followed, follow};

/// The rules of the protocol, as a trace's header names them.
const PROTOCOL: &str = "holdfast";

/// Reads a whole trace.
pub type Reader = fn(&mut dyn BufRead) -> Result<Trace<Spec>, TraceError>;

/// What a replay found.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The trace's first line.
    pub header: Header,
    /// How far both sides were driven.
    pub followed: Followed<Spec>,
    /// Lines with a call.
    pub lines: usize,
    /// Calls that the reader found in them.
    pub read: usize,
}

impl Replay {
    /// What is wrong, in one sentence; `None`: the two sides agree on every call of the trace. A
    /// mutant's trace may leave the protocol, which is what it is there to show.
    #[must_use]
    pub fn finding(&self) -> Option<String> {
        let followed = &self.followed;
        let line = |step: usize| step + 2;
        if let Some(disagreement) = &followed.disagreement {
            let what = &disagreement.difference.what;
            return Some(format!(
                "line {}: the two sides differ: {what}",
                line(followed.steps)
            ));
        }
        if self.read != self.lines {
            return Some(format!(
                "{} calls were read from {} lines",
                self.read, self.lines
            ));
        }
        if self.lines == 0 {
            return Some("the trace has no call: nothing was checked".into());
        }
        if self.header.rules != PROTOCOL {
            return None;
        }
        if let Some(step) = followed.departs {
            return Some(format!(
                "line {}: the protocol answers otherwise",
                line(step)
            ));
        }
        let step = followed.not_offered?;
        Some(format!(
            "line {}: the call cannot be asked for in this state",
            line(step)
        ))
    }
}

/// Reads a trace as the specification does.
///
/// # Errors
/// [`TraceError`] with the line of the first defect.
pub fn read(mut input: &mut dyn BufRead) -> Result<Trace<Spec>, TraceError> {
    let header = read_header(&mut input)?;
    Trace::read_steps(header, &mut input)
}

/// Replays a trace.
///
/// # Errors
/// [`TraceError`] when the trace is malformed, or names a specification, an instance or an initial
/// state that does not exist.
pub fn check(input: &mut dyn BufRead, reader: Reader, lens: Lens) -> Result<Replay, TraceError> {
    let mut counted = LineCounter {
        inner: input,
        lines: 0,
        blank: true,
    };
    let trace = reader(&mut counted)?;
    let lines = counted.count_to_end()?.saturating_sub(1);
    let header = trace.header.clone();
    let unknown = |what, name: &str| TraceError::Unknown {
        what,
        name: name.to_owned(),
    };
    if header.spec != Spec::NAME {
        return Err(unknown("specification that L1 drives", &header.spec));
    }
    let spec = Spec::at(&header.instance).ok_or_else(|| unknown("instance", &header.instance))?;
    let followed = follow(&EngineRig::new(spec, lens), &trace)
        .ok_or_else(|| unknown("initial state", &header.initial))?;
    Ok(Replay {
        header,
        followed,
        lines,
        read: trace.steps.len(),
    })
}

/// Counts the lines that are not blank on their way to the reader.
struct LineCounter<'a> {
    inner: &'a mut dyn BufRead,
    lines: usize,
    blank: bool,
}

impl LineCounter<'_> {
    fn count(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                self.lines += usize::from(!self.blank);
                self.blank = true;
            } else if !byte.is_ascii_whitespace() {
                self.blank = false;
            }
        }
    }

    /// The number of lines, those included that the reader left.
    fn count_to_end(mut self) -> Result<usize, TraceError> {
        loop {
            let left = self.fill_buf().map(<[u8]>::len);
            match left {
                Ok(0) => return Ok(self.lines + usize::from(!self.blank)),
                Ok(bytes) => self.consume(bytes),
                Err(e) => {
                    return Err(TraceError::Unreadable {
                        line: self.lines + 1,
                        why: e.to_string(),
                    });
                }
            }
        }
    }
}

impl Read for LineCounter<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.read(buffer)?;
        self.count(&buffer[..bytes]);
        Ok(bytes)
    }
}

impl BufRead for LineCounter<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        // What is consumed was filled before, so this gives the same bytes again.
        let seen = self.inner.fill_buf().map(|filled| filled[..bytes].to_vec());
        self.count(&seen.unwrap_or_default());
        self.inner.consume(bytes);
    }
}
