//! CRC32C of payloads: of the whole, which the entry's header names, and of each block, which reads
//! of single blocks are verified by. Every byte is summed once: the whole's is made of its blocks'.

use std::sync::LazyLock;

use holdfast_types::BLOCK_SIZE;

/// The checksums of one payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checksums {
    whole: u32,
    /// Empty where there is no more than one: then it is that of the whole.
    blocks: Vec<u32>,
}

impl Checksums {
    /// Sums a payload: any number of blocks, or something else, which has a sum as a whole.
    pub(crate) fn of(payload: &[u8]) -> Self {
        if payload.len() <= BLOCK_SIZE || !payload.len().is_multiple_of(BLOCK_SIZE) {
            return Self {
                whole: crc32c::crc32c(payload),
                blocks: Vec::new(),
            };
        }
        let blocks: Vec<u32> = payload.chunks(BLOCK_SIZE).map(crc32c::crc32c).collect();
        let whole = blocks
            .iter()
            .copied()
            .reduce(|before, block| one_block_later(before) ^ block);
        Self {
            whole: whole.unwrap_or_default(),
            blocks,
        }
    }

    /// That of the whole payload; 0 of none.
    pub(crate) fn whole(&self) -> u32 {
        self.whole
    }

    /// That of one block of it.
    pub(crate) fn block(&self, index: u64) -> u32 {
        match self.blocks.get(index as usize) {
            Some(sum) => *sum,
            None => self.whole,
        }
    }
}

/// What a checksum contributes to that of the same bytes with one block more behind them. It is linear
/// over the checksum's bits, so that a table for each byte of it answers.
fn one_block_later(sum: u32) -> u32 {
    static TABLES: LazyLock<[[u32; 256]; 4]> = LazyLock::new(|| {
        let bits: [u32; 32] =
            std::array::from_fn(|bit| crc32c::crc32c_combine(1 << bit, 0, BLOCK_SIZE));
        std::array::from_fn(|byte| {
            std::array::from_fn(|value| {
                (0..8)
                    .filter(|bit| value >> bit & 1 == 1)
                    .fold(0, |sum, bit| sum ^ bits[8 * byte + bit])
            })
        })
    });
    let tables = &*TABLES;
    let [a, b, c, d] = sum.to_le_bytes().map(usize::from);
    tables[0][a] ^ tables[1][b] ^ tables[2][c] ^ tables[3][d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_a_payload_is_that_of_its_bytes_however_many_blocks_it_has() {
        let bytes: Vec<u8> = (0..9 * BLOCK_SIZE).map(|n| (n * n / 7 + n) as u8).collect();
        for blocks in 0..=9 {
            let payload = &bytes[..blocks * BLOCK_SIZE];
            let sums = Checksums::of(payload);
            assert_eq!(sums.whole(), crc32c::crc32c(payload), "{blocks} blocks");
            for (index, block) in payload.chunks(BLOCK_SIZE).enumerate() {
                assert_eq!(sums.block(index as u64), crc32c::crc32c(block));
            }
        }
        let argument = &bytes[..256];
        assert_eq!(Checksums::of(argument).whole(), crc32c::crc32c(argument));
    }
}
