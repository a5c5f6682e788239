//! Which device a path names.
//!
//! A device stands in a path as exactly 12 hex digits, six pairs with `:` or `-`, or three quads with `.`, at any
//! position of any segment. Some vendors write a word that ends in a hex digit right before it (`ata0004f2aabbcc`):
//! those words are [`TEMPLATES`], and they are tried first. A part number (`3111-44500-001`) has none of these
//! forms, and an address whose OUI is 000000 is no device.
//!
//! Where the answer is in doubt the path names [`NamedDevice::Ambiguous`]: two different devices, or a run of hex
//! digits that is longer than an address. Such a path belongs to nobody, unless an operator's rule says which
//! part is the address; [`Candidate`]s are what such a rule may choose from.

use std::ops::Range;

use crate::mac::{Mac, Oui};

/// Words that vendors write right before the address, at the start of a segment, and whose last letter is a hex
/// digit or stands for one family: Cisco ATA 186/188 `ata<mac>`, Linksys and Sipura `spa<mac>`.
const TEMPLATES: [&str; 7] = ["ata", "spa", "SEP", "CTLSEP", "ITLSEP", "SIP", "cfg"];

/// The length of an address in hex digits.
const DIGITS: usize = 12;

/// A path that has more addresses than this, or in which more places could hold one, belongs to nobody: each is tried against every
/// rule, and a peer chooses how many there are. A SHA-256 in a name has 53.
const MAX_WINDOWS: usize = 64;

/// Which device a path names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NamedDevice {
    /// None: a file of the site, firmware, a part number.
    None,
    /// This one.
    One(Mac),
    /// Two different ones, or a run of hex digits longer than an address.
    Ambiguous,
}

/// A place in a path that can be read as an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The address.
    pub mac: Mac,
    start: usize,
    end: usize,
}

impl Candidate {
    fn new(mac: Option<Mac>, span: Range<usize>) -> Option<Self> {
        let mac = mac.filter(|mac| mac.oui() != Oui::NONE)?;
        Some(Self { mac, start: span.start, end: span.end })
    }

    /// Where it stands, in bytes.
    pub fn span(&self) -> Range<usize> {
        self.start..self.end
    }
}

/// One thing that the scan finds.
enum Found {
    Address(Candidate),
    /// A run of hex digits, or of pairs or quads, that is longer than an address.
    TooLong(Range<usize>),
}

impl NamedDevice {
    /// The one that `path` names, which is resolved.
    pub fn of(path: &str) -> Self {
        let mut named = Self::None;
        for found in scan(path) {
            named = match (found, named) {
                (Found::Address(candidate), Self::None) => Self::One(candidate.mac),
                (Found::Address(candidate), Self::One(mac)) if candidate.mac == mac => Self::One(mac),
                (Found::Address(_) | Found::TooLong(_), _) => return Self::Ambiguous,
            };
        }
        named
    }
}

/// The addresses that stand in `path` without doubt about where they begin and end.
pub(super) fn candidates(path: &str) -> Vec<Candidate> {
    let address = |found| match found {
        Found::Address(candidate) => Some(candidate),
        Found::TooLong(_) => None,
    };
    scan(path).into_iter().filter_map(address).collect()
}

/// The ways to read a path with an address put in, each with the device and the path in which `mark` stands for
/// that device's address. A path that names one device has one reading, an ambiguous one has several, or none where
/// they would be more than [`MAX_WINDOWS`].
pub(crate) fn readings(path: &str, named: &NamedDevice, mark: char) -> Vec<(Mac, String)> {
    let found = scan(path);
    let certain: Vec<&Candidate> = found.iter().filter_map(Found::address).collect();
    let mut devices: Vec<Mac> = certain.iter().map(|candidate| candidate.mac).collect();
    devices.sort_unstable();
    devices.dedup();
    if devices.len() > MAX_WINDOWS {
        return Vec::new();
    }
    let mut readings: Vec<(Mac, String)> = devices
        .into_iter()
        .map(|mac| (mac, marked(path, certain.iter().copied().filter(|candidate| candidate.mac == mac), mark)))
        .collect();
    if *named == NamedDevice::Ambiguous {
        let windows = found.iter().filter_map(Found::too_long).flat_map(|run| windows(path, run));
        let windows: Vec<Candidate> = windows.take(MAX_WINDOWS + 1).collect();
        if windows.len() > MAX_WINDOWS {
            return Vec::new();
        }
        readings.extend(windows.iter().map(|window| (window.mac, marked(path, std::iter::once(window), mark))));
    }
    readings
}

impl Found {
    fn address(&self) -> Option<&Candidate> {
        match self {
            Self::Address(candidate) => Some(candidate),
            Self::TooLong(_) => None,
        }
    }

    fn too_long(&self) -> Option<Range<usize>> {
        match self {
            Self::Address(_) => None,
            Self::TooLong(run) => Some(run.clone()),
        }
    }
}

fn marked<'c>(path: &str, candidates: impl Iterator<Item = &'c Candidate>, mark: char) -> String {
    let mut text = String::with_capacity(path.len());
    let mut rest = 0;
    for candidate in candidates {
        text.push_str(path.get(rest..candidate.start).unwrap_or_default());
        text.push(mark);
        rest = candidate.end;
    }
    text.push_str(path.get(rest..).unwrap_or_default());
    text
}

/// Every address that a longer run of plain hex digits could hold.
fn windows(path: &str, run: Range<usize>) -> Vec<Candidate> {
    let starts = run.start..(run.end + 1).saturating_sub(DIGITS);
    starts.filter_map(|start| plain(path.as_bytes(), start)).collect()
}

fn plain(path: &[u8], start: usize) -> Option<Candidate> {
    let span = start..start + DIGITS;
    Candidate::new(path.get(span.clone()).and_then(Mac::from_hex_digits), span)
}

fn scan(path: &str) -> Vec<Found> {
    let mut found = Vec::new();
    let mut start = 0;
    for segment in path.split('/') {
        scan_segment(path, start, start + segment.len(), &mut found);
        start += segment.len() + 1;
    }
    found
}

fn scan_segment(path: &str, start: usize, end: usize, found: &mut Vec<Found>) {
    let bytes = path.as_bytes().get(..end).unwrap_or_default();
    let mut at = start;
    if let Some(word) = template(bytes, start) {
        found.extend(plain(bytes, start + word).map(Found::Address));
        at = start + word + DIGITS;
    }
    while at < end {
        let run = hex_run(bytes, at);
        if run == 0 {
            at += 1;
            continue;
        }
        at = match run {
            DIGITS => {
                found.extend(plain(bytes, at).map(Found::Address));
                at + run
            }
            _ if run > DIGITS => {
                found.push(Found::TooLong(at..at + run));
                at + run
            }
            _ => PAIRS.scan(bytes, at, found).or_else(|| QUADS.scan(bytes, at, found)).unwrap_or(at + run),
        };
    }
}

/// The length of the vendor's word at `start`, where an address and then no further hex digit follows it.
fn template(bytes: &[u8], start: usize) -> Option<usize> {
    let begins = |word: &&&str| {
        bytes.get(start..start + word.len()).is_some_and(|text| text.eq_ignore_ascii_case(word.as_bytes()))
            && hex_run(bytes, start + word.len()) == DIGITS
    };
    TEMPLATES.iter().find(begins).map(|word| word.len())
}

/// A segment's beginning without the vendor's word.
pub(crate) fn without_template(text: &str) -> &str {
    let begins = |word: &&str| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    let word = TEMPLATES.into_iter().find(begins).map_or(0, str::len);
    text.get(word..).unwrap_or_default()
}

/// The number of hex digits from `start` on.
fn hex_run(bytes: &[u8], start: usize) -> usize {
    bytes.get(start..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_hexdigit()).count()
}

/// An address written in groups.
struct Groups {
    width: usize,
    count: usize,
    separators: &'static [u8],
}

const PAIRS: Groups = Groups { width: 2, count: 6, separators: b":-" };
const QUADS: Groups = Groups { width: 4, count: 3, separators: b"." };

impl Groups {
    /// Reads groups from the run of hex digits at `start` on. `None` where no address stands here; else the
    /// position to go on from.
    ///
    /// A hex digit too much at either end (`mac00-04-…`, `…-ccd`, `…-cc2`) leaves in doubt where the address begins or
    /// ends, so it counts as too long. Decimal digits throughout make it something else, such as a date with its year.
    fn scan(&self, bytes: &[u8], start: usize, found: &mut Vec<Found>) -> Option<usize> {
        let run = hex_run(bytes, start);
        let first = (start + run).checked_sub(self.width).filter(|first| *first >= start)?;
        let separator = *bytes.get(start + run).filter(|byte| self.separators.contains(byte))?;
        let (count, end) = self.count(bytes, first, separator);
        if count < self.count || self.is_number(bytes, start, first) {
            return None;
        }
        let surplus = hex_run(bytes, end);
        if first > start || count > self.count || surplus > 0 {
            found.push(Found::TooLong(start..start));
            return Some(end + surplus);
        }
        let digits: Vec<u8> = bytes.get(first..end)?.iter().copied().filter(u8::is_ascii_hexdigit).collect();
        found.extend(Candidate::new(Mac::from_hex_digits(&digits), first..end).map(Found::Address));
        Some(end)
    }

    /// Whether the groups from `first` on hold decimal digits alone, with one more before (from `start` on) or behind.
    fn is_number(&self, bytes: &[u8], start: usize, first: usize) -> bool {
        let end = first + self.count * (self.width + 1) - 1;
        let is_decimal = !bytes.get(start..end).unwrap_or_default().iter().any(u8::is_ascii_alphabetic);
        is_decimal && (first > start || bytes.get(end).is_some_and(u8::is_ascii_digit))
    }

    /// How many groups follow each other from `first` on, and where the last one ends. A group beyond the needed
    /// ones counts only where it stands alone: `-ca` of `-calls.xml` is none.
    fn count(&self, bytes: &[u8], first: usize, separator: u8) -> (usize, usize) {
        let (mut count, mut end) = (1, first + self.width);
        while bytes.get(end) == Some(&separator) {
            let run = hex_run(bytes, end + 1);
            let next = end + 1 + self.width;
            let inner = count + 1 < self.count && run == self.width;
            let last = count + 1 == self.count && run >= self.width;
            let extra = count >= self.count
                && run == self.width
                && bytes.get(next).is_none_or(|byte| !byte.is_ascii_alphanumeric());
            if !(inner || last || extra) {
                break;
            }
            count += 1;
            end = next;
        }
        (count, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(path: &str) -> String {
        match NamedDevice::of(path) {
            NamedDevice::None => "-".into(),
            NamedDevice::One(mac) => mac.to_string(),
            NamedDevice::Ambiguous => "?".into(),
        }
    }

    #[test]
    fn paths_name_the_device_that_phones_mean() {
        for (path, device) in [
            ("0004f2aabbcc.cfg", "0004f2aabbcc"),
            ("0004F2AABBCC-app.log", "0004f2aabbcc"),
            ("logs/0004f2aabbcc-boot.log", "0004f2aabbcc"),
            ("0004f2aabbcc/phone.cfg", "0004f2aabbcc"),
            ("0004f2aabbcc/0004F2AABBCC.cfg", "0004f2aabbcc"),
            ("cfg000b82aabbcc.xml", "000b82aabbcc"),
            ("cfg000b82aabbcc", "000b82aabbcc"),
            ("SEP001122AABBCC.cnf.xml", "001122aabbcc"),
            ("CTLSEP001122AABBCC.tlv", "001122aabbcc"),
            ("ata001122aabbcc", "001122aabbcc"),
            ("ATA001122AABBCC.cnf.xml", "001122aabbcc"),
            ("spa001122aabbcc.cfg", "001122aabbcc"),
            ("snom370-000413AABBCC.htm", "000413aabbcc"),
            ("cfg/init_00:0e:08:aa:bb:cc.xml", "000e08aabbcc"),
            ("00-0e-08-aa-bb-cc-calls.xml", "000e08aabbcc"),
            ("000e.08aa.bbcc.cfg", "000e08aabbcc"),
            ("SEP00-0e-08-aa-bb-cc.cnf.xml", "000e08aabbcc"),
            ("0004f2aabbcc-2026-11-21-10-22-33-core.tar", "0004f2aabbcc"),
            // No device.
            ("", "-"),
            ("000000000000.cfg", "-"),
            ("000000000000-directory.xml", "-"),
            ("y000000000028.cfg", "-"),
            ("3111-44500-001.sip.ld", "-"),
            ("3111-44500-001.3111-44500-001.sip.ld", "-"),
            ("sip.ver", "-"),
            ("spa2102.cfg", "-"),
            ("gxp2130fw.bin", "-"),
            ("SIPDefault.cnf", "-"),
            ("2026-11-21-10-22-33.log", "-"),
            ("10-22-33-21-11-2026.log", "-"),
            ("0004f2aabbc.cfg", "-"),
            ("5.9.7.47435/sip.ld", "-"),
            ("deadbeef/cafe.cfg", "-"),
            // In doubt.
            ("0004f2aabbcc/0004f2ddeeff.cfg", "?"),
            ("0004f2aabbcc-0004f2ddeeff.cfg", "?"),
            ("0004f2aabbccd.cfg", "?"),
            ("phone0004f2aabbcc.cfg", "?"),
            ("ata001122aabbccdd", "?"),
            ("firmware-20261121123456.bin", "?"),
            ("mac00-04-f2-aa-bb-cc.cfg", "?"),
            ("00-04-f2-aa-bb-ccd.cfg", "?"),
            ("00-04-f2-aa-bb-cc2.cfg", "?"),
            ("snom37000-04-13-aa-bb-cc.htm", "?"),
            ("0004.f2aa.bbcc1.cfg", "?"),
            ("00-04-f2-aa-bb-cc-dd.cfg", "?"),
            ("0004.f2aa.bbcc.beef", "?"),
        ] {
            assert_eq!(named(path), device, "{path}");
        }
    }

    #[test]
    fn an_ambiguous_path_can_be_read_in_several_ways() {
        let read = |path: &str| -> Vec<String> {
            readings(path, &NamedDevice::of(path), '*').into_iter().map(|(mac, text)| format!("{mac} {text}")).collect()
        };
        assert_eq!(read("0004f2aabbcc.cfg"), ["0004f2aabbcc *.cfg"]);
        assert_eq!(read("a/0004f2aabbccd"), ["0004f2aabbcc a/*d", "004f2aabbccd a/0*"]);
        assert_eq!(
            read("0004f2aabbcc-0004f2ddeeff.cfg"),
            ["0004f2aabbcc *-0004f2ddeeff.cfg", "0004f2ddeeff 0004f2aabbcc-*.cfg"]
        );
    }

    #[test]
    fn a_path_with_too_many_places_for_an_address_has_no_reading() {
        let path =
            |digits: usize| format!("0004f2aabbcc/{}", "1234567890abcdef".repeat(64).get(..digits).unwrap_or_default());
        let count = |path: &str| readings(path, &NamedDevice::of(path), '*').len();
        assert_eq!(count(&path(64)), 54);
        assert_eq!(count(&path(75)), 65);
        assert_eq!(count(&path(76)), 0);
        let devices =
            |count: u32| (1..=count).map(|number| format!("0004f2{number:06x}-")).collect::<Vec<_>>().concat();
        assert_eq!([64, 65].map(|number| count(&devices(number))), [64, 0]);
    }

    proptest::proptest! {
        #[test]
        fn an_address_between_other_characters_is_found(octets: [u8; 6], before in "[g-z_/]{0,8}", after in "[g-z_./]{0,8}") {
            let mac = Mac::from_octets(octets);
            let expected = if mac.oui() == Oui::NONE { NamedDevice::None } else { NamedDevice::One(mac) };
            proptest::prop_assert_eq!(NamedDevice::of(&format!("{before}{mac}{after}")), expected);
        }
    }
}
