//! What a sequence diagram says, before anything is drawn: lanes, events, and what each lane knows
//! after every step.
//!
//! Plain data. A specification fills it in (see [`super::Diagram`]), [`super::svg`] draws it, and
//! [`super::text`] tells it; neither of the two knows what is being specified. Every text here is
//! meant for people and may contain anything: whoever writes it into a file escapes it.

/// A whole diagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// What is shown.
    pub title: String,
    /// Under which rules; empty where there is nothing to say.
    pub subtitle: String,
    /// The lanes, from left to right.
    pub lanes: Vec<Lane>,
    /// What the lanes know at the beginning: one card for each.
    pub opening: Vec<Card>,
    /// The steps, in order.
    pub rows: Vec<Row>,
}

/// One column: somebody who acts, or something that is acted upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Its name, as actions name it.
    pub name: String,
    /// Its part in the story, in a few words.
    pub role: &'static str,
}

/// One step and what it left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What happened.
    pub event: Event,
    /// What the lanes know after it: one card for each.
    pub cards: Vec<Card>,
    /// The properties that are false from here on.
    pub falls: Vec<Fall>,
}

/// A property that fell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fall {
    /// Its name.
    pub name: String,
    /// What it claims.
    pub says: String,
    /// Whether it is the one that the run was looked for.
    pub wanted: bool,
}

/// What happened in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// In a few words; the lanes that it concerns are in the shape, not in here.
    pub text: String,
    /// How it is meant.
    pub tone: Tone,
    /// How it is drawn.
    pub shape: Shape,
    /// What happens in the same step as a consequence, in words and as it is drawn.
    pub also: Vec<(String, Shape)>,
}

/// How an event is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tone {
    /// The protocol at work.
    Plain,
    /// The world is against it: a crash, a loss, a forced decision.
    Fault,
    /// Somebody comes back.
    Repair,
    /// A call that was not granted: nothing changed.
    Refused,
}

/// The place of a lane in [`Picture::lanes`].
pub type LaneAt = usize;

/// How an event is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Something that one lane does by itself.
    Local(LaneAt),
    /// From one lane to another, within the step.
    Message(LaneAt, LaneAt),
    /// There and back, within the step.
    Exchange(LaneAt, LaneAt),
    /// To every lane at once.
    Across,
    /// A message leaves; it arrives in a later step.
    Departs {
        /// Who sends it.
        from: LaneAt,
        /// Who is to get it.
        to: LaneAt,
        /// Names it until it arrives.
        letter: String,
    },
    /// A message that left in an earlier step arrives.
    Arrives {
        /// Who sent it.
        from: LaneAt,
        /// Who gets it.
        to: LaneAt,
        /// Its name.
        letter: String,
        /// Whether it will arrive again.
        again: bool,
    },
    /// A message that left in an earlier step never arrives.
    Lost {
        /// Who sent it.
        from: LaneAt,
        /// Who would have got it.
        to: LaneAt,
        /// Its name.
        letter: String,
    },
}

impl Shape {
    /// The lane where it begins and the one where it ends, which may be the same.
    #[must_use]
    pub const fn ends(&self) -> Option<(LaneAt, LaneAt)> {
        match *self {
            Self::Local(at) => Some((at, at)),
            Self::Message(from, to)
            | Self::Exchange(from, to)
            | Self::Departs { from, to, .. }
            | Self::Arrives { from, to, .. }
            | Self::Lost { from, to, .. } => Some((from, to)),
            Self::Across => None,
        }
    }
}

/// What one lane knows at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Card {
    /// How its line is drawn from here on.
    pub life: Life,
    /// What it is at the moment, in single words.
    pub badges: Vec<Badge>,
    /// What it holds, piece by piece.
    pub strips: Vec<Strip>,
    /// Positions and other small values, by name.
    pub facts: Vec<(String, String)>,
}

/// How the line of a lane is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Life {
    /// A lane without ups and downs.
    #[default]
    Quiet,
    /// It does not run.
    Down,
    /// It runs, in this epoch.
    Up(Hue),
    /// It leads, in this epoch.
    Leads(Hue),
}

/// The epoch whose colour something has; 0: none.
pub type Hue = u8;

/// A word in a coloured box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Badge {
    /// The word.
    pub text: String,
    /// Its colour.
    pub dye: Dye,
}

/// The colour of a badge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dye {
    /// None in particular.
    Plain,
    /// All is well.
    Good,
    /// Something is amiss.
    Bad,
    /// That of an epoch.
    Epoch(Hue),
}

/// A row of cells: a log, an extent, a set of writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strip {
    /// Its name.
    pub name: &'static str,
    /// Its cells.
    pub cells: Vec<Cell>,
    /// How many cells, from the left, are known to be committed: they are underlined.
    pub committed: usize,
}

/// One piece of what a lane holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What is in it, in a few letters.
    pub text: String,
    /// Its colour.
    pub hue: Hue,
    /// How firmly it is held.
    pub look: Look,
}

/// How firmly something is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Look {
    /// It survives a crash.
    Firm,
    /// A crash may lose it.
    Loose,
    /// It is there, but no longer replayable, or given up.
    Faint,
    /// It cannot be read.
    Broken,
    /// There is nothing.
    Empty,
}

impl Event {
    /// Something that one lane does by itself.
    #[must_use]
    pub fn local(at: LaneAt, text: impl Into<String>) -> Self {
        Self::of(text, Shape::Local(at))
    }

    /// A message from one lane to another.
    #[must_use]
    pub fn message(from: LaneAt, to: LaneAt, text: impl Into<String>) -> Self {
        Self::of(text, Shape::Message(from, to))
    }

    /// A question and its answer.
    #[must_use]
    pub fn exchange(from: LaneAt, to: LaneAt, text: impl Into<String>) -> Self {
        Self::of(text, Shape::Exchange(from, to))
    }

    /// An event of one shape.
    #[must_use]
    pub fn of(text: impl Into<String>, shape: Shape) -> Self {
        Self {
            text: text.into(),
            tone: Tone::Plain,
            shape,
            also: Vec::new(),
        }
    }

    /// The same in another tone.
    #[must_use]
    pub fn toned(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }

    /// Adds what is known more precisely.
    pub fn add(&mut self, more: &str) {
        self.text.push_str(": ");
        self.text.push_str(more);
    }

    /// The event as a sentence: who, to whom, what.
    #[must_use]
    pub fn sentence(&self, lanes: &[Lane]) -> String {
        let name = |at: LaneAt| lanes.get(at).map_or("?", |lane| lane.name.as_str());
        match self.shape.ends() {
            Some((from, to)) if from == to => format!("{}: {}", name(from), self.text),
            Some((from, to)) => format!("{} → {}: {}", name(from), name(to), self.text),
            None => self.text.clone(),
        }
    }
}

impl Card {
    /// Adds a badge.
    pub fn badge(&mut self, text: impl Into<String>, dye: Dye) {
        let text = text.into();
        self.badges.push(Badge { text, dye });
    }

    /// Adds a fact.
    pub fn fact(&mut self, name: impl Into<String>, value: impl ToString) {
        self.facts.push((name.into(), value.to_string()));
    }

    /// The value of a fact.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        let fact = self.facts.iter().find(|(fact, _)| fact == name);
        fact.map(|(_, value)| value.as_str())
    }

    /// Whether there is anything to show beside the line.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.badges.is_empty() && self.strips.is_empty() && self.facts.is_empty()
    }
}

impl Cell {
    /// A cell.
    #[must_use]
    pub fn new(text: impl Into<String>, hue: Hue, look: Look) -> Self {
        let text = text.into();
        Self { text, hue, look }
    }
}
