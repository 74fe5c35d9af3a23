//! Tells what the lanes know as lines of text: what the Explorer shows beside the drawing.

use super::picture::{Card, Lane, Look, Strip};

/// One line for each lane.
///
/// `1.w1~` is an entry that a crash may lose, `(1.w1)` one that cannot be replayed any more or was
/// given up, `!1.w1` one that cannot be read; `|` stands behind what is known there to be committed.
#[must_use]
pub fn tell(lanes: &[Lane], cards: &[Card]) -> String {
    let widest = lanes.iter().map(|lane| lane.name.chars().count()).max();
    let widest = widest.unwrap_or(0);
    let lines = lanes.iter().zip(cards).filter_map(|(lane, card)| {
        let told = of_card(card);
        (!told.is_empty()).then(|| format!("{:widest$}  {told}", lane.name))
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn of_card(card: &Card) -> String {
    let badges: Vec<&str> = card
        .badges
        .iter()
        .map(|badge| badge.text.as_str())
        .collect();
    let badges = (!badges.is_empty()).then(|| badges.join(", "));
    let strips = card.strips.iter().map(of_strip);
    let facts = card
        .facts
        .iter()
        .map(|(name, value)| format!("{name} {value}"));
    let parts: Vec<String> = badges.into_iter().chain(strips).chain(facts).collect();
    parts.join(" · ")
}

fn of_strip(strip: &Strip) -> String {
    let mut cells = Vec::new();
    for (cell, number) in strip.cells.iter().zip(1..) {
        let bar = if strip.committed == number { " |" } else { "" };
        cells.push(match cell.look {
            Look::Firm | Look::Empty => format!("{}{bar}", cell.text),
            Look::Loose => format!("{}~{bar}", cell.text),
            Look::Faint => format!("({}){bar}", cell.text),
            Look::Broken => format!("!{}{bar}", cell.text),
        });
    }
    format!("{} [{}]", strip.name, cells.join(" "))
}

#[cfg(test)]
mod tests {
    use super::tell;
    use crate::explore::{Card, Cell, Dye, Lane, Look, Strip};

    #[test]
    fn a_state_is_told_lane_by_lane() {
        let lane = |name: &str| Lane {
            name: name.to_owned(),
            role: "",
        };
        let mut node = Card::default();
        node.badge("up", Dye::Plain);
        node.strips.push(Strip {
            name: "log",
            cells: vec![
                Cell::new("1.w1", 1, Look::Faint),
                Cell::new("1.w2", 1, Look::Firm),
                Cell::new("1.w3", 1, Look::Loose),
            ],
            committed: 2,
        });
        node.fact("head", 3);
        let told = tell(&[lane("client"), lane("node 0")], &[Card::default(), node]);
        assert_eq!(told, "node 0  up · log [(1.w1) 1.w2 | 1.w3~] · head 3");
    }
}
