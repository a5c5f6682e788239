//! The MAC address of a device: every spelling is read, one is written.

use std::fmt;
use std::str::FromStr;

/// A device's MAC address (IEEE 802, EUI-48). It is written as 12 lower-case hex digits without separators.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac([u8; 6]);

/// The first three octets of a MAC address: who made the device (IEEE 802 OUI).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Oui([u8; 3]);

/// Why a text is no MAC address or no OUI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MacError {
    /// The text has another form than the accepted ones.
    #[error("expected a MAC address: 12 hex digits, six pairs with `:` or `-`, or three quads with `.`")]
    NotMac,
    /// The text has another form than the accepted ones.
    #[error("expected an OUI: 6 hex digits, or three pairs with `:` or `-`")]
    NotOui,
}

impl Mac {
    /// The six octets in transmission order.
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// Makes the address from its six octets in transmission order.
    pub const fn from_octets(octets: [u8; 6]) -> Self {
        Self(octets)
    }

    /// The vendor's part of the address.
    pub const fn oui(self) -> Oui {
        let [a, b, c, ..] = self.0;
        Oui([a, b, c])
    }

    /// Reads exactly 12 hex digits in either case, and nothing else.
    pub fn from_hex_digits(digits: &[u8]) -> Option<Self> {
        let digits: &[u8; 12] = digits.try_into().ok()?;
        let mut octets = [0; 6];
        for (octet, pair) in octets.iter_mut().zip(digits.as_chunks::<2>().0) {
            let [high, low] = pair.map(hex_value);
            *octet = high? << 4 | low?;
        }
        Some(Self(octets))
    }
}

impl Oui {
    /// The OUI 00:00:00, with which phones spell "no device": `000000000000.cfg` is a site's master file.
    pub const NONE: Self = Self([0; 3]);
}

fn hex_value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Whether `text` is groups of `width` hex digits with one and the same separator between them.
fn is_grouped(text: &str, width: usize, separators: &[u8]) -> bool {
    let Some(&separator) = text.as_bytes().get(width) else { return false };
    separators.contains(&separator) && text.split(char::from(separator)).all(|group| group.len() == width)
}

fn strip_separators(text: &str) -> Vec<u8> {
    text.bytes().filter(|byte| !matches!(byte, b':' | b'-' | b'.')).collect()
}

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let plain = text.len() == 12;
        let pairs = text.len() == 17 && is_grouped(text, 2, b":-");
        let quads = text.len() == 14 && is_grouped(text, 4, b".");
        if !(plain || pairs || quads) {
            return Err(MacError::NotMac);
        }
        let digits = if plain { text.as_bytes().to_vec() } else { strip_separators(text) };
        Self::from_hex_digits(&digits).ok_or(MacError::NotMac)
    }
}

impl FromStr for Oui {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let plain = text.len() == 6;
        let pairs = text.len() == 8 && is_grouped(text, 2, b":-");
        if !(plain || pairs) {
            return Err(MacError::NotOui);
        }
        let mut digits = if plain { text.as_bytes().to_vec() } else { strip_separators(text) };
        digits.extend_from_slice(b"000000");
        Mac::from_hex_digits(&digits).map(Mac::oui).ok_or(MacError::NotOui)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.0.iter().fold(0, |number: u64, octet| number << 8 | u64::from(*octet));
        write!(f, "{number:012x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mac({self})")
    }
}

impl fmt::Display for Oui {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}")
    }
}

impl fmt::Debug for Oui {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Oui({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_reads_as_the_same_address() {
        for text in ["0004f2aabbcc", "0004F2AABBCC", "00:04:f2:aa:bb:cc", "00-04-F2-AA-BB-CC", "0004.f2aa.bbcc"] {
            assert_eq!(text.parse::<Mac>().map(|mac| mac.to_string()), Ok("0004f2aabbcc".into()), "{text}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "0004f2",
            "0004f2aabbc",
            "0004f2aabbccd",
            "0004f2aabbcg",
            "00:04-f2:aa:bb:cc",
            "00:04:f2:aa:bb:cc:",
            "000:4:f2:aa:bb:cc",
            "0004.f2aa.bbcc.",
            "0004:f2aa:bbcc",
            " 0004f2aabbcc",
            "+004f2aabbcc",
            "0004f2aabb\u{e9}",
            "00.04.f2.aa.bb.cc",
        ] {
            assert_eq!(text.parse::<Mac>(), Err(MacError::NotMac), "{text}");
        }
    }

    #[test]
    fn an_oui_is_read_in_three_spellings() {
        let expected = Mac::from_octets([0x00, 0x22, 0xee, 1, 2, 3]).oui();
        for text in ["00:22:ee", "00-22-EE", "0022ee"] {
            assert_eq!(text.parse::<Oui>(), Ok(expected), "{text}");
        }
        for text in ["0022e", "00:22:ee:", "0022ee0", "00:22-ee"] {
            assert_eq!(text.parse::<Oui>(), Err(MacError::NotOui), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_back(octets: [u8; 6]) {
            let mac = Mac::from_octets(octets);
            proptest::prop_assert_eq!(mac.to_string().parse::<Mac>(), Ok(mac));
        }
    }
}
