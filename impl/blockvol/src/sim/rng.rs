//! Randomness from a seed (SplitMix64): small, fast, the same everywhere.

/// A stream of numbers that its seed determines.
#[derive(Clone, Debug)]
pub struct SimRng(u64);

impl SimRng {
    /// The stream of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, 0 when that is 0. The bias is that of a remainder: too small to
    /// matter for the bounds that tests use.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64().checked_rem(bound).unwrap_or(0)
    }
}

/// The seed of a randomised test: `HOLDFAST_SEED` repeats one, otherwise `default` is used. A test
/// prints the seed it runs with.
#[must_use]
pub fn seed_from_env(default: u64) -> u64 {
    std::env::var("HOLDFAST_SEED")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(default)
}
