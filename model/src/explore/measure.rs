//! How wide text is, without a font.
//!
//! A diagram is drawn where no font can be asked, and must come out the same on every machine. So
//! widths are estimated, for a wide sans-serif and for a fixed-width font, rather a little too wide.

/// Width of `text` in a sans-serif font of `size` pixels.
#[must_use]
pub(super) fn sans(text: &str, size: i32) -> i32 {
    let thousandths: i32 = text.chars().map(|c| letter(c) * size).sum();
    thousandths / 1000 + 1
}

/// Width of `text` in a fixed-width font of `size` pixels.
#[must_use]
pub(super) fn mono(text: &str, size: i32) -> i32 {
    let letters = i32::try_from(text.chars().count()).unwrap_or(i32::MAX / 1000);
    letters.saturating_mul(size) * 61 / 100 + 1
}

/// Width of a letter in thousandths of the font's size.
const fn letter(c: char) -> i32 {
    match c {
        'i' | 'l' | 'j' | 'I' | '\'' | '|' | ' ' | '.' | ',' | ':' | ';' => 310,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '/' | '-' => 410,
        'm' | 'w' | 'M' | 'W' | '%' | '→' | '—' => 900,
        'A'..='Z' => 720,
        _ => 635,
    }
}

/// `text` in lines of at most `room` pixels, broken between words; a word that is wider stands on
/// a line of its own.
#[must_use]
pub(super) fn wrapped(text: &str, size: i32, room: i32) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if sans(line, size) + sans(word, size) + size / 3 <= room => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{mono, sans, wrapped};

    #[test]
    fn wrapping_keeps_every_word_in_order_and_every_line_in_its_room() {
        let text = "a replica that promised a higher epoch takes nothing from an older one";
        let lines = wrapped(text, 12, 120);
        assert!(lines.len() > 2);
        assert_eq!(lines.join(" "), text);
        assert!(lines.iter().all(|line| sans(line, 12) <= 120), "{lines:?}");
    }

    #[test]
    fn a_word_without_room_is_not_broken() {
        assert_eq!(wrapped("incontrovertible", 12, 10), ["incontrovertible"]);
        assert!(wrapped("  ", 12, 10).is_empty());
    }

    #[test]
    fn fixed_width_text_grows_by_the_letter() {
        assert_eq!(mono("ab", 100) - mono("a", 100), 61);
    }
}
