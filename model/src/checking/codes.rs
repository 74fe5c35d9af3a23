//! The states of a graph, kept as their canonical codes.
//!
//! Two states are the same exactly when their codes are: the codes are compared whole, never by a
//! fingerprint, so that no collision can hide a state. That different states have different codes
//! is a promise of [`Spec::encode`](super::Spec::encode); were it broken, this store would take
//! two states for one where stateright, which hashes the values, counts both: the checkers would
//! disagree.
//!
//! A code is not kept as it is. Most of it is like a part of another state's code, so it is cut into
//! pieces of 16 bytes, the pieces of each place are numbered, then the numbers of neighbouring pieces
//! are taken together as branches and numbered again: a state is what its three branches are. That
//! takes a dozen bytes where the code has a hundred and more, and it loses nothing. What a code has
//! in common with the one that it is compared with is not looked up again.

use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable};

/// Bytes of a piece.
const PIECE: usize = 16;
/// Branches of a state.
const BRANCHES: usize = 3;
/// The most pieces in a branch.
const REACH_MAX: usize = 6;
/// The longest code.
const LENGTH_MAX: usize = PIECE * REACH_MAX * BRANCHES;

/// The numbers of a branch's pieces, filled up with zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Branch([u32; REACH_MAX]);

/// The numbers of a state's branches.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct State([u32; BRANCHES]);

impl Hash for Branch {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let [a, b, c, d, e, f] = self.0.map(u64::from);
        hasher.write_u64(a << 32 | b);
        hasher.write_u64(c << 32 | d);
        hasher.write_u64(e << 32 | f);
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let [a, b, c] = self.0.map(u64::from);
        hasher.write_u64(a << 32 | b);
        hasher.write_u64(c);
    }
}

/// Distinct codes of one length, numbered in the order in which they came.
pub struct Codes {
    length: usize,
    /// Pieces in a branch.
    reach: usize,
    /// By place. A piece is a number whose first byte counts most, so that pieces ascend as their
    /// bytes do.
    pieces: Vec<Table<u128>>,
    branches: [Table<Branch>; BRANCHES],
    states: Table<State>,
    hasher: DefaultHashBuilder,
    /// The code that others are compared with.
    near: Split,
    next: Split,
    bytes: Vec<u8>,
}

/// A code in its pieces, and the numbers of these and of its branches.
#[derive(Default)]
struct Split {
    pieces: Vec<(u128, u32)>,
    state: State,
}

impl Default for Codes {
    fn default() -> Self {
        Self::new()
    }
}

impl Codes {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            length: 0,
            reach: 0,
            pieces: Vec::new(),
            branches: std::array::from_fn(|_| Table::new()),
            states: Table::new(),
            hasher: DefaultHashBuilder::default(),
            near: Split::default(),
            next: Split::default(),
            bytes: Vec::new(),
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.states.rows.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length of every code, in bytes.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length
    }

    /// The pieces of a code, each with its number.
    fn pieces_of(&self, state: State) -> impl Iterator<Item = (u128, u32)> {
        (self.pieces.iter().enumerate()).map(move |(place, table)| {
            let branch = place / self.reach;
            let Branch(pieces) = self.branches[branch].get(state.0[branch]);
            let number = pieces[place % self.reach];
            (table.get(number), number)
        })
    }

    /// Appends a code by its number.
    pub fn read(&self, number: u32, code: &mut Vec<u8>) {
        let end = code.len() + self.length;
        for (piece, _) in self.pieces_of(self.states.get(number)) {
            code.extend_from_slice(&piece.to_be_bytes());
        }
        code.truncate(end);
    }

    /// Says that the codes to come will be like this one.
    pub fn stand_at(&mut self, number: u32) {
        let mut pieces = std::mem::take(&mut self.near.pieces);
        let state = self.states.get(number);
        pieces.clear();
        pieces.extend(self.pieces_of(state));
        self.near = Split { pieces, state };
    }

    /// Takes the code that `encode` appends, unless it is here; its number, and whether it is new.
    ///
    /// # Panics
    /// When two codes differ in length or one is longer than 288 bytes, which are defects of the
    /// specification's encoding; and beyond 2^32 codes, before which every exploration gives up.
    pub fn insert(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> (u32, bool) {
        self.bytes.clear();
        encode(&mut self.bytes);
        if self.is_empty() {
            self.lay_out();
        }
        assert_eq!(self.bytes.len(), self.length, "codes must have one length");
        let (next, hasher) = (&mut self.next, &self.hasher);
        next.pieces.clear();
        let pieces = pieces(&self.bytes).zip(&self.near.pieces);
        for (table, (piece, &(known, number))) in self.pieces.iter_mut().zip(pieces) {
            let number = match piece == known {
                true => number,
                false => table.intern(piece, hasher).0,
            };
            next.pieces.push((piece, number));
        }
        let near = self.near.pieces.chunks(self.reach);
        let groups = next.pieces.chunks(self.reach).zip(near).enumerate();
        next.state = self.near.state;
        for (at, (group, near)) in groups {
            if group != near {
                next.state.0[at] = self.branches[at].intern(branch(group), hasher).0;
            }
        }
        self.states.intern(next.state, hasher)
    }

    /// Settles the places by the length of the first code, and compares with it.
    fn lay_out(&mut self) {
        self.length = self.bytes.len();
        assert!(self.length <= LENGTH_MAX, "a code of {} bytes", self.length);
        let places = self.length.div_ceil(PIECE);
        self.reach = places.div_ceil(BRANCHES).max(1);
        self.pieces = (0..places).map(|_| Table::new()).collect();
        let tables = self.pieces.iter_mut();
        let pieces = tables.zip(pieces(&self.bytes));
        self.near.pieces = pieces
            .map(|(table, piece)| (piece, table.intern(piece, &self.hasher).0))
            .collect();
        for (at, group) in self.near.pieces.chunks(self.reach).enumerate() {
            self.near.state.0[at] = self.branches[at].intern(branch(group), &self.hasher).0;
        }
    }

    /// The number of a code, if it is here.
    #[must_use]
    pub fn find(&self, code: &[u8]) -> Option<u32> {
        if code.len() != self.length {
            return None;
        }
        let hasher = &self.hasher;
        let found = self.pieces.iter().zip(pieces(code));
        let found = found.map(|(table, piece)| Some((piece, table.find(piece, hasher)?)));
        let found: Vec<(u128, u32)> = found.collect::<Option<_>>()?;
        let mut state = State::default();
        for (at, group) in found.chunks(self.reach).enumerate() {
            state.0[at] = self.branches[at].find(branch(group), hasher)?;
        }
        self.states.find(state, hasher)
    }

    /// What it takes of memory, room for growth included.
    #[must_use]
    pub fn memory(&self) -> usize {
        let pieces = self.pieces.iter().map(Table::memory).sum::<usize>();
        let branches = self.branches.iter().map(Table::memory).sum::<usize>();
        pieces + branches + self.states.memory()
    }

    /// What the codes themselves take, the means to find them and room for growth apart.
    #[must_use]
    pub fn kept(&self) -> usize {
        let pieces = self.pieces.iter().map(Table::kept).sum::<usize>();
        let branches = self.branches.iter().map(Table::kept).sum::<usize>();
        pieces + branches + self.states.kept()
    }

    /// All numbers in ascending order of their codes.
    #[must_use]
    pub fn ascending(&self) -> Vec<u32> {
        let pieces: Vec<Vec<u32>> = self
            .pieces
            .iter()
            .map(|t| t.ranks(|&piece| piece))
            .collect();
        // A branch is as its pieces are, by their ranks; a state as its branches are, by theirs.
        let mut groups = pieces.chunks(self.reach);
        let branches = self.branches.each_ref().map(|table| {
            let group = groups.next().unwrap_or_default();
            table.ranks(|branch| {
                let mut ranks = [0; REACH_MAX];
                for ((rank, of), &piece) in ranks.iter_mut().zip(group).zip(&branch.0) {
                    *rank = of[piece as usize];
                }
                ranks
            })
        });
        let key = |state: &State| {
            let ranks = state.0.iter().zip(&branches);
            ranks.fold(0, |key, (&branch, ranks)| {
                key << 32 | u128::from(ranks.get(branch as usize).copied().unwrap_or(0))
            })
        };
        self.states.ascending(key)
    }
}

/// The pieces of a code; the last one is filled up with zeros.
fn pieces(code: &[u8]) -> impl Iterator<Item = u128> {
    let (whole, rest) = code.as_chunks::<PIECE>();
    let last = (!rest.is_empty()).then(|| {
        let mut last = [0; PIECE];
        last[..rest.len()].copy_from_slice(rest);
        last
    });
    whole.iter().copied().chain(last).map(u128::from_be_bytes)
}

fn branch(pieces: &[(u128, u32)]) -> Branch {
    let mut branch = [0; REACH_MAX];
    for (place, &(_, number)) in branch.iter_mut().zip(pieces) {
        *place = number;
    }
    Branch(branch)
}

/// Distinct rows, numbered in the order in which they came.
struct Table<R> {
    rows: Vec<R>,
    index: HashTable<u32>,
}

impl<R: Copy + Eq + Hash> Table<R> {
    const fn new() -> Self {
        Self {
            rows: Vec::new(),
            index: HashTable::new(),
        }
    }

    fn get(&self, number: u32) -> R {
        self.rows[number as usize]
    }

    fn find(&self, row: R, hasher: &DefaultHashBuilder) -> Option<u32> {
        let is_it = |&number: &u32| self.get(number) == row;
        self.index.find(hasher.hash_one(row), is_it).copied()
    }

    /// The number of a row, and whether it is new.
    fn intern(&mut self, row: R, hasher: &DefaultHashBuilder) -> (u32, bool) {
        let rows = &self.rows;
        let hash = hasher.hash_one(row);
        let is_it = |&number: &u32| rows[number as usize] == row;
        if let Some(&number) = self.index.find(hash, is_it) {
            return (number, false);
        }
        let number = u32::try_from(rows.len()).expect("an exploration is bounded before that");
        let rehash = |&number: &u32| hasher.hash_one(rows[number as usize]);
        self.index.insert_unique(hash, number, rehash);
        self.rows.push(row);
        (number, true)
    }

    fn kept(&self) -> usize {
        self.rows.len() * size_of::<R>()
    }

    fn memory(&self) -> usize {
        self.rows.capacity() * size_of::<R>() + self.index.allocation_size()
    }

    /// All numbers in ascending order of the rows' keys.
    fn ascending<K: Ord>(&self, key: impl Fn(&R) -> K) -> Vec<u32> {
        let mut order: Vec<(K, u32)> = self.rows.iter().map(key).zip(0..).collect();
        order.sort_unstable();
        order.into_iter().map(|(_, number)| number).collect()
    }

    /// For every row its place in ascending order of the keys.
    fn ranks<K: Ord>(&self, key: impl Fn(&R) -> K) -> Vec<u32> {
        let mut ranks = vec![0; self.rows.len()];
        for (rank, number) in (0..).zip(self.ascending(key)) {
            ranks[number as usize] = rank;
        }
        ranks
    }
}

#[cfg(test)]
mod tests {
    use super::{Branch, Codes, State};

    fn of<const N: usize>(codes: &[[u8; N]]) -> Codes {
        let mut all = Codes::new();
        for code in codes {
            all.insert(|bytes| bytes.extend(code));
        }
        all
    }

    fn read(codes: &Codes, number: u32) -> Vec<u8> {
        let mut code = Vec::new();
        codes.read(number, &mut code);
        code
    }

    #[test]
    fn a_code_is_taken_once_and_found_by_its_bytes() {
        let mut codes = of(&[[1, 2, 3], [1, 2, 4]]);
        assert_eq!(codes.insert(|bytes| bytes.extend([1, 2, 3])), (0, false));
        assert_eq!(codes.insert(|bytes| bytes.extend([0, 2, 3])), (2, true));
        assert_eq!((codes.len(), codes.find(&[1, 2, 4])), (3, Some(1)));
        assert_eq!(codes.find(&[9, 9, 9]), None);
        assert_eq!(codes.find(&[1, 2, 4, 0]), None, "of another length");
    }

    /// Codes of many pieces, all different, in an order of no meaning.
    fn long_codes<const N: usize>(count: u32) -> Vec<[u8; N]> {
        (0..count)
            .map(|number| {
                let mut code = [7; N];
                for (at, byte) in code.iter_mut().enumerate().step_by(5) {
                    *byte = (number.wrapping_mul(2_654_435_761) >> (at % 24)) as u8;
                }
                code[N - 4..].copy_from_slice(&number.to_le_bytes());
                code
            })
            .collect()
    }

    #[test]
    fn codes_of_any_length_are_read_as_they_were_written() {
        fn check<const N: usize>() {
            let all = long_codes::<N>(500);
            let mut codes = of(&all);
            for (number, code) in (0..).zip(&all) {
                assert_eq!(read(&codes, number), code, "of {N} bytes");
                assert_eq!(codes.find(code), Some(number));
                codes.stand_at(499 - number);
                let again = codes.insert(|bytes| bytes.extend(code));
                assert_eq!(again, (number, false), "of {N} bytes");
            }
        }
        check::<4>();
        check::<16>();
        check::<17>();
        check::<33>();
        check::<64>();
        check::<144>();
    }

    #[test]
    fn codes_ascend_byte_by_byte() {
        fn check<const N: usize>() {
            let all = long_codes::<N>(700);
            let mut sorted: Vec<u32> = (0..700).collect();
            sorted.sort_by_key(|&number| all[number as usize]);
            assert_eq!(of(&all).ascending(), sorted, "of {N} bytes");
        }
        check::<5>();
        check::<31>();
        check::<48>();
        check::<144>();
    }

    #[test]
    fn what_codes_have_in_common_is_kept_once() {
        let codes = of(&long_codes::<144>(1));
        let one = codes.kept();
        let mut twice = of(&long_codes::<144>(1));
        twice.insert(|bytes| {
            bytes.extend(&long_codes::<144>(1)[0][..143]);
            bytes.push(200);
        });
        let apart = size_of::<u128>() + size_of::<Branch>() + size_of::<State>();
        assert_eq!(
            twice.kept() - one,
            apart,
            "a piece, a branch and a state of its own"
        );
    }
}
