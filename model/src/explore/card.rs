//! A card: the small table of what one lane knows after a step. What differs from the card before
//! is marked.

use super::ink::{Anchor, Area, Ink};
use super::measure::{mono, sans};
use super::picture::{Badge, Card, Cell, Dye, Look, Strip};
use super::style::hue;

const PAD: i32 = 8;
const BADGE: i32 = 17;
const CELL: i32 = 18;
/// Room for the positions above the cells.
const INDEX: i32 = 12;
const FACT: i32 = 16;
/// Space between the parts of a card.
const BREAK: i32 = 5;
/// Facts are set in lines of at least this width.
const FACTS_MIN: i32 = 150;

/// The width that a card needs, its facts apart, which flow.
#[must_use]
pub(super) fn width(name: &str, card: &Card) -> i32 {
    let badges: i32 = card.badges.iter().map(|badge| badge_width(badge) + 4).sum();
    let strips = card.strips.iter().map(|strip| {
        let cells = i32::try_from(strip.cells.len()).unwrap_or(0);
        strip_name(card) + cells * cell_width(strip)
    });
    let facts = (card.facts.iter())
        .map(|(name, value)| fact_width(name, value))
        .max();
    let widest = strips
        .chain([sans(name, 10) + 8 + badges, FACTS_MIN])
        .chain(facts)
        .max();
    widest.unwrap_or(FACTS_MIN) + 2 * PAD
}

/// The height of a card of that width.
#[must_use]
pub(super) fn height(card: &Card, width: i32) -> i32 {
    let strips: i32 = card.strips.iter().map(|_| INDEX + CELL + BREAK + 2).sum();
    let lines = i32::try_from(fact_lines(card, width).len()).unwrap_or(0);
    2 * PAD + BADGE + strips + lines * FACT
}

/// Draws a card with its upper left corner at `(x, y)`.
pub(super) fn draw(
    ink: &mut Ink,
    (x, y): (i32, i32),
    width: i32,
    name: &str,
    card: &Card,
    before: Option<&Card>,
) {
    ink.area(Area(x, y, width, height(card, width)), 7, "card");
    let mut top = y + PAD;
    let left = x + PAD;
    ink.text(left, top + 12, "mute tiny", Anchor::Start, name);
    let mut at = x + width - PAD;
    for badge in card.badges.iter().rev() {
        at -= badge_width(badge);
        let is_new = before.is_some_and(|before| !before.badges.contains(badge));
        draw_badge(ink, (at, top), badge, is_new);
        at -= 4;
    }
    top += BADGE;
    let names = strip_name(card);
    for strip in &card.strips {
        let old = before.and_then(|before| {
            let mut strips = before.strips.iter();
            strips.find(|old| old.name == strip.name)
        });
        draw_strip(ink, (left, top), names, strip, old, before.is_some());
        top += INDEX + CELL + BREAK + 2;
    }
    for line in fact_lines(card, width) {
        let mut at = left;
        for (name, value) in line {
            let is_new = before.is_some_and(|before| before.value(name) != Some(value));
            draw_fact(ink, (at, top), name, value, is_new);
            at += fact_width(name, value) + 10;
        }
        top += FACT;
    }
}

fn badge_width(badge: &Badge) -> i32 {
    sans(&badge.text, 10) * 108 / 100 + 14
}

fn draw_badge(ink: &mut Ink, (x, y): (i32, i32), badge: &Badge, is_new: bool) {
    let area = Area(x, y, badge_width(badge), BADGE - 1);
    let (fill, text) = match badge.dye {
        Dye::Plain => ("t0".to_owned(), "ink"),
        Dye::Good => ("good".to_owned(), "white"),
        Dye::Bad => ("bad".to_owned(), "white"),
        Dye::Epoch(epoch) => (format!("f{}", hue(epoch)), "white"),
    };
    ink.area(area, 8, &fill);
    if is_new {
        ink.area(area, 8, "ring");
    }
    let middle = x + badge_width(badge) / 2;
    let class = format!("{text} tiny strong");
    ink.text(middle, y + 12, &class, Anchor::Middle, &badge.text);
}

/// Room for the names of the strips.
fn strip_name(card: &Card) -> i32 {
    let names = card.strips.iter().map(|strip| sans(strip.name, 10));
    names.max().map_or(0, |widest| widest + 6)
}

/// All cells of a strip are as wide as its widest.
fn cell_width(strip: &Strip) -> i32 {
    let texts = strip.cells.iter().map(|cell| mono(&cell.text, 11));
    (texts.max().unwrap_or(0) + 9).max(24)
}

fn draw_strip(
    ink: &mut Ink,
    (x, y): (i32, i32),
    names: i32,
    strip: &Strip,
    old: Option<&Strip>,
    compare: bool,
) {
    let top = y + INDEX;
    ink.text(x, top + 13, "mute tiny", Anchor::Start, strip.name);
    let mut at = x + names;
    for (number, cell) in strip.cells.iter().enumerate() {
        let width = cell_width(strip) - 2;
        let area = Area(at, top, width, CELL);
        let middle = at + width / 2;
        let index = (number + 1).to_string();
        ink.text(middle, top - 3, "mute index", Anchor::Middle, &index);
        draw_cell(ink, area, cell);
        let same = old.and_then(|old| old.cells.get(number)) == Some(cell);
        if compare && !same {
            ink.area(Area(at - 1, top - 1, width + 2, CELL + 2), 4, "ring");
        }
        if number < strip.committed {
            let under = top + CELL + 4;
            ink.line((at, under), (at + width, under), "committed");
        }
        at += width + 2;
    }
    if strip.cells.is_empty() {
        ink.text(at, top + 13, "mute tiny", Anchor::Start, "empty");
    }
}

/// Draws one cell; the legend draws its samples with it too.
pub(super) fn draw_cell(ink: &mut Ink, area: Area, cell: &Cell) {
    let hue = hue(cell.hue);
    let (class, text) = match cell.look {
        Look::Firm => (format!("f{hue}"), "white".to_owned()),
        Look::Loose => (format!("t{hue} s{hue} loose"), format!("f{hue}")),
        Look::Faint => (format!("t{hue} s{hue} faint"), "mute".to_owned()),
        Look::Broken => ("bad".to_owned(), "white".to_owned()),
        Look::Empty => ("t0".to_owned(), "mute".to_owned()),
    };
    ink.area(area, 3, &class);
    let Area(x, y, width, _) = area;
    let class = format!("mono {text}");
    ink.text(x + width / 2, y + 13, &class, Anchor::Middle, &cell.text);
}

fn fact_width(name: &str, value: &str) -> i32 {
    sans(name, 10) + 5 + mono(value, 11) + 4
}

fn fact_lines(card: &Card, width: i32) -> Vec<Vec<(&str, &str)>> {
    let room = width - 2 * PAD;
    let mut lines: Vec<Vec<(&str, &str)>> = Vec::new();
    let mut used = 0;
    for (name, value) in &card.facts {
        let wide = fact_width(name, value);
        match lines.last_mut() {
            Some(line) if used + 10 + wide <= room => {
                line.push((name, value));
                used += 10 + wide;
            }
            Some(_) | None => {
                lines.push(vec![(name, value)]);
                used = wide;
            }
        }
    }
    lines
}

fn draw_fact(ink: &mut Ink, (x, y): (i32, i32), name: &str, value: &str, is_new: bool) {
    ink.text(x, y + 12, "mute tiny", Anchor::Start, name);
    let at = x + sans(name, 10) + 5;
    if is_new {
        let area = Area(at - 3, y + 1, mono(value, 11) + 6, FACT - 2);
        ink.area(area, 3, "new");
    }
    ink.text(at, y + 12, "mono ink", Anchor::Start, value);
}
