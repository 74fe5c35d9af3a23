//! Draws a picture: lanes from left to right, steps from top to bottom, and under each step the
//! cards that it changed.
//!
//! A pure function of the picture: the same text on every machine, no fonts asked, nothing loaded.
//! The drawing brings its own paper and its own colours for light and dark surroundings.

use std::collections::BTreeSet;

use super::arrows::Arrows;
use super::card;
use super::ink::{Anchor, Area, Ink, escaped};
use super::measure::{sans, wrapped};
use super::picture::{Card, Cell, Fall, Hue, Lane, Life, Look, Picture, Row};
use super::style::{hue, sheet};

/// Space around everything.
const EDGE: i32 = 20;
/// Room for the numbers of the steps.
const NUMBERS: i32 = 34;
/// Space between the cards of two lanes; messages under way descend in it.
const GAP: i32 = 56;
/// Height of a line of text.
pub(super) const LINE: i32 = 15;

/// Where the columns are.
pub(super) struct Columns {
    /// The middle of each lane.
    pub(super) middle: Vec<i32>,
    /// Half the width of its cards.
    pub(super) half: Vec<i32>,
    /// The right edge of the drawing.
    pub(super) right: i32,
}

impl Columns {
    fn of(picture: &Picture) -> Self {
        let mut widths: Vec<i32> = Vec::new();
        for (at, lane) in picture.lanes.iter().enumerate() {
            let cards = picture.rows.iter().map(|row| &row.cards);
            let cards = cards.chain([&picture.opening]).filter_map(|c| c.get(at));
            let widest = cards.map(|card| card::width(&lane.name, card)).max();
            let title = sans(&lane.name, 13).max(sans(lane.role, 10)) + 24;
            widths.push(widest.unwrap_or(0).max(title));
        }
        let mut left = EDGE + NUMBERS;
        let mut columns = Self {
            middle: Vec::new(),
            half: Vec::new(),
            right: 0,
        };
        for width in widths {
            columns.middle.push(left + width / 2);
            columns.half.push(width / 2);
            left += width + GAP;
        }
        columns.right = (left - GAP).max(EDGE + NUMBERS + 420) + EDGE;
        columns
    }

    /// The middle of the gap beside a lane, on the side of another.
    pub(super) fn gap(&self, from: usize, to: usize) -> i32 {
        let side = if to > from { 1 } else { -1 };
        self.at(from) + side * (self.half.get(from).copied().unwrap_or(0) + GAP / 2)
    }

    /// The middle of a lane.
    pub(super) fn at(&self, lane: usize) -> i32 {
        self.middle.get(lane).copied().unwrap_or(self.right)
    }
}

/// The layers, from the back to the front.
#[derive(Default)]
pub(super) struct Layers {
    bands: Ink,
    lines: Ink,
    /// Messages.
    pub(super) arrows: Ink,
    cards: Ink,
    /// What stands over everything.
    pub(super) labels: Ink,
}

/// Draws it.
#[must_use]
pub fn svg(picture: &Picture) -> String {
    let columns = Columns::of(picture);
    let mut sheet = Layers::default();
    let mut y = title(&mut sheet, picture, &columns);
    y = heads(&mut sheet, &picture.lanes, &columns, y);
    let mut lives = Lives::begin(&picture.opening, y);
    y = opening(&mut sheet, picture, &columns, y + 10);
    let mut arrows = Arrows::new(&columns);
    let mut before = &picture.opening;
    for (number, row) in picture.rows.iter().enumerate() {
        let top = y;
        let floor = arrows.draw(&mut sheet, &row.event, y + 8);
        lives.turn(&mut sheet, &columns, &row.cards, floor.event);
        y = cards(&mut sheet, picture, &columns, row, before, floor.bottom);
        y = falls(&mut sheet, &columns, &row.falls, y);
        margin(&mut sheet, &columns, number, row, Area(0, top, 0, y - top));
        before = &row.cards;
    }
    lives.end(&mut sheet, &columns, y + 6);
    arrows.end(&mut sheet);
    y = legend(&mut sheet, picture, &columns, y + 18);
    assemble(sheet, picture, columns.right, y)
}

fn assemble(layers: Layers, picture: &Picture, width: i32, height: i32) -> String {
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"hf\" width=\"{width}\" \
         height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\"><title>{}</title>\
         <style>{}</style><rect class=\"paper\" width=\"{width}\" height=\"{height}\" rx=\"8\"/>\n",
        escaped(&picture.title),
        sheet()
    );
    let Layers {
        bands,
        lines,
        arrows,
        cards,
        labels,
    } = layers;
    for layer in [bands, lines, arrows, cards, labels] {
        text.push_str(&layer.into_text());
        text.push('\n');
    }
    text.push_str("</svg>\n");
    text
}

fn title(layers: &mut Layers, picture: &Picture, columns: &Columns) -> i32 {
    let mut y = EDGE + 14;
    let ink = &mut layers.labels;
    ink.text(EDGE, y, "ink title", Anchor::Start, &picture.title);
    for line in wrapped(&picture.subtitle, 12, columns.right - 2 * EDGE) {
        y += LINE + 2;
        ink.text(EDGE, y, "mute", Anchor::Start, &line);
    }
    y + 16
}

fn heads(layers: &mut Layers, lanes: &[Lane], columns: &Columns, y: i32) -> i32 {
    const HEIGHT: i32 = 38;
    for (at, lane) in lanes.iter().enumerate() {
        let (middle, half) = (columns.at(at), columns.half[at]);
        let area = Area(middle - half, y, 2 * half, HEIGHT);
        layers.cards.area(area, 7, "head");
        let ink = &mut layers.labels;
        ink.text(middle, y + 17, "ink lane", Anchor::Middle, &lane.name);
        ink.text(middle, y + 31, "mute tiny", Anchor::Middle, lane.role);
    }
    y + HEIGHT
}

fn opening(layers: &mut Layers, picture: &Picture, columns: &Columns, y: i32) -> i32 {
    let mut bottom = y;
    for (at, lane) in picture.lanes.iter().enumerate() {
        if let Some(card) = picture.opening.get(at) {
            bottom = bottom.max(one_card(layers, columns, at, (lane, card, None), y));
        }
    }
    bottom + 10
}

/// The cards that a step changed.
fn cards(
    layers: &mut Layers,
    picture: &Picture,
    columns: &Columns,
    row: &Row,
    before: &[Card],
    y: i32,
) -> i32 {
    let mut bottom = y;
    for (at, lane) in picture.lanes.iter().enumerate() {
        let (card, old) = (row.cards.get(at), before.get(at));
        if let Some(card) = card.filter(|card| Some(*card) != old) {
            let drawn = one_card(layers, columns, at, (lane, card, old), y);
            bottom = bottom.max(drawn + 8);
        }
    }
    bottom + 2
}

fn one_card(
    layers: &mut Layers,
    columns: &Columns,
    at: usize,
    (lane, card, old): (&Lane, &Card, Option<&Card>),
    y: i32,
) -> i32 {
    if card.is_blank() {
        return y;
    }
    let half = columns.half[at];
    let corner = (columns.at(at) - half, y);
    card::draw(&mut layers.cards, corner, 2 * half, &lane.name, card, old);
    y + card::height(card, 2 * half)
}

/// The number of a step and the band behind it.
fn margin(layers: &mut Layers, columns: &Columns, number: usize, row: &Row, area: Area) {
    let Area(_, top, _, height) = area;
    if number.is_multiple_of(2) {
        let band = Area(8, top, columns.right - 16, height);
        layers.bands.area(band, 6, "band");
    }
    let class = if row.falls.is_empty() {
        "mute strong"
    } else {
        "falltext strong"
    };
    let number = (number + 1).to_string();
    let at = EDGE + 16;
    (layers.labels).text(at, top + 20, class, Anchor::End, &number);
}

/// What is false from here on.
fn falls(layers: &mut Layers, columns: &Columns, falls: &[Fall], mut y: i32) -> i32 {
    let left = EDGE + NUMBERS - 6;
    let width = columns.right - EDGE - left;
    for fall in falls {
        let (head, says) = if fall.wanted {
            (
                format!("✖ falls: {}", fall.name),
                format!("It says: {}.", fall.says),
            )
        } else {
            let (name, says) = (&fall.name, &fall.says);
            (String::new(), format!("✖ falls: {name}. It says: {says}."))
        };
        let mut lines = wrapped(&head, 12, width - 28);
        let heads = lines.len();
        lines.extend(wrapped(&says, 12, width - 28));
        let height = 11 + LINE * i32::try_from(lines.len()).unwrap_or(0);
        layers.cards.area(Area(left, y, width, height), 6, "fall");
        for (number, line) in lines.iter().enumerate() {
            let class = if number < heads {
                "falltext strong"
            } else {
                "falltext"
            };
            let at = y + 17 + LINE * i32::try_from(number).unwrap_or(0);
            (layers.labels).text(left + 12, at, class, Anchor::Start, line);
        }
        y += height + 6;
    }
    y
}

/// The lines of the lanes, from one turn to the next.
struct Lives(Vec<(Life, i32)>);

impl Lives {
    fn begin(cards: &[Card], y: i32) -> Self {
        Self(cards.iter().map(|card| (card.life, y)).collect())
    }

    /// From `y` on, the lanes live as these cards say.
    fn turn(&mut self, layers: &mut Layers, columns: &Columns, cards: &[Card], y: i32) {
        for (at, card) in cards.iter().enumerate() {
            match self.0.get_mut(at) {
                Some((life, since)) if *life != card.life => {
                    Self::draw(layers, columns.at(at), *life, (*since, y));
                    (*life, *since) = (card.life, y);
                }
                Some(_) | None => {}
            }
        }
    }

    fn end(self, layers: &mut Layers, columns: &Columns, y: i32) {
        for (at, (life, since)) in self.0.into_iter().enumerate() {
            Self::draw(layers, columns.at(at), life, (since, y));
        }
    }

    fn draw(layers: &mut Layers, x: i32, life: Life, (from, to): (i32, i32)) {
        let class = match life {
            Life::Quiet => "quiet".to_owned(),
            Life::Down => "down".to_owned(),
            Life::Up(epoch) => format!("up s{}", hue(epoch)),
            Life::Leads(epoch) => format!("leads s{}", hue(epoch)),
        };
        layers.lines.line((x, from), (x, to), &class);
    }
}

/// What the colours and looks mean: those that occur.
fn legend(layers: &mut Layers, picture: &Picture, columns: &Columns, y: i32) -> i32 {
    let strips = (picture.rows.iter().flat_map(|row| &row.cards))
        .chain(&picture.opening)
        .flat_map(|card| &card.strips);
    let mut epochs: BTreeSet<Hue> = BTreeSet::new();
    let mut looks: BTreeSet<Look> = BTreeSet::new();
    let mut committed = false;
    for strip in strips {
        committed |= strip.committed > 0;
        for cell in &strip.cells {
            looks.insert(cell.look);
            epochs.insert(cell.hue);
        }
    }
    let samples = epochs
        .into_iter()
        .filter(|epoch| *epoch != 0)
        .map(|epoch| (Cell::new("", epoch, Look::Firm), format!("epoch {epoch}")))
        .chain(looks.into_iter().filter_map(|look| {
            let meaning = match look {
                Look::Firm => "survives a crash",
                Look::Loose => "a crash may lose it",
                Look::Faint => "not replayable, or given up",
                Look::Broken => "cannot be read, or came back",
                Look::Empty => return None,
            };
            Some((Cell::new("", 0, look), meaning.to_owned()))
        }));
    let (mut x, mut y) = (EDGE, y);
    let ink = &mut layers.labels;
    for (cell, meaning) in samples {
        let wide = 24 + sans(&meaning, 10) + 16;
        if x + wide > columns.right - EDGE {
            (x, y) = (EDGE, y + 20);
        }
        card::draw_cell(ink, Area(x, y, 18, 12), &cell);
        ink.text(x + 24, y + 10, "mute tiny", Anchor::Start, &meaning);
        x += wide;
    }
    let mut notes = vec!["what a step changed is ringed or marked"];
    if committed {
        notes.insert(0, "underlined: known here to be committed");
    }
    for note in notes {
        let wide = sans(note, 10) + 16;
        if x + wide > columns.right - EDGE {
            (x, y) = (EDGE, y + 20);
        }
        ink.text(x, y + 10, "mute tiny", Anchor::Start, note);
        x += wide;
    }
    y + 12 + EDGE
}

#[cfg(test)]
mod tests {
    use super::svg;
    use crate::explore::{Card, Cell, Event, Fall, Lane, Look, Picture, Row, Shape, Strip, Tone};

    fn lane(name: &str) -> Lane {
        Lane {
            name: name.to_owned(),
            role: "",
        }
    }

    fn row(event: Event, head: u8) -> Row {
        let mut card = Card::default();
        card.fact("head", head);
        card.strips.push(Strip {
            name: "log",
            cells: vec![Cell::new("x", head, Look::Firm)],
            committed: 1,
        });
        Row {
            event,
            cards: vec![Card::default(), card],
            falls: Vec::new(),
        }
    }

    fn picture(rows: Vec<Row>) -> Picture {
        Picture {
            title: "a title".to_owned(),
            subtitle: String::new(),
            lanes: vec![lane("left"), lane("right")],
            opening: vec![Card::default(), Card::default()],
            rows,
        }
    }

    fn letter(shape: impl Fn(usize, usize, String) -> Shape) -> Event {
        Event::of("a letter", shape(0, 1, "letter".to_owned()))
    }

    #[test]
    fn texts_from_outside_stay_texts() {
        let hostile = "</text><script>alert('&')</script>";
        let mut drawn = picture(vec![row(Event::local(1, hostile), 1)]);
        drawn.title = hostile.to_owned();
        drawn.subtitle = hostile.to_owned();
        drawn.lanes[0].name = hostile.to_owned();
        drawn.rows[0].falls.push(Fall {
            name: hostile.to_owned(),
            says: hostile.to_owned(),
            wanted: true,
        });
        let drawn = svg(&drawn);
        assert!(
            !drawn.contains("<script") && !drawn.contains("'&'"),
            "{drawn}"
        );
        assert!(drawn.matches("&lt;script&gt;").count() >= 5);
    }

    #[test]
    fn a_card_is_drawn_again_only_where_it_changed() {
        let step = |head| row(Event::local(1, "step"), head);
        let cards = |rows: Vec<Row>| svg(&picture(rows)).matches("class=\"card\"").count();
        assert_eq!(cards(vec![step(1), step(1)]), 1);
        assert_eq!(cards(vec![step(1), step(2)]), 2);
        let drawn = svg(&picture(vec![step(1), step(2)]));
        assert!(drawn.contains("class=\"new\"") && drawn.contains("class=\"ring\""));
    }

    #[test]
    fn a_letter_is_one_line_from_where_it_left_to_where_it_arrived() {
        let departs = letter(|from, to, letter| Shape::Departs { from, to, letter });
        let arrives = letter(|from, to, letter| Shape::Arrives {
            from,
            to,
            letter,
            again: false,
        });
        let lost = letter(|from, to, letter| Shape::Lost { from, to, letter });
        let under_way = svg(&picture(vec![row(departs.clone(), 1)]));
        assert!(under_way.contains("class=\"back\""), "{under_way}");
        let arrived = svg(&picture(vec![row(departs.clone(), 1), row(arrives, 2)]));
        assert!(!arrived.contains("class=\"back\"") && arrived.contains("class=\"tip\""));
        let gone = svg(&picture(vec![row(departs, 1), row(lost, 2)]));
        assert!(gone.contains("class=\"faultline\"") && !gone.contains("class=\"tip\""));
    }

    #[test]
    fn a_refused_message_does_not_arrive() {
        let refused = Event::message(0, 1, "no").toned(Tone::Refused);
        let drawn = svg(&picture(vec![row(refused, 1)]));
        assert!(drawn.contains("class=\"refusedline\"") && !drawn.contains("class=\"tip\""));
    }

    #[test]
    fn nothing_and_too_little_can_be_drawn() {
        let mut empty = picture(Vec::new());
        assert!(svg(&empty).contains(">left</text>"));
        empty.lanes.clear();
        empty.opening.clear();
        // A shape that names lanes which are not there is drawn somewhere, not panicked over.
        empty.rows.push(row(Event::message(3, 9, "astray"), 1));
        assert!(svg(&empty).contains(">astray</text>"));
    }
}
