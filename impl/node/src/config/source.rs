//! From a file and the environment to one set of settings, each with its origin. Only names are
//! judged here; values are judged by whoever reads them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Origin, Problem};
use super::keys::{KEYS, Key, find, nearest};

const PREFIX: &str = "HOLDFAST_";
const SEPARATOR: &str = "__";

/// A value as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A TOML string, or an environment variable (which can stand for any type).
    Text { text: String, typed: bool },
    /// A TOML integer, as it was written.
    Integer(String),
    /// A TOML boolean.
    Boolean(bool),
    /// A TOML type that no key takes.
    Unusable(&'static str),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// Settings by section and name.
pub(super) type Settings = BTreeMap<(&'static str, &'static str), Setting>;

/// Reads both sources; the environment wins.
pub(super) fn collect(
    text: &str,
    path: &Path,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(Settings, Vec<Problem>), ConfigError> {
    let file = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        path: path.to_owned(),
        line: line_of(text, error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    })?;
    let mut collected = Collected {
        text,
        path: Arc::new(path.to_owned()),
        settings: Settings::new(),
        problems: Vec::new(),
    };
    collected.take_file(file.get_ref());
    collected.take_environment(environment);
    Ok((collected.settings, collected.problems))
}

struct Collected<'a> {
    text: &'a str,
    path: Arc<PathBuf>,
    settings: Settings,
    problems: Vec<Problem>,
}

impl Collected<'_> {
    fn at<T>(&self, spanned: &Spanned<T>) -> Origin {
        Origin::File {
            path: self.path.clone(),
            line: line_of(self.text, spanned.span().start),
        }
    }

    fn take_file(&mut self, file: &DeTable<'_>) {
        let mut in_order: Vec<_> = file.iter().collect();
        in_order.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in in_order {
            let section = name.get_ref().as_ref();
            let Some(section) = KEYS
                .iter()
                .map(|key| key.section)
                .find(|known| *known == section)
            else {
                self.problems.push(Problem {
                    origin: Some(self.at(name)),
                    what: format!("there is no section [{section}]"),
                    remedy: suggestion(section, sections()),
                });
                continue;
            };
            if let DeValue::Table(keys) = value.get_ref() {
                self.take_section(section, keys);
                continue;
            }
            let kind = value.get_ref().type_str();
            self.problems.push(Problem {
                origin: Some(self.at(name)),
                what: format!("{section} is a section, and this is a key ({kind})"),
                remedy: format!("begin the section with [{section}]"),
            });
        }
    }

    fn take_section(&mut self, section: &'static str, keys: &DeTable<'_>) {
        let mut in_order: Vec<_> = keys.iter().collect();
        in_order.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in in_order {
            let origin = self.at(name);
            let name = name.get_ref().as_ref();
            match find(section, name) {
                Some(key) => {
                    let value = value_of(value.get_ref());
                    let setting = Setting { value, origin };
                    self.settings.insert((key.section, key.name), setting);
                }
                None => self.problems.push(Problem {
                    origin: Some(origin),
                    what: format!("there is no key {section}.{name}"),
                    remedy: suggestion(name, names_in(section)),
                }),
            }
        }
    }

    fn take_environment(&mut self, environment: impl IntoIterator<Item = (OsString, OsString)>) {
        // Names without the separator (HOLDFAST_SEED, HOLDFAST_BIN) belong to others.
        let mut ours: Vec<(String, OsString)> = environment
            .into_iter()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| {
                name.strip_prefix(PREFIX)
                    .is_some_and(|rest| rest.contains(SEPARATOR))
            })
            .collect();
        ours.sort();
        for (variable, value) in ours {
            let origin = Origin::Environment {
                variable: variable.clone(),
            };
            let known: Option<&Key> = KEYS.iter().copied().find(|key| key.variable() == variable);
            let Some(key) = known else {
                let variables: Vec<String> = KEYS.iter().map(|key| key.variable()).collect();
                self.problems.push(Problem {
                    origin: Some(origin),
                    what: format!("no key is set by {variable}"),
                    remedy: suggestion(&variable, variables.iter().map(String::as_str)),
                });
                continue;
            };
            match value.into_string() {
                Ok(text) => {
                    let value = Value::Text { text, typed: false };
                    let setting = Setting { value, origin };
                    self.settings.insert((key.section, key.name), setting);
                }
                Err(_) => self.problems.push(Problem {
                    origin: Some(origin),
                    what: format!("{variable} is not UTF-8"),
                    remedy: "set it to text".to_owned(),
                }),
            }
        }
    }
}

fn value_of(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text {
            text: text.as_ref().to_owned(),
            typed: true,
        },
        DeValue::Integer(integer) => Value::Integer(integer.to_string()),
        DeValue::Boolean(boolean) => Value::Boolean(*boolean),
        DeValue::Float(_) => Value::Unusable("a number with a fraction"),
        DeValue::Datetime(_) => Value::Unusable("a date"),
        DeValue::Array(_) => Value::Unusable("a list"),
        DeValue::Table(_) => Value::Unusable("a section"),
    }
}

/// Line of a byte, from 1.
fn line_of(text: &str, byte: usize) -> usize {
    1 + text
        .bytes()
        .take(byte)
        .filter(|byte| *byte == b'\n')
        .count()
}

fn sections() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|key| key.section)
}

fn names_in(section: &'static str) -> impl Iterator<Item = &'static str> {
    KEYS.iter()
        .filter(move |key| key.section == section)
        .map(|key| key.name)
}

fn suggestion<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.collect();
    names.dedup();
    match nearest(wrong, &names) {
        Some(meant) => format!("did you mean {meant}?"),
        None => format!("known are {}", names.join(", ")),
    }
}
