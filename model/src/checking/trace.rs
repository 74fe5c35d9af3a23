//! Traces: runs of a specification as JSON lines.
//!
//! The first line is a [`Header`]; every other line is one action by name with its parameters,
//! and `refused` with the reason where the call was not granted. Actions are never named by an
//! index, so that a trace outlives changes of the model.
//!
//! A trace comes from outside: it is read with bounds on lines and steps, and whatever is wrong
//! with it is said with the number of the line.

use std::fmt;
use std::io::BufRead;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Spec, action_text};

/// The longest line that is read.
pub const MAX_LINE_BYTES: usize = 64 * 1024;
/// The longest trace that is read.
pub const MAX_STEPS: usize = 1_000_000;

/// The first line of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Version of the format: [`Header::VERSION`].
    pub holdfast_trace: u32,
    /// The specification.
    pub spec: String,
    /// The instance, for its bounds.
    pub instance: String,
    /// `holdfast`, or the id of the mutant whose rules it follows.
    pub rules: String,
    /// The name of the initial state.
    pub initial: String,
    /// The property that falls at its end, if it is a counterexample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub falls: Option<String>,
    /// The command that generates it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

impl Header {
    /// The version that is written and read.
    pub const VERSION: u32 = 1;
    /// What [`Header::rules`] says where none is broken.
    pub const HOLDFAST: &'static str = "holdfast";
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceStep<A> {
    /// The action.
    pub action: A,
    /// Why it was refused, if it was.
    pub refused: Option<String>,
}

/// A run.
#[derive(Clone, Debug)]
pub struct Trace<S: Spec> {
    /// Where it begins and whose rules it follows.
    pub header: Header,
    /// What was asked for, in order.
    pub steps: Vec<TraceStep<S::Action>>,
}

impl<S: Spec> PartialEq for Trace<S> {
    fn eq(&self, other: &Self) -> bool {
        self.header == other.header && self.steps == other.steps
    }
}

impl<S: Spec> Eq for Trace<S> {}

/// What is wrong with a trace, and in which line (from 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceError {
    /// The file ended before the header.
    Empty,
    /// The line could not be read.
    Unreadable {
        /// The line.
        line: usize,
        /// What the reader said.
        why: String,
    },
    /// The line or the trace is longer than is read.
    TooLong {
        /// The line.
        line: usize,
    },
    /// The first line is no header.
    NoHeader {
        /// What the parser said.
        why: String,
    },
    /// The header is of another version.
    Version {
        /// The version found.
        found: u32,
    },
    /// The header names something that does not exist.
    Unknown {
        /// `specification`, `instance`, `rules` or `initial state`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The line is no action of the specification.
    NoAction {
        /// The line.
        line: usize,
        /// What the parser said: it lists the names that exist.
        why: String,
    },
    /// The specification refused a call that the trace says was granted, or the reverse, or gave
    /// another reason.
    Departs {
        /// The line.
        line: usize,
        /// The action.
        action: String,
        /// What the trace says.
        recorded: String,
        /// What the specification says.
        found: String,
    },
    /// The action cannot be asked for in the state that the trace is in.
    NotOffered {
        /// The line.
        line: usize,
        /// The action.
        action: String,
    },
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the trace is empty: its first line must be a header"),
            Self::Unreadable { line, why } => write!(f, "line {line}: cannot be read: {why}"),
            Self::TooLong { line } => write!(
                f,
                "line {line}: longer than is read (a line has at most {MAX_LINE_BYTES} bytes, a \
                 trace at most {MAX_STEPS} steps)"
            ),
            Self::NoHeader { why } => write!(f, "line 1: not the header of a trace: {why}"),
            Self::Version { found } => write!(
                f,
                "line 1: trace version {found}, this program reads version {}",
                Header::VERSION
            ),
            Self::Unknown { what, name } => write!(
                f,
                "line 1: there is no {what} named {name:?}; `holdfast-model list` names them"
            ),
            Self::NoAction { line, why } => write!(f, "line {line}: not an action: {why}"),
            Self::Departs {
                line,
                action,
                recorded,
                found,
            } => write!(
                f,
                "line {line}: {action}: the trace says {recorded}, the specification {found}"
            ),
            Self::NotOffered { line, action } => {
                write!(
                    f,
                    "line {line}: {action} cannot be asked for in this state and instance"
                )
            }
        }
    }
}

impl std::error::Error for TraceError {}

/// Reads the first line.
///
/// # Errors
/// [`TraceError`] when it is no header of this version.
pub fn read_header(input: &mut impl BufRead) -> Result<Header, TraceError> {
    let line = read_line(input, 1)?.ok_or(TraceError::Empty)?;
    let value: Value =
        serde_json::from_str(&line).map_err(|e| TraceError::NoHeader { why: e.to_string() })?;
    // The version is looked at first: another version may have other fields.
    if let Some(found) = value.get("holdfast_trace").and_then(Value::as_u64) {
        let found = u32::try_from(found).unwrap_or(u32::MAX);
        if found != Header::VERSION {
            return Err(TraceError::Version { found });
        }
    }
    serde_json::from_value(value).map_err(|e| TraceError::NoHeader { why: e.to_string() })
}

fn read_line(input: &mut impl BufRead, line: usize) -> Result<Option<String>, TraceError> {
    let mut bytes = Vec::new();
    let mut limited = std::io::Read::take(input, MAX_LINE_BYTES as u64 + 1);
    limited
        .read_until(b'\n', &mut bytes)
        .map_err(|e| TraceError::Unreadable {
            line,
            why: e.to_string(),
        })?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.len() > MAX_LINE_BYTES {
        return Err(TraceError::TooLong { line });
    }
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|e| TraceError::Unreadable {
            line,
            why: e.to_string(),
        })
}

impl<S: Spec> Trace<S> {
    /// Reads the lines that follow `header`.
    ///
    /// # Errors
    /// [`TraceError`] with the line of the first defect.
    pub fn read_steps(header: Header, input: &mut impl BufRead) -> Result<Self, TraceError> {
        let mut steps = Vec::new();
        let mut number = 2;
        while let Some(line) = read_line(input, number)? {
            if steps.len() == MAX_STEPS {
                return Err(TraceError::TooLong { line: number });
            }
            if !line.trim().is_empty() {
                steps.push(Self::parse_step(&line, number)?);
            }
            number += 1;
        }
        Ok(Self { header, steps })
    }

    fn parse_step(line: &str, number: usize) -> Result<TraceStep<S::Action>, TraceError> {
        let no_action = |why: String| TraceError::NoAction { line: number, why };
        let mut map: Map<String, Value> =
            serde_json::from_str(line).map_err(|e| no_action(e.to_string()))?;
        let refused = match map.remove("refused") {
            None => None,
            Some(Value::String(reason)) if S::refusals().contains(&reason.as_str()) => Some(reason),
            Some(other) => return Err(no_action(format!("{other} is no reason to refuse"))),
        };
        let action =
            serde_json::from_value(Value::Object(map)).map_err(|e| no_action(e.to_string()))?;
        Ok(TraceStep { action, refused })
    }

    /// The trace as JSON lines.
    ///
    /// # Panics
    /// When an action does not serialise to an object: a defect of the specification.
    #[must_use]
    pub fn to_lines(&self) -> String {
        let mut lines = serde_json::to_string(&self.header).expect("a header is plain data");
        lines.push('\n');
        for step in &self.steps {
            let mut value = serde_json::to_value(step.action).expect("an action is plain data");
            if let (Some(reason), Value::Object(map)) = (&step.refused, &mut value) {
                map.insert("refused".to_owned(), Value::String(reason.clone()));
            }
            lines.push_str(&value.to_string());
            lines.push('\n');
        }
        lines
    }

    /// Runs the trace through `spec` and gives every state on the way, the initial one first.
    ///
    /// # Errors
    /// [`TraceError`] at the first line on which the specification does not agree.
    pub fn replay(&self, spec: &S) -> Result<Vec<S::State>, TraceError> {
        let unknown = || TraceError::Unknown {
            what: "initial state",
            name: self.header.initial.clone(),
        };
        let initial = spec.initial();
        let (_, first) = initial
            .iter()
            .find(|(name, _)| *name == self.header.initial)
            .ok_or_else(unknown)?;
        let mut states = vec![*first];
        let mut at = *first;
        let mut calls = Vec::new();
        for (step, line) in self.steps.iter().zip(2..) {
            let action = action_text(&step.action);
            calls.clear();
            spec.calls(&at, &mut calls);
            if !calls.contains(&step.action) {
                return Err(TraceError::NotOffered { line, action });
            }
            let refused = spec.guard(&at, step.action).err();
            let found = refused.map(|r| S::refusals()[S::refusal_index(&r)]);
            if found != step.refused.as_deref() {
                let granted = |reason: Option<&str>| {
                    reason.map_or("granted".to_owned(), |r| format!("refused: {r}"))
                };
                let recorded = granted(step.refused.as_deref());
                return Err(TraceError::Departs {
                    line,
                    action,
                    recorded,
                    found: granted(found),
                });
            }
            if found.is_none() {
                at = spec.apply(&at, step.action).0;
            }
            states.push(at);
        }
        Ok(states)
    }

    /// The run as text: every call, what became of it, and the state after it.
    ///
    /// # Errors
    /// As [`Trace::replay`].
    pub fn narrate(&self, spec: &S) -> Result<String, TraceError> {
        let states = self.replay(spec)?;
        let Header {
            spec: name,
            instance,
            rules,
            initial,
            ..
        } = &self.header;
        let mut text = format!("{name}/{instance} from {initial}, rules: {rules}\n");
        if let Some(command) = &self.header.command {
            text.push_str(&format!("generated by: {command}\n"));
        }
        text.push('\n');
        text.push_str(&format!("    {}\n", spec.show(&states[0])));
        for (number, (step, state)) in self.steps.iter().zip(&states[1..]).enumerate() {
            let outcome = match &step.refused {
                None => String::new(),
                Some(reason) => format!("  refused: {reason}"),
            };
            text.push_str(&format!(
                "{:>3} {}{outcome}\n",
                number + 1,
                action_text(&step.action)
            ));
            text.push_str(&format!("    {}\n", spec.show(state)));
        }
        if let Some(property) = &self.header.falls {
            text.push_str(&format!("\n{property} falls."));
            if let Some(p) = S::properties().iter().find(|p| p.name == property) {
                text.push_str(&format!(" It says: {}.", p.says));
            }
            text.push('\n');
        }
        Ok(text)
    }
}
