//! The colours, by what they mean, for light and for dark surroundings.
//!
//! Written as plain properties and not as variables, so that simple viewers show them too.

use super::picture::Hue;

/// Epochs that have a colour of their own; later ones begin again.
const HUES: usize = 7;

/// The colour of an epoch and its tint, in the light and in the dark.
const EPOCHS: [[&str; 4]; HUES] = [
    ["#2f67c8", "#e6eefb", "#6ea3f7", "#1d2f4d"],
    ["#c2650e", "#fcefdf", "#f2a152", "#42290f"],
    ["#23875a", "#e2f4ea", "#5cc594", "#17382a"],
    ["#7d4cc4", "#f0e9fb", "#b391f0", "#33254d"],
    ["#0f8291", "#dff3f5", "#4fc3d1", "#123a40"],
    ["#bb3f7b", "#fbe6f0", "#ee85b5", "#452034"],
    ["#7a6136", "#f3eee2", "#c8a86c", "#3a301d"],
];

/// Selector, property, in the light, in the dark.
const RULES: [(&str, &str, &str, &str); 34] = [
    (".paper", "fill", "#ffffff", "#11161d"),
    (".band", "fill", "#f5f7fa", "#161c25"),
    (".ink", "fill", "#1d2530", "#e7ecf3"),
    (".mute", "fill", "#667386", "#93a0b2"),
    (".halo", "fill", "#1d2530", "#e7ecf3"),
    (".halo", "stroke", "#ffffff", "#11161d"),
    (".head", "fill", "#eef1f5", "#1f2733"),
    (".head", "stroke", "#c9d1db", "#3a4657"),
    (".card", "fill", "#ffffff", "#1a212b"),
    (".card", "stroke", "#cfd6df", "#3a4657"),
    (".new", "fill", "#ffeaa6", "#5b4c12"),
    (".ring", "stroke", "#d9a400", "#e9c349"),
    (".quiet", "stroke", "#c3ccd7", "#3d4959"),
    (".down", "stroke", "#a3adba", "#5a6677"),
    (".go", "stroke", "#1d2530", "#e7ecf3"),
    (".tip", "fill", "#1d2530", "#e7ecf3"),
    (".back", "stroke", "#7c8898", "#8593a6"),
    (".pill", "fill", "#f2f4f7", "#242d3a"),
    (".pill", "stroke", "#8d99a8", "#66758a"),
    (".fault", "fill", "#fdeee6", "#40210f"),
    (".fault", "stroke", "#cf4a0a", "#ff9254"),
    (".faultline", "stroke", "#cf4a0a", "#ff9254"),
    (".faulttext", "fill", "#a83a05", "#ffb185"),
    (".repair", "fill", "#e5f5ea", "#15331f"),
    (".repair", "stroke", "#23875a", "#5cc594"),
    (".refused", "fill", "#f4f1f8", "#2a2436"),
    (".refused", "stroke", "#8b78a8", "#a795c7"),
    (".refusedline", "stroke", "#8b78a8", "#a795c7"),
    (".fall", "fill", "#fdeaea", "#3d1518"),
    (".fall", "stroke", "#cc2b2b", "#ff6f6f"),
    (".falltext", "fill", "#a51d1d", "#ff9d9d"),
    (".good", "fill", "#23875a", "#3f9c6d"),
    (".bad", "fill", "#cc2b2b", "#d14848"),
    (".committed", "stroke", "#1d2530", "#e7ecf3"),
];

/// What does not depend on the light.
const SHAPES: &str = "\
.hf{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;font-size:12px}\
.hf .mono{font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;font-size:11px}\
.hf .title{font-size:17px;font-weight:600}\
.hf .lane{font-size:13px;font-weight:600}\
.hf .tiny{font-size:10px}\
.hf .index{font-size:8px}\
.hf .strong{font-weight:600}\
.hf .mid{text-anchor:middle}\
.hf .end{text-anchor:end}\
.hf .halo{paint-order:stroke;stroke-width:4px;stroke-linejoin:round}\
.hf .white{fill:#fff}\
.hf .quiet{stroke-width:1.5}\
.hf .up{stroke-width:2.5}\
.hf .leads{stroke-width:7;stroke-linecap:round}\
.hf .down{stroke-width:1.5;stroke-dasharray:2 5}\
.hf .go,.hf .back,.hf .faultline,.hf .refusedline{fill:none;stroke-width:1.5;stroke-linejoin:round}\
.hf .back{stroke-dasharray:4 3}\
.hf .refusedline{stroke-dasharray:5 3}\
.hf .loose{stroke-dasharray:3 2}\
.hf .faint{opacity:.45}\
.hf .ring{fill:none;stroke-width:2}\
.hf .committed{stroke-width:2}";

/// The content of the diagram's `style` element.
#[must_use]
pub(super) fn sheet() -> String {
    let mut light = String::from(SHAPES);
    let mut dark = String::new();
    for (selector, property, in_light, in_dark) in RULES {
        light.push_str(&format!(".hf {selector}{{{property}:{in_light}}}"));
        dark.push_str(&format!(".hf {selector}{{{property}:{in_dark}}}"));
    }
    for (at, [ink, tint, dark_ink, dark_tint]) in EPOCHS.iter().enumerate() {
        for (sheet, ink, tint) in [(&mut light, ink, tint), (&mut dark, dark_ink, dark_tint)] {
            let hue = at + 1;
            sheet.push_str(&format!(
                ".hf .f{hue}{{fill:{ink}}}.hf .s{hue}{{stroke:{ink}}}"
            ));
            sheet.push_str(&format!(".hf .t{hue}{{fill:{tint}}}"));
        }
    }
    let (none, dark_none) = (["#5f6c7d", "#e8ecf1"], ["#9aa8ba", "#2a3442"]);
    for (sheet, [ink, tint]) in [(&mut light, none), (&mut dark, dark_none)] {
        sheet.push_str(&format!(
            ".hf .f0{{fill:{ink}}}.hf .s0{{stroke:{ink}}}.hf .t0{{fill:{tint}}}"
        ));
    }
    dark.push_str(".hf .white{fill:#0f141a}");
    format!("{light}@media(prefers-color-scheme:dark){{{dark}}}")
}

/// The number of an epoch's colour: the classes `f`, `s` and `t` with this number are its fill, its
/// stroke and its tint.
#[must_use]
pub(super) fn hue(hue: Hue) -> usize {
    match usize::from(hue) {
        0 => 0,
        epoch => (epoch - 1) % HUES + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::{HUES, hue, sheet};

    #[test]
    fn every_colour_exists_in_the_light_and_in_the_dark() {
        let sheet = sheet();
        let (light, dark) = sheet.split_once("@media").unwrap();
        for number in 0..=HUES {
            for class in ["f", "s", "t"] {
                let class = format!(".hf .{class}{number}{{");
                assert!(light.contains(&class) && dark.contains(&class), "{class}");
            }
        }
        assert!(!sheet.contains('<') && !sheet.contains('&'));
    }

    #[test]
    fn every_epoch_has_a_colour() {
        assert_eq!([hue(0), hue(1), hue(7), hue(8)], [0, 1, 7, 1]);
        assert!((0..=255).all(|epoch| hue(epoch) <= HUES));
    }
}
