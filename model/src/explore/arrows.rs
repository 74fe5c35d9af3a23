//! Draws what happens: what a lane does by itself, messages within a step, and messages that are
//! under way over several steps. Those leave their lane, descend in the gap beside it, and reach
//! the other lane in the row in which they arrive, so that they never cross a card.

use super::ink::{Anchor, Area};
use super::measure::{sans, wrapped};
use super::picture::{Event, LaneAt, Shape, Tone};
use super::svg::{Columns, LINE, Layers};

/// How far the event of a row reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Floor {
    /// Where it happens.
    pub(super) event: i32,
    /// Where its cards may begin.
    pub(super) bottom: i32,
}

/// The messages under way, and where the columns are.
pub(super) struct Arrows<'a> {
    columns: &'a Columns,
    under_way: Vec<Letter>,
}

/// A message under way.
struct Letter {
    ends: (LaneAt, LaneAt),
    name: String,
    /// Where it left.
    y: i32,
    /// Where it descends.
    x: i32,
}

/// Messages that descend side by side in one gap.
const ABREAST: i32 = 5;

impl<'a> Arrows<'a> {
    pub(super) const fn new(columns: &'a Columns) -> Self {
        Self {
            columns,
            under_way: Vec::new(),
        }
    }

    /// Draws an event whose row begins at `y`.
    pub(super) fn draw(&mut self, layers: &mut Layers, event: &Event, y: i32) -> Floor {
        let mut floor = self.shape(layers, &event.shape, &event.text, event.tone, y);
        for (text, shape) in &event.also {
            let next = floor.bottom + 2;
            floor.bottom = self.shape(layers, shape, text, Tone::Plain, next).bottom;
        }
        floor
    }

    fn shape(
        &mut self,
        layers: &mut Layers,
        shape: &Shape,
        text: &str,
        tone: Tone,
        y: i32,
    ) -> Floor {
        match shape {
            Shape::Local(at) => self.pill(layers, *at, text, tone, y),
            Shape::Across => self.across(layers, text, tone, y),
            Shape::Message(from, to) if from == to => self.pill(layers, *from, text, tone, y),
            Shape::Message(from, to) => self.message(layers, (*from, *to), text, tone, y),
            Shape::Exchange(from, to) => self.exchange(layers, (*from, *to), text, tone, y),
            Shape::Departs { from, to, letter } => {
                self.departs(layers, (*from, *to), letter, (text, tone), y)
            }
            Shape::Arrives {
                from,
                to,
                letter,
                again,
            } => {
                let found = self.take((*from, *to), letter, *again);
                self.arrives(layers, (*from, *to), found, (text, tone), y)
            }
            Shape::Lost { from, to, letter } => {
                let found = self.take((*from, *to), letter, false);
                self.lost(layers, (*from, *to), found, text, y)
            }
        }
    }

    /// Something that a lane does by itself: a box on its line.
    fn pill(&self, layers: &mut Layers, at: LaneAt, text: &str, tone: Tone, y: i32) -> Floor {
        let half = self.columns.half.get(at).copied().unwrap_or(60);
        let lines = wrapped(text, 12, 2 * half + 20);
        let widest = lines.iter().map(|line| sans(line, 12)).max().unwrap_or(0);
        let (height, width) = (8 + LINE * count(&lines), widest + 24);
        let middle = self.columns.at(at);
        let area = Area(middle - width / 2, y, width, height);
        let ink = &mut layers.labels;
        ink.area(area, 12, boxed(tone));
        for (line, number) in lines.iter().zip(1..) {
            let y = y + LINE * number;
            ink.text(middle, y, worded(tone), Anchor::Middle, line);
        }
        Floor {
            event: y + height / 2,
            bottom: y + height + 8,
        }
    }

    /// Something that happens to every lane: a band over all of them.
    fn across(&self, layers: &mut Layers, text: &str, tone: Tone, y: i32) -> Floor {
        let first = self.columns.at(0) - self.columns.half.first().copied().unwrap_or(0);
        let width = self.columns.right - 20 - first;
        let lines = wrapped(text, 12, width - 24);
        let height = 10 + LINE * count(&lines);
        let ink = &mut layers.labels;
        ink.area(Area(first, y, width, height), 6, boxed(tone));
        for (line, number) in lines.iter().zip(1..) {
            let (x, y) = (first + width / 2, y + LINE * number + 1);
            ink.text(x, y, worded(tone), Anchor::Middle, line);
        }
        Floor {
            event: y + height / 2,
            bottom: y + height + 8,
        }
    }

    /// Writes what a message says over its line, and gives the place of the line.
    fn label(
        &self,
        layers: &mut Layers,
        (from, to): (LaneAt, LaneAt),
        text: &str,
        tone: Tone,
        y: i32,
    ) -> i32 {
        let (left, right) = (self.columns.at(from), self.columns.at(to));
        let room = ((right - left).abs() - 20).max(120);
        let lines = wrapped(text, 12, room);
        let class = format!("halo {}", worded(tone));
        for (line, number) in lines.iter().zip(1..) {
            let (x, y) = (i32::midpoint(left, right), y + LINE * number - 3);
            (layers.labels).text(x, y, &class, Anchor::Middle, line);
        }
        y + LINE * count(&lines) + 4
    }

    fn message(
        &self,
        layers: &mut Layers,
        ends: (LaneAt, LaneAt),
        text: &str,
        tone: Tone,
        y: i32,
    ) -> Floor {
        let y = self.label(layers, ends, text, tone, y);
        let (from, to) = (self.columns.at(ends.0), self.columns.at(ends.1));
        let towards = (to - from).signum();
        let (begin, end) = (from + 4 * towards, to - 5 * towards);
        if tone == Tone::Refused {
            let end = end - 6 * towards;
            layers.arrows.line((begin, y), (end, y), lined(tone));
            layers.arrows.cross((end, y), lined(tone));
        } else {
            layers
                .arrows
                .line((begin, y), (end - 5 * towards, y), lined(tone));
            layers.arrows.tip((end, y), towards, tipped(tone));
        }
        Floor {
            event: y,
            bottom: y + 10,
        }
    }

    fn exchange(
        &self,
        layers: &mut Layers,
        ends: (LaneAt, LaneAt),
        text: &str,
        tone: Tone,
        y: i32,
    ) -> Floor {
        let floor = self.message(layers, ends, text, tone, y);
        let (from, to) = (self.columns.at(ends.0), self.columns.at(ends.1));
        let (towards, y) = ((to - from).signum(), floor.event + 8);
        let end = from + 5 * towards;
        layers
            .arrows
            .path(&[(to - 4 * towards, y), (end, y)], "back");
        let barb = end + 6 * towards;
        (layers.arrows).path(&[(barb, y - 4), (end, y), (barb, y + 4)], "back solid");
        Floor {
            event: floor.event,
            bottom: y + 10,
        }
    }

    /// Begins a message that is under way.
    fn departs(
        &mut self,
        layers: &mut Layers,
        ends: (LaneAt, LaneAt),
        letter: &str,
        (text, tone): (&str, Tone),
        y: i32,
    ) -> Floor {
        let y = self.beside(layers, ends, text, tone, y);
        let gap = self.columns.gap(ends.0, ends.1);
        let taken = |x: i32| self.under_way.iter().any(|letter| letter.x == x);
        let free = (0..ABREAST)
            .map(|lane| gap + (lane - ABREAST / 2) * 9)
            .find(|x| !taken(*x));
        self.under_way.push(Letter {
            ends,
            name: letter.to_owned(),
            y,
            x: free.unwrap_or(gap),
        });
        Floor {
            event: y,
            bottom: y + 8,
        }
    }

    /// Writes what a message says beside its lane, and gives the place of its line.
    fn beside(
        &self,
        layers: &mut Layers,
        (at, to): (LaneAt, LaneAt),
        text: &str,
        tone: Tone,
        y: i32,
    ) -> i32 {
        let towards = if to > at { 1 } else { -1 };
        let anchor = if to > at { Anchor::Start } else { Anchor::End };
        let room = (self.columns.at(at) - self.columns.at(to)).abs() - 30;
        let lines = wrapped(text, 12, room.clamp(120, 240));
        let class = format!("halo {}", worded(tone));
        let x = self.columns.at(at) + 10 * towards;
        for (line, number) in lines.iter().zip(1..) {
            (layers.labels).text(x, y + LINE * number - 3, &class, anchor, line);
        }
        y + LINE * count(&lines) + 4
    }

    fn take(&mut self, ends: (LaneAt, LaneAt), name: &str, stays: bool) -> Option<(i32, i32)> {
        let mut letters = self.under_way.iter();
        let at = letters.position(|letter| letter.ends == ends && letter.name == name)?;
        let place = (self.under_way[at].x, self.under_way[at].y);
        if !stays {
            self.under_way.remove(at);
        }
        Some(place)
    }

    fn arrives(
        &self,
        layers: &mut Layers,
        ends: (LaneAt, LaneAt),
        found: Option<(i32, i32)>,
        (text, tone): (&str, Tone),
        y: i32,
    ) -> Floor {
        let Some((x, left)) = found else {
            return self.message(layers, ends, text, tone, y);
        };
        let y = self.beside(layers, (ends.1, ends.0), text, tone, y);
        let (from, to) = (self.columns.at(ends.0), self.columns.at(ends.1));
        let towards = (to - from).signum();
        let end = to - 5 * towards;
        let points = [
            (from + 4 * towards, left),
            (x, left),
            (x, y),
            (end - 5 * towards, y),
        ];
        layers.arrows.path(&points, lined(tone));
        layers.arrows.tip((end, y), towards, tipped(tone));
        Floor {
            event: y,
            bottom: y + 10,
        }
    }

    fn lost(
        &self,
        layers: &mut Layers,
        ends: (LaneAt, LaneAt),
        found: Option<(i32, i32)>,
        text: &str,
        y: i32,
    ) -> Floor {
        let gap = self.columns.gap(ends.0, ends.1);
        let (x, left) = found.unwrap_or((gap, y));
        let from = self.columns.at(ends.0);
        let y = y + LINE;
        let towards = if ends.1 > ends.0 { 1 } else { -1 };
        let points = [(from + 4 * towards, left), (x, left), (x, y)];
        layers.arrows.path(&points, "faultline");
        layers.labels.cross((x, y), "faultline");
        let anchor = if towards > 0 {
            Anchor::Start
        } else {
            Anchor::End
        };
        let at = (x + 10 * towards, y + 4);
        (layers.labels).text(at.0, at.1, "halo faulttext", anchor, text);
        Floor {
            event: y,
            bottom: y + 12,
        }
    }

    /// Draws what is still under way: it leaves its lane and nobody has seen it arrive.
    pub(super) fn end(self, layers: &mut Layers) {
        for letter in &self.under_way {
            let from = self.columns.at(letter.ends.0);
            let towards = if letter.ends.1 > letter.ends.0 { 1 } else { -1 };
            let points = [
                (from + 4 * towards, letter.y),
                (letter.x, letter.y),
                (letter.x, letter.y + 18),
            ];
            layers.arrows.path(&points, "back");
            let dot = Area(letter.x - 3, letter.y + 18, 6, 6);
            layers.arrows.area(dot, 3, "pill");
        }
    }
}

fn count(lines: &[String]) -> i32 {
    i32::try_from(lines.len()).unwrap_or(0)
}

const fn boxed(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "pill",
        Tone::Fault => "fault",
        Tone::Repair => "repair",
        Tone::Refused => "refused loose",
    }
}

const fn worded(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain | Tone::Repair => "ink",
        Tone::Fault => "faulttext",
        Tone::Refused => "mute",
    }
}

const fn lined(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain | Tone::Repair => "go",
        Tone::Fault => "faultline",
        Tone::Refused => "refusedline",
    }
}

const fn tipped(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain | Tone::Repair | Tone::Refused => "tip",
        Tone::Fault => "faulttext",
    }
}
