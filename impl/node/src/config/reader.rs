//! Typed access to the settings: every reading checks type, unit and range, notes the effective
//! value, and on trouble notes a problem and goes on, so that all problems are told at once.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::error::{Origin, Problem};
use super::keys::{KEYS, Key};
use super::source::{Settings, Value};
use super::units;

/// One key with the value that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The key.
    pub key: &'static Key,
    /// Its value, as TOML.
    pub value: String,
    /// Where it was set; `None` for a default.
    pub origin: Option<Origin>,
}

pub(super) struct Reader {
    settings: Settings,
    effective: Vec<Effective>,
    problems: Vec<Problem>,
    read: BTreeSet<(&'static str, &'static str)>,
}

impl Reader {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            effective: Vec::new(),
            problems: Vec::new(),
            read: BTreeSet::new(),
        }
    }

    /// Hands over what was noted.
    pub(super) fn finish(mut self, problems: &mut Vec<Problem>) -> Vec<Effective> {
        debug_assert!(
            KEYS.iter()
                .all(|key| self.read.contains(&(key.section, key.name))),
            "a key in the table is never read"
        );
        problems.append(&mut self.problems);
        self.effective
    }

    fn is_set(&self, key: &'static Key) -> bool {
        self.settings.contains_key(&(key.section, key.name))
    }

    /// Passes over a key that has no meaning beside the others; whether somebody set it.
    pub(super) fn skip(&mut self, key: &'static Key) -> bool {
        self.read.insert((key.section, key.name));
        self.is_set(key)
    }

    pub(super) fn origin(&self, key: &'static Key) -> Option<Origin> {
        let setting = self.settings.get(&(key.section, key.name));
        setting.map(|setting| setting.origin.clone())
    }

    /// Notes that what a key says cannot be.
    pub(super) fn object(
        &mut self,
        key: &'static Key,
        what: impl Display,
        remedy: impl Into<String>,
    ) {
        self.problems.push(Problem {
            origin: self.origin(key),
            what: format!("{}: {what}", key.path()),
            remedy: remedy.into(),
        });
    }

    /// The value as text, if it is set and of a type that text can stand for.
    fn text_of(&mut self, key: &'static Key, wanted: &str) -> Option<String> {
        self.read.insert((key.section, key.name));
        let what = match &self.settings.get(&(key.section, key.name))?.value {
            Value::Text { text, .. } => return Some(text.clone()),
            Value::Integer(number) => format!("{number} is a bare number"),
            Value::Boolean(boolean) => format!("{boolean} is a truth value"),
            Value::Unusable(kind) => format!("this is {kind}"),
        };
        self.object(
            key,
            what,
            format!("write {wanted}, for instance {}", key.example),
        );
        None
    }

    fn note(&mut self, key: &'static Key, value: String) {
        let origin = self.origin(key);
        self.effective.push(Effective { key, value, origin });
    }

    /// A value written as text, or `default`.
    fn parsed<T>(
        &mut self,
        key: &'static Key,
        wanted: &str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
        show: impl FnOnce(&T) -> String,
    ) -> T {
        let mut value = default;
        if let Some(text) = self.text_of(key, wanted) {
            match parse(&text) {
                Ok(parsed) => value = parsed,
                Err(what) => {
                    self.object(
                        key,
                        what,
                        format!("write {wanted}, for instance {}", key.example),
                    );
                }
            }
        }
        let shown = show(&value);
        self.note(key, shown);
        value
    }

    /// A value that must be there. `None` has been noted as a problem.
    pub(super) fn required<T: Display>(
        &mut self,
        key: &'static Key,
        wanted: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if !self.skip(key) {
            self.object(
                key,
                "must be set",
                format!(
                    "write {} = {} under [{}], or set {}",
                    key.name,
                    key.example,
                    key.section,
                    key.variable()
                ),
            );
            return None;
        }
        self.parsed(
            key,
            wanted,
            None,
            |text| parse(text).map(Some),
            |value| value.as_ref().map_or(String::new(), quoted),
        )
    }

    pub(super) fn duration(
        &mut self,
        key: &'static Key,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let parse = |text: &str| {
            let value = units::duration(text)?;
            within(value, &range, text, |end| units::show_duration(*end))
        };
        self.parsed(key, "a duration", default, parse, |value| {
            quoted(units::show_duration(*value))
        })
    }

    pub(super) fn size(
        &mut self,
        key: &'static Key,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> u64 {
        let parse = |text: &str| {
            let value = units::size(text)?;
            within(value, &range, text, |end| units::show_size(*end))
        };
        self.parsed(key, "a size", default, parse, |value| {
            quoted(units::show_size(*value))
        })
    }

    pub(super) fn size_if_set(
        &mut self,
        key: &'static Key,
        range: RangeInclusive<u64>,
    ) -> Option<u64> {
        if self.skip(key) {
            Some(self.size(key, *range.start(), range))
        } else {
            None
        }
    }

    pub(super) fn percent(
        &mut self,
        key: &'static Key,
        default: u8,
        range: RangeInclusive<u8>,
    ) -> u8 {
        let parse = |text: &str| {
            let value = units::percent(text)?;
            within(value, &range, text, |end| format!("{end}%"))
        };
        self.parsed(key, "a share", default, parse, |value| {
            quoted(format!("{value}%"))
        })
    }

    /// A plain number. Bare in the file, text in the environment.
    pub(super) fn count(
        &mut self,
        key: &'static Key,
        default: usize,
        range: RangeInclusive<usize>,
    ) -> usize {
        self.read.insert((key.section, key.name));
        let remedy = format!("write a whole number, for instance {}", key.example);
        let written =
            self.settings
                .get(&(key.section, key.name))
                .map(|setting| match &setting.value {
                    Value::Integer(text) | Value::Text { text, typed: false } => Ok(text.clone()),
                    Value::Text { text, typed: true } => Err(format!("{text:?} is text")),
                    Value::Boolean(boolean) => Err(format!("{boolean} is a truth value")),
                    Value::Unusable(kind) => Err(format!("this is {kind}")),
                });
        let mut value = default;
        if let Some(written) = written {
            let parsed = written.and_then(|text| {
                let number = text
                    .parse()
                    .map_err(|_| format!("{text:?} is no whole number of this size"))?;
                within(number, &range, &text, ToString::to_string)
            });
            match parsed {
                Ok(number) => value = number,
                Err(what) => self.object(key, what, remedy),
            }
        }
        self.note(key, value.to_string());
        value
    }

    pub(super) fn boolean(&mut self, key: &'static Key, default: bool) -> bool {
        self.read.insert((key.section, key.name));
        let written =
            self.settings
                .get(&(key.section, key.name))
                .map(|setting| match &setting.value {
                    Value::Boolean(boolean) => Some(*boolean),
                    Value::Text { text, typed: false } => text.parse().ok(),
                    Value::Text { typed: true, .. } | Value::Integer(_) | Value::Unusable(_) => {
                        None
                    }
                });
        let value = match written {
            None => default,
            Some(Some(value)) => value,
            Some(None) => {
                self.object(key, "neither true nor false", "write true or false, bare");
                default
            }
        };
        self.note(key, value.to_string());
        value
    }

    pub(super) fn address(&mut self, key: &'static Key, default: SocketAddr) -> SocketAddr {
        self.parsed(
            key,
            "an address and port",
            default,
            parse_address,
            |address| quoted(address),
        )
    }

    /// An address, or `"none"`.
    pub(super) fn address_or_none(
        &mut self,
        key: &'static Key,
        default: SocketAddr,
    ) -> Option<SocketAddr> {
        let wanted = "an address and port, or \"none\"";
        let parse = |text: &str| match text {
            "none" => Ok(None),
            text => parse_address(text).map(Some),
        };
        self.parsed(key, wanted, Some(default), parse, |address| {
            quoted(address.map_or("none".to_owned(), |address| address.to_string()))
        })
    }

    pub(super) fn path(&mut self, key: &'static Key, default: PathBuf) -> PathBuf {
        self.parsed(key, "a path", default, parse_path, |path| {
            quoted(path.display())
        })
    }

    /// A path, or `"none"`.
    pub(super) fn path_or_none(
        &mut self,
        key: &'static Key,
        default: Option<PathBuf>,
    ) -> Option<PathBuf> {
        let parse = |text: &str| match text {
            "none" => Ok(None),
            text => parse_path(text).map(Some),
        };
        self.parsed(key, "a path, or \"none\"", default, parse, |path| {
            quoted(
                path.as_ref()
                    .map_or("none".to_owned(), |path| path.display().to_string()),
            )
        })
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy + PartialEq>(
        &mut self,
        key: &'static Key,
        choices: &[(&str, T)],
        default: T,
    ) -> T {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let wanted = format!("one of {}", words.join(", "));
        let parse = |text: &str| {
            let chosen = choices.iter().find(|(word, _)| *word == text);
            chosen
                .map(|(_, value)| *value)
                .ok_or_else(|| format!("{text:?} is none of {}", words.join(", ")))
        };
        let show = |value: &T| {
            let word = choices.iter().find(|(_, choice)| choice == value);
            quoted(word.map_or("", |(word, _)| word))
        };
        self.parsed(key, &wanted, default, parse, show)
    }
}

fn quoted(value: impl Display) -> String {
    toml::Value::String(value.to_string()).to_string()
}

fn within<T: PartialOrd>(
    value: T,
    range: &RangeInclusive<T>,
    text: &str,
    show: impl Fn(&T) -> String,
) -> Result<T, String> {
    if range.contains(&value) {
        return Ok(value);
    }
    let (least, most) = (show(range.start()), show(range.end()));
    Err(format!("{text} is not within {least} and {most}"))
}

pub(super) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is no IP address with a port"))
}

fn parse_path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.contains('\0') {
        return Err(format!("{text:?} is no path"));
    }
    Ok(PathBuf::from(text))
}
