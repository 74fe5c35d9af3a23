//! Rows as an aligned table, for people.

use super::row::Row;

const HEADS: [&str; 8] = [
    "case",
    "value",
    "unit",
    "reference",
    "its value",
    "ratio",
    "target",
    "met",
];

/// Which columns hold numbers, and so are aligned to the right.
const NUMBERS: [bool; 8] = [false, true, false, false, true, true, false, false];

/// The table, a line each; remarks follow their row.
pub(super) fn render(rows: &[Row]) -> String {
    let cells: Vec<[String; 8]> = rows.iter().map(cells).collect();
    let mut widths = HEADS.map(str::len);
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    let mut out = line(&HEADS.map(str::to_owned), &widths);
    for (row, cells) in rows.iter().zip(&cells) {
        out.push_str(&line(cells, &widths));
        if let Some(note) = &row.note {
            out.push_str(&format!("    ({note})\n"));
        }
    }
    out
}

/// What a row says, by column.
pub(super) fn cells(row: &Row) -> [String; 8] {
    let dash = || "-".to_owned();
    [
        row.case.clone(),
        number(row.value),
        row.unit.clone(),
        row.reference.clone().unwrap_or_else(dash),
        row.reference_value.map_or_else(dash, number),
        row.ratio.map_or_else(dash, |ratio| format!("{ratio:.3}")),
        row.target.clone(),
        match row.met {
            Some(true) => "yes".to_owned(),
            Some(false) => "NO".to_owned(),
            None => "unknown".to_owned(),
        },
    ]
}

fn number(figure: f64) -> String {
    if figure.abs() >= 1000.0 {
        format!("{figure:.0}")
    } else {
        format!("{figure}")
    }
}

fn line(cells: &[String; 8], widths: &[usize; 8]) -> String {
    let mut out = String::new();
    for ((cell, width), is_number) in cells.iter().zip(widths).zip(NUMBERS) {
        let width = *width;
        if is_number {
            out.push_str(&format!("{cell:>width$}  "));
        } else {
            out.push_str(&format!("{cell:<width$}  "));
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::super::row::{Better, Figures, Subject, Target};
    use super::render;

    #[test]
    fn columns_are_aligned_and_remarks_follow_their_row() {
        let subject = |case: &str| Subject {
            case: case.into(),
            unit: "op/s",
            better: Better::Higher,
            reference: Some("raw"),
            target: Target::Ratio(0.9),
        };
        let figures = |product, reference| Figures { product, reference };
        let rows = [
            subject("short").row(&figures(vec![12_345.0], vec![13_000.0])),
            subject("a-longer-case")
                .row(&figures(vec![7.5], vec![]))
                .with_note("nothing to compare with"),
        ];
        let table = render(&rows);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4, "{table}");
        let column = |line: &str| line.find("op/s").unwrap();
        assert_eq!(column(lines[1]), column(lines[2]), "{table}");
        assert!(lines[1].ends_with("yes"), "{table}");
        assert!(lines[2].ends_with("unknown"), "{table}");
        assert_eq!(lines[3].trim(), "(nothing to compare with)");
    }
}
