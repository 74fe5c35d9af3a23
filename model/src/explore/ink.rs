//! The few marks that a diagram consists of, as SVG text. All text that comes from elsewhere passes
//! through [`escaped`]; nothing else writes a text into the file.

use std::fmt::Write as _;

/// A layer of the drawing: marks, one after the other.
#[derive(Debug, Default)]
pub(super) struct Ink(String);

/// Where a text stands in relation to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    /// It begins there.
    Start,
    /// It is centred there.
    Middle,
    /// It ends there.
    End,
}

impl Anchor {
    const fn class(self) -> &'static str {
        match self {
            Self::Start => "",
            Self::Middle => " mid",
            Self::End => " end",
        }
    }
}

/// A rectangle: left, top, width, height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Area(
    pub(super) i32,
    pub(super) i32,
    pub(super) i32,
    pub(super) i32,
);

impl Ink {
    /// What was drawn.
    pub(super) fn into_text(self) -> String {
        self.0
    }

    pub(super) fn text(&mut self, x: i32, y: i32, class: &str, anchor: Anchor, text: &str) {
        let (anchor, text) = (anchor.class(), escaped(text));
        let _ = write!(
            self.0,
            "<text x=\"{x}\" y=\"{y}\" class=\"{class}{anchor}\">{text}</text>"
        );
    }

    pub(super) fn area(&mut self, Area(x, y, w, h): Area, corner: i32, class: &str) {
        let _ = write!(
            self.0,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"{corner}\" \
             class=\"{class}\"/>"
        );
    }

    pub(super) fn line(&mut self, from: (i32, i32), to: (i32, i32), class: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = write!(
            self.0,
            "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" class=\"{class}\"/>"
        );
    }

    pub(super) fn path(&mut self, points: &[(i32, i32)], class: &str) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x} {y}")).collect();
        let _ = write!(
            self.0,
            "<path d=\"M{}\" class=\"{class}\"/>",
            points.join("L")
        );
    }

    /// The head of an arrow that comes from the left (`1`) or from the right (`-1`).
    pub(super) fn tip(&mut self, (x, y): (i32, i32), towards: i32, class: &str) {
        let back = x - 8 * towards;
        let _ = write!(
            self.0,
            "<path d=\"M{x} {y}L{back} {}L{back} {}Z\" class=\"{class}\"/>",
            y - 4,
            y + 4
        );
    }

    /// A cross: something ends here that should not.
    pub(super) fn cross(&mut self, (x, y): (i32, i32), class: &str) {
        self.path(&[(x - 5, y - 5), (x + 5, y + 5)], class);
        self.path(&[(x - 5, y + 5), (x + 5, y - 5)], class);
    }
}

/// `text` as it may stand between tags and in attributes: the five special letters are written as
/// entities, control characters (which XML does not have) as a replacement.
#[must_use]
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{Anchor, Ink, escaped};

    #[test]
    fn nothing_in_a_text_can_leave_its_element() {
        assert_eq!(
            escaped("<script>'\"&\0\u{ffff}"),
            "&lt;script&gt;&#39;&quot;&amp;\u{fffd}\u{fffd}"
        );
        let mut ink = Ink::default();
        ink.text(1, 2, "ink", Anchor::Middle, "</text><x/>");
        assert_eq!(
            ink.into_text(),
            "<text x=\"1\" y=\"2\" class=\"ink mid\">&lt;/text&gt;&lt;x/&gt;</text>"
        );
    }
}
