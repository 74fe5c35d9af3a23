//! The configuration of a node: one TOML file, overridden by the environment, checked as a whole
//! before anything starts.
//!
//! Every key has a documented default where one makes sense ([`documented`] prints them all).
//! `HOLDFAST_<SECTION>__<KEY>` overrides a key of the file. Durations, sizes and shares carry
//! units (`"30s"`, `"64MiB"`, `"25%"`). Unknown keys, wrong units and contradictions are refused,
//! all of them at once, each with its place and what to do.
//!
//! What comes out is a [`Config`] that needs no further checking; whether its addresses and
//! directories can be had shows when they are used.

mod error;
mod keys;
mod reader;
mod sections;
mod source;
mod units;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fmt;
use std::io::Read;
use std::path::Path;

pub use error::{ConfigError, Origin, Problem};
pub use keys::documented;
pub use reader::Effective;
pub use sections::{
    AuthorityConfig, Config, LeaseConfig, LimitsConfig, LogConfig, LogFormat, LogLevel, NbdConfig,
    NodeConfig, SessionLimits, TlsConfig,
};
pub(crate) use units::size as parse_size;

/// The longest configuration file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A configuration, and where each of its values comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Every key with its value and origin, in the order of [`documented`].
    pub effective: Vec<Effective>,
}

impl Loaded {
    /// Reads a file and the environment (`std::env::vars_os()`).
    ///
    /// # Errors
    /// [`ConfigError`], with every problem there is.
    pub fn from_file(
        path: &Path,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let mut text = String::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
            .map_err(unreadable)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(ConfigError::TooLong {
                path: path.to_owned(),
                bytes_max: FILE_BYTES_MAX,
            });
        }
        Self::from_text(&text, path, environment)
    }

    /// Reads the text of a file. `path` only appears in messages.
    ///
    /// # Errors
    /// [`ConfigError`], with every problem there is.
    pub fn from_text(
        text: &str,
        path: &Path,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let (settings, mut problems) = source::collect(text, path, environment)?;
        let mut reader = reader::Reader::new(settings);
        let config = sections::read(&mut reader);
        let effective = reader.finish(&mut problems);
        match config {
            Some(config) if problems.is_empty() => Ok(Self { config, effective }),
            Some(_) | None => Err(ConfigError::Invalid { problems }),
        }
    }
}

/// What `holdfast node --check-config` prints: the whole configuration as TOML, each value with
/// its origin.
impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut section = "";
        for Effective { key, value, origin } in &self.effective {
            if key.section != section {
                if !section.is_empty() {
                    writeln!(f)?;
                }
                section = key.section;
                writeln!(f, "[{section}]")?;
            }
            let from = origin
                .as_ref()
                .map_or("default".to_owned(), ToString::to_string);
            writeln!(f, "{} = {value}  # {from}", key.name)?;
        }
        Ok(())
    }
}
