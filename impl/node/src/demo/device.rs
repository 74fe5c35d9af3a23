//! The volume as its client has it: an NBD connection, and the reference that moves with every
//! write that was acknowledged and with none that was not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use holdfast_types::BLOCK_SIZE;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::facts::until;
use super::failure::Failure;
use super::image::{Image, SplitMix};
use super::narrator::Progress;
use crate::nbd::{Client, ClientError};

/// Bytes of one request of a long run.
const PIECE: usize = 1 << 20;

/// Requests of a long run in flight at once.
const IN_FLIGHT: usize = 8;

/// Bytes of a long run between two flushes.
const FLUSH_EVERY: usize = IN_FLIGHT * PIECE;

/// Blocks of one of the small writes.
const SMALL_BLOCKS: u64 = 4;

/// How long one request may take; longer than the nodes' own time-outs.
const REQUEST_WAIT: Duration = Duration::from_secs(30);

/// A write that was submitted and not waited for.
pub(crate) type Submitted = JoinHandle<Result<(), ClientError>>;

/// One client of the volume.
pub(crate) struct Device {
    client: Arc<Client>,
    export: String,
    reference: Image,
    random: SplitMix,
}

async fn within<T>(
    doing: &str,
    request: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, Failure> {
    let Ok(answer) = timeout(REQUEST_WAIT, request).await else {
        return Err(Failure::Step(format!(
            "{doing}: no answer within {} s",
            REQUEST_WAIT.as_secs()
        )));
    };
    answer.map_err(|source| Failure::Device {
        doing: doing.into(),
        source,
    })
}

/// Waits until the export is served there, and attaches.
async fn attach(address: SocketAddr, export: &str) -> Result<Arc<Client>, Failure> {
    until(
        &format!("nbd://{address}/{export} takes clients"),
        async || match timeout(REQUEST_WAIT, Client::connect_tcp(address, export)).await {
            Ok(Ok(client)) => Ok(Arc::new(client)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer".into()),
        },
    )
    .await
}

impl Device {
    /// Attaches to a fresh, all-zero volume of `blocks` blocks.
    ///
    /// # Errors
    /// When it is not served, or has another size.
    pub(crate) async fn attach(
        address: SocketAddr,
        export: &str,
        blocks: u64,
    ) -> Result<Self, Failure> {
        let client = attach(address, export).await?;
        let bytes = blocks * BLOCK_SIZE as u64;
        if client.info().size != bytes {
            return Err(Failure::Step(format!(
                "the export has {} bytes, the volume {bytes}",
                client.info().size
            )));
        }
        Ok(Self {
            client,
            export: export.to_owned(),
            reference: Image::zeroes(blocks),
            random: SplitMix(blocks),
        })
    }

    /// Goes on at another primary, with what was acknowledged by the last.
    ///
    /// # Errors
    /// When the volume is not served there.
    pub(crate) async fn reattach(&mut self, address: SocketAddr) -> Result<(), Failure> {
        self.client = attach(address, &self.export).await?;
        Ok(())
    }

    /// What the volume should hold.
    pub(crate) const fn reference(&self) -> &Image {
        &self.reference
    }

    /// Writes an image from block 0 on, with a flush after every few megabytes.
    ///
    /// # Errors
    /// When a write or flush fails.
    pub(crate) async fn write_image(
        &mut self,
        image: &Image,
        mut progress: Progress<'_>,
    ) -> Result<(), Failure> {
        let mut at = 0;
        for run in image.bytes().chunks(FLUSH_EVERY) {
            let pieces = run.chunks(PIECE).enumerate().map(|(number, piece)| {
                let offset = (at + number * PIECE) as u64;
                let data = Bytes::copy_from_slice(piece);
                within("writing the image", self.client.write(offset, data))
            });
            stream::iter(pieces)
                .buffer_unordered(IN_FLIGHT)
                .try_for_each(|()| std::future::ready(Ok(())))
                .await?;
            self.reference.overwrite(at, run);
            self.flush().await?;
            at += run.len();
            progress.at(at as u64);
        }
        progress.finish();
        Ok(())
    }

    /// Where and what the next small write is.
    fn small_write(&mut self) -> (usize, Bytes) {
        let blocks = self.reference.blocks();
        let count = SMALL_BLOCKS.min(blocks);
        let block = self.random.next() % (blocks - count + 1);
        let mut data = vec![0; count as usize * BLOCK_SIZE];
        self.random.fill(&mut data);
        (block as usize * BLOCK_SIZE, data.into())
    }

    /// Writes 16 KiB of noise somewhere, `count` times, one after the other.
    ///
    /// # Errors
    /// When a write is not acknowledged.
    pub(crate) async fn write_somewhere(&mut self, count: usize) -> Result<(), Failure> {
        for _ in 0..count {
            let (offset, data) = self.small_write();
            let write = self.client.write(offset as u64, data.clone());
            within("writing", write).await?;
            self.reference.overwrite(offset, &data);
        }
        Ok(())
    }

    /// Submits small writes without waiting for any; the reference stays as it is.
    pub(crate) fn submit(&mut self, count: usize) -> Vec<Submitted> {
        (0..count)
            .map(|_| {
                let (offset, data) = self.small_write();
                let client = Arc::clone(&self.client);
                tokio::spawn(async move { client.write(offset as u64, data).await })
            })
            .collect()
    }

    /// Makes everything acknowledged so far survive what the volume's mode promises.
    ///
    /// # Errors
    /// When the flush is not acknowledged.
    pub(crate) async fn flush(&self) -> Result<(), Failure> {
        within("flushing", self.client.flush()).await
    }

    /// Reads the whole volume and holds it against the reference, block by block.
    ///
    /// # Errors
    /// When it cannot be read, or differs.
    pub(crate) async fn verify(&self, copy: &str) -> Result<(), Failure> {
        let size = self.reference.bytes().len();
        let pieces = (0..size).step_by(PIECE).map(|offset| {
            let length = PIECE.min(size - offset) as u32;
            within("reading back", self.client.read(offset as u64, length))
        });
        let mut comparison = self.reference.comparison();
        let mut found = stream::iter(pieces).buffered(IN_FLIGHT);
        while let Some(piece) = found.try_next().await? {
            comparison.piece(&piece);
        }
        comparison.verdict(copy)
    }
}
