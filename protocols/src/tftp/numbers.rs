//! Blocks and their numbers on the wire. Blocks are counted without rolling over; the wire has 16 bits, and what comes behind
//! 65,535 is 0, as almost every client counts, or 1.

use provost_tenants::Rollover;

/// How blocks are numbered.
#[derive(Debug, Clone, Copy, Default)]
pub struct Numbers(pub Rollover);

impl Numbers {
    /// The number of a block. Block 0 is the OACK.
    pub fn of(self, block: u64) -> u16 {
        let number = match self.0 {
            Rollover::Zero => block % self.period(),
            Rollover::One => block.checked_sub(1).map_or(0, |before| before % self.period() + 1),
        };
        u16::try_from(number).unwrap_or_default()
    }

    /// How many blocks behind `block` the next one with this number is; `None` where there is none.
    pub fn ahead(self, block: u64, number: u16) -> Option<u64> {
        let ahead = (u64::from(number) + self.period() - u64::from(self.of(block))) % self.period();
        (self.of(block + ahead) == number).then_some(ahead)
    }

    fn period(self) -> u64 {
        match self.0 {
            Rollover::Zero => 1 << 16,
            Rollover::One => (1 << 16) - 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_back_as_its_block() {
        for rollover in [Rollover::Zero, Rollover::One] {
            let numbers = Numbers(rollover);
            for block in [0, 1, 2, 65533, 65534, 65535, 65536, 65537, 131_070, 131_071, 131_072, 131_073] {
                for ahead in [0, 1, 2, 63, 64, 60000] {
                    assert_eq!(
                        numbers.ahead(block, numbers.of(block + ahead)),
                        Some(ahead),
                        "{rollover:?} {block} {ahead}"
                    );
                }
            }
        }
    }

    #[test]
    fn behind_65535_is_0_or_1() {
        let row = |rollover| [0, 1, 65535, 65536, 65537, 131_071].map(|block| Numbers(rollover).of(block));
        assert_eq!(row(Rollover::Zero), [0, 1, 65535, 0, 1, 65535]);
        assert_eq!(row(Rollover::One), [0, 1, 65535, 1, 2, 1]);
        assert_eq!(Numbers(Rollover::One).ahead(70_000, 0), None, "nothing has this number any more");
    }
}
