//! The log on its disk: entries that describe themselves, a ring to keep them in, and the scan
//! that tells the end of a log from a broken one; and the list of them in memory.

pub(crate) mod entries;
pub(crate) mod header;
pub(crate) mod ring;
pub(crate) mod scan;
