//! The states of a graph, kept as their canonical codes, one after the other.
//!
//! Two states are the same exactly when their codes are: the codes are compared whole, never by a
//! fingerprint, so that no collision can hide a state. That different states have different codes
//! is a promise of [`Spec::encode`](super::Spec::encode); were it broken, this store would take
//! two states for one where stateright, which hashes the values, counts both: the checkers would
//! disagree. A code is a few dozen bytes where the value takes hundreds, so that larger graphs fit.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// Distinct codes of one length, numbered in the order in which they came.
pub(super) struct Codes {
    length: usize,
    count: usize,
    bytes: Vec<u8>,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Codes {
    pub(super) fn new() -> Self {
        Self {
            length: 0,
            count: 0,
            bytes: Vec::new(),
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.count
    }

    /// The length of every code, in bytes.
    pub(super) const fn length(&self) -> usize {
        self.length
    }

    /// A code by its number.
    pub(super) fn get(&self, number: u32) -> &[u8] {
        let begin = self.length * number as usize;
        &self.bytes[begin..begin + self.length]
    }

    /// Takes the code that `encode` appends, unless it is here; its number, and whether it is new.
    ///
    /// # Panics
    /// When two codes differ in length, which is a defect of the specification's encoding; and
    /// beyond 2^32 codes, before which every exploration gives up.
    pub(super) fn insert(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> (u32, bool) {
        let begin = self.bytes.len();
        encode(&mut self.bytes);
        if self.count == 0 {
            self.length = self.bytes.len();
        }
        let (known, code) = self.bytes.split_at(begin);
        let length = self.length;
        assert_eq!(code.len(), length, "codes must have one length");
        let of = |number: u32| &known[length * number as usize..length * (number as usize + 1)];
        let hash = self.hasher.hash_one(code);
        if let Some(&number) = self.index.find(hash, |&number| of(number) == code) {
            self.bytes.truncate(begin);
            return (number, false);
        }
        let number = u32::try_from(self.count).expect("an exploration is bounded before that");
        let hasher = &self.hasher;
        self.index
            .insert_unique(hash, number, |&number| hasher.hash_one(of(number)));
        self.count += 1;
        (number, true)
    }

    /// The number of a code, if it is here.
    pub(super) fn find(&self, code: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(code);
        self.index
            .find(hash, |&number| self.get(number) == code)
            .copied()
    }

    /// What it takes of memory, room for growth included.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity() + self.index.allocation_size()
    }

    /// All numbers in ascending order of their codes.
    pub(super) fn ascending(&self) -> Vec<u32> {
        let columns = self.columns();
        let mut order: Vec<(u128, u32)> = (0..)
            .zip(self.bytes.chunks_exact(self.length.max(1)))
            .map(|(number, code)| (Self::key(&columns, code), number))
            .collect();
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| self.get(a.1).cmp(self.get(b.1))));
        order.into_iter().map(|(_, number)| number).collect()
    }

    /// For every byte of a code its least value, and how many bits what is above that takes.
    fn columns(&self) -> Vec<(u8, u32)> {
        let mut ranges = vec![(u8::MAX, u8::MIN); self.length];
        for code in self.bytes.chunks_exact(self.length.max(1)) {
            for (range, &byte) in ranges.iter_mut().zip(code) {
                *range = (range.0.min(byte), range.1.max(byte));
            }
        }
        let bits = |(least, greatest): (u8, u8)| 8 - greatest.saturating_sub(least).leading_zeros();
        ranges
            .into_iter()
            .map(|range| (range.0, bits(range)))
            .collect()
    }

    /// As much of a code's beginning as fits, without the bits that are alike in all codes: it
    /// orders codes as they are ordered themselves, except that it may find two of them equal.
    fn key(columns: &[(u8, u32)], code: &[u8]) -> u128 {
        let mut room = u128::BITS;
        let mut key = 0;
        for (&(least, bits), &byte) in columns.iter().zip(code) {
            if bits > room {
                break;
            }
            room -= bits;
            key = key << bits | u128::from(byte - least);
        }
        key.checked_shl(room).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::Codes;

    fn of(codes: &[[u8; 3]]) -> Codes {
        let mut all = Codes::new();
        for code in codes {
            all.insert(|bytes| bytes.extend(code));
        }
        all
    }

    #[test]
    fn a_code_is_taken_once_and_found_by_its_bytes() {
        let mut codes = of(&[[1, 2, 3], [1, 2, 4]]);
        assert_eq!(codes.insert(|bytes| bytes.extend([1, 2, 3])), (0, false));
        assert_eq!(codes.insert(|bytes| bytes.extend([0, 2, 3])), (2, true));
        assert_eq!((codes.len(), codes.find(&[1, 2, 4])), (3, Some(1)));
        assert_eq!(codes.find(&[9, 9, 9]), None);
    }

    #[test]
    fn codes_ascend_byte_by_byte_whatever_their_ranges() {
        let codes = of(&[
            [7, 200, 0],
            [7, 3, 255],
            [6, 255, 9],
            [7, 3, 254],
            [7, 200, 1],
        ]);
        assert_eq!(codes.ascending(), [2, 3, 1, 0, 4]);
    }

    #[test]
    fn codes_that_differ_beyond_the_key_ascend_all_the_same() {
        let mut codes = Codes::new();
        for last in [3u8, 1, 2] {
            for first in [255u8, 0] {
                codes.insert(|bytes| {
                    bytes.extend([first; 40]);
                    bytes.push(last);
                });
            }
        }
        assert_eq!(codes.ascending(), [3, 5, 1, 2, 4, 0]);
    }
}
