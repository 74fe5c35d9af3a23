//! What the NBD front end asks of a block device.

use std::future::Future;

use bytes::Bytes;
use holdfast_types::BLOCK_SIZE;

use super::proto::errno;

/// Facts about an export that hold for the life of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportInfo {
    /// Size in bytes, a multiple of [`BLOCK_SIZE`] and at most `i64::MAX`.
    pub size: u64,
    /// Whether writes, trims and zeroing are refused (EPERM).
    pub read_only: bool,
}

impl ExportInfo {
    /// Whether clients can address every byte of it.
    #[must_use]
    pub fn is_servable(self) -> bool {
        self.size.is_multiple_of(BLOCK_SIZE as u64) && i64::try_from(self.size).is_ok()
    }
}

/// Why a device could not do what it was asked. Each variant is one NBD error value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// EIO: the medium failed, or the request could not be acknowledged in time. Whether a failed
    /// write took effect is unknown.
    #[error("i/o error: {reason}")]
    Io {
        /// What failed, for the log; clients only see the number.
        reason: String,
    },
    /// ENOSPC: there is no room for the write.
    #[error("no space left: {reason}")]
    NoSpace {
        /// What is full, for the log.
        reason: String,
    },
    /// EINVAL: the device does not take such a request.
    #[error("invalid request: {reason}")]
    Invalid {
        /// What is wrong with it, for the log.
        reason: String,
    },
    /// ESHUTDOWN: the device is going away; clients should disconnect.
    #[error("the volume is being withdrawn")]
    ShuttingDown,
}

impl ExportError {
    /// The NBD error value of this error.
    #[must_use]
    pub const fn errno(&self) -> u32 {
        match self {
            Self::Io { .. } => errno::EIO,
            Self::NoSpace { .. } => errno::ENOSPC,
            Self::Invalid { .. } => errno::EINVAL,
            Self::ShuttingDown => errno::ESHUTDOWN,
        }
    }
}

/// What may become of the space under zeroes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// The range stays allocated (`NBD_CMD_FLAG_NO_HOLE`).
    Keep,
    /// The space may be given back.
    MayRelease,
}

/// A block device that NBD clients can be connected to.
///
/// The front end keeps these promises to a device:
///
/// - every offset and length is a multiple of [`BLOCK_SIZE`], every length is above zero and
///   every range lies inside [`ExportInfo::size`];
/// - a read or write is at most [`MAX_PAYLOAD`](super::MAX_PAYLOAD) bytes and two blocks more
///   (the blocks around an unaligned request); trims and zeroing can be as long as the device;
/// - a read-only export sees no write, trim or zeroing.
///
/// And asks these of it:
///
/// - **Calls run concurrently**, and nothing orders two calls that are in progress at once.
/// - **A future may be dropped** at any point, when the client or the incarnation is gone. Each
///   log entry that a dropped call stood for is then logged, and so precedes the entries of every
///   call begun later, or never will be.
/// - **A write that returned is visible** to every read begun afterwards, on any connection.
/// - **A flush covers** every write, trim and zeroing that returned before the flush began, on
///   any connection. With `fua`, a call covers its own range before it returns.
/// - A call that cannot be acknowledged waits, then fails; time-outs are the device's.
///
/// Requests beyond the largest log entry are for the device to split.
pub trait Export: Send + Sync + 'static {
    /// Size and access mode. Constant while the export is served.
    fn info(&self) -> ExportInfo;

    /// Fills `buffer` with the bytes from `offset` on. On an error its content means nothing.
    fn read(
        &self,
        offset: u64,
        buffer: &mut [u8],
    ) -> impl Future<Output = Result<(), ExportError>> + Send;

    /// Replaces the bytes from `offset` on. `data` of less than
    /// [`PAYLOAD_APART`](super::PAYLOAD_APART) bytes shares the connection's receive buffer: a device
    /// that wants to keep it beyond the call copies it. Larger data stand in a buffer of their own.
    fn write(
        &self,
        offset: u64,
        data: Bytes,
        fua: bool,
    ) -> impl Future<Output = Result<(), ExportError>> + Send;

    /// Makes every write acknowledged so far survive what the volume's durability mode promises.
    fn flush(&self) -> impl Future<Output = Result<(), ExportError>> + Send;

    /// Gives the range back: it reads as zeroes from now on.
    fn trim(
        &self,
        offset: u64,
        length: u64,
        fua: bool,
    ) -> impl Future<Output = Result<(), ExportError>> + Send;

    /// The range reads as zeroes from now on.
    fn write_zeroes(
        &self,
        offset: u64,
        length: u64,
        space: Space,
        fua: bool,
    ) -> impl Future<Output = Result<(), ExportError>> + Send;
}
