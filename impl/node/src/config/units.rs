//! Numbers with units: durations, sizes, shares.

use std::time::Duration;

const DURATIONS: &[(&str, u64)] = &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

const SIZES: &[(&str, u64)] = &[
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// `"250ms"`, `"30s"`, `"5m"`, `"1h"`. The error says what is wrong.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    number_with_unit(text, DURATIONS).map(Duration::from_millis)
}

/// `"512B"`, `"64MiB"`, `"1TiB"`, in bytes. The error says what is wrong.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    number_with_unit(text, SIZES)
}

/// `"25%"`, as a whole number of percent. The error says what is wrong.
pub(super) fn percent(text: &str) -> Result<u8, String> {
    let value = number_with_unit(text, &[("%", 1)])?;
    u8::try_from(value)
        .ok()
        .filter(|percent| *percent <= 100)
        .ok_or_else(|| format!("{text:?} is more than everything"))
}

/// The shortest exact way to write a duration of whole milliseconds.
pub(super) fn show_duration(duration: Duration) -> String {
    show(
        u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        DURATIONS,
    )
}

/// The shortest exact way to write a number of bytes.
pub(super) fn show_size(bytes: u64) -> String {
    show(bytes, SIZES)
}

fn show(value: u64, units: &[(&str, u64)]) -> String {
    let (unit, factor) = units
        .iter()
        .rev()
        .find(|(_, factor)| value >= *factor && value.is_multiple_of(*factor))
        .unwrap_or(&units[0]);
    format!("{}{unit}", value / factor)
}

fn number_with_unit(text: &str, units: &[(&str, u64)]) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    if number.is_empty() {
        return Err(format!("{text:?} does not begin with a whole number"));
    }
    let known: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
    let known = known.join(", ");
    if unit.is_empty() {
        return Err(format!("{text:?} has no unit ({known})"));
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("{unit:?} in {text:?} is none of the units {known}"));
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(*factor))
        .ok_or_else(|| format!("{text:?} is too large"))
}

#[cfg(test)]
mod tests {
    use super::{duration, percent, show_duration, show_size, size};
    use std::time::Duration;

    #[test]
    fn numbers_carry_units() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration(" 5 m "), Ok(Duration::from_secs(300)));
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("0B"), Ok(0));
        assert_eq!(percent("25%"), Ok(25));
    }

    #[test]
    fn what_is_not_exact_is_refused_and_says_why() {
        for (refused, why) in [
            (duration("30"), "no unit"),
            (duration(""), "whole number"),
            (duration("1.5s"), "none of the units"),
            (duration("-1s"), "whole number"),
            (duration("3 fortnights"), "ms, s, m, h"),
            (duration("99999999999999999999s"), "too large"),
        ] {
            assert!(refused.clone().unwrap_err().contains(why), "{refused:?}");
        }
        assert!(size("1GB").unwrap_err().contains("KiB"));
        assert!(
            size("18014398509481984KiB")
                .unwrap_err()
                .contains("too large")
        );
        assert!(
            percent("101%")
                .unwrap_err()
                .contains("more than everything")
        );
        assert!(percent("256%").is_err());
    }

    #[test]
    fn what_is_shown_reads_back_the_same() {
        for ms in [0, 1, 999, 1000, 1500, 60_000, 90_000, 7_200_000] {
            let value = Duration::from_millis(ms);
            assert_eq!(duration(&show_duration(value)), Ok(value));
        }
        for bytes in [0, 511, 1024, 1 << 30, (1 << 30) + 1, u64::MAX] {
            assert_eq!(size(&show_size(bytes)), Ok(bytes));
        }
        assert_eq!(show_size(64 << 20), "64MiB");
        assert_eq!(show_duration(Duration::from_secs(90)), "90s");
    }
}
