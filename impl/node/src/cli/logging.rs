//! Where the log of a node goes, and in what form.

use std::fs::File;
use std::io;
use std::sync::Arc;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use super::Failure;
use crate::config::{LogConfig, LogFormat};

/// Sets the log up for the life of the process.
pub(super) fn start(config: &LogConfig) -> Result<(), Failure> {
    let writer = match &config.file {
        None => BoxMakeWriter::new(io::stderr),
        Some(path) => {
            let file = File::options().create(true).append(true).open(path);
            let file = file.map_err(|error| {
                Failure::Environment(format!("cannot write the log {}: {error}", path.display()))
            })?;
            BoxMakeWriter::new(Arc::new(file))
        }
    };
    let level = LevelFilter::from_level(config.level.into());
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_writer(writer);
    let started = match config.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    started.map_err(|error| Failure::Environment(format!("cannot start the log: {error}")))
}
