//! The set itself: a million devices in a few dozen bytes each, found in one step.

use std::collections::HashMap;

use provost_core::{DeviceRow, Mac};

use crate::passwords::{Algorithm, Costs, Form, Stored, Tag, raise, tag};

/// A device as its row tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) label: String,
    /// All of them are valid: the second while they are changed.
    pub(super) passwords: Vec<(Stored, Form)>,
    pub(super) link: Option<Tag>,
    pub(super) pinned: bool,
    pub(super) blocked: bool,
}

/// What a table entry holds: two flags, and where a label and a password are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Packed(u32);

const BLOCKED: u32 = 1 << 31;
const PINNED: u32 = 1 << 30;
/// The lower bits: the place among those that have a label or a password, from 1; 0 for none.
const PLACE: u32 = PINNED - 1;

/// A label, cut from the text of all labels, and the first password, by its place from 1, with how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Extra {
    label_start: u32,
    label_length: u16,
    passwords: u16,
    password: u32,
}

/// The devices of one tenant.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct DeviceSet {
    devices: HashMap<Mac, Packed>,
    extras: Vec<Extra>,
    labels: String,
    passwords: Vec<Stored>,
    /// The most passwords that one device has.
    width: usize,
    costs: Costs,
    forms: PasswordForms,
    links: HashMap<Tag, Mac>,
}

/// How many passwords devices have of their own, by their form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PasswordForms {
    /// As it is.
    pub plain: usize,
    /// As H(A1).
    pub ha1: usize,
    /// As argon2id.
    pub argon2: usize,
    /// Of all, how many can answer a Digest of SHA-256.
    pub sha256: usize,
    /// Of all, how many can answer a Digest of MD5.
    pub md5: usize,
}

impl std::fmt::Debug for DeviceSet {
    /// Tells how many there are; a million rows help nobody, and digests of passwords are nobody's affair.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceSet").field("devices", &self.devices.len()).finish_non_exhaustive()
    }
}

/// The longest label, in bytes; a file that has a longer one is refused.
pub(super) const MAX_LABEL_BYTES: usize = 255;

impl DeviceSet {
    /// Devices of which nothing more is known.
    pub(super) fn listing(list: &[Mac]) -> Self {
        Self { devices: list.iter().map(|mac| (*mac, Packed::default())).collect(), ..Self::default() }
    }

    /// Adds a device of the file. Its row says more than the list.
    pub(super) fn add(&mut self, mac: Mac, row: Row) {
        let flags = if row.blocked { BLOCKED } else { 0 } | if row.pinned { PINNED } else { 0 };
        if let Some(link) = row.link {
            self.links.insert(link, mac);
        }
        let place = self.keep(row);
        self.devices.insert(mac, Packed(flags | place));
    }

    /// Gives back the room that further devices would have had.
    pub(super) fn shrink(&mut self) {
        self.devices.shrink_to_fit();
    }

    pub(super) fn len(&self) -> usize {
        self.devices.len()
    }

    pub(super) fn find(&self, mac: Mac) -> Option<DeviceRow> {
        let packed = self.devices.get(&mac)?.0;
        Some(DeviceRow { blocked: packed & BLOCKED != 0, pinned: packed & PINNED != 0 })
    }

    pub(super) fn label(&self, mac: Mac) -> Option<&str> {
        let extra = self.extra(mac)?;
        let start = usize::try_from(extra.label_start).ok()?;
        self.labels.get(start..start + usize::from(extra.label_length)).filter(|label| !label.is_empty())
    }

    pub(super) fn passwords(&self, mac: Mac) -> &[Stored] {
        let Some(extra) = self.extra(mac) else { return &[] };
        let first = usize::try_from(extra.password).ok().and_then(|place| place.checked_sub(1));
        let all = first.and_then(|first| self.passwords.get(first..first + usize::from(extra.passwords)));
        all.unwrap_or_default()
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn costs(&self) -> &Costs {
        &self.costs
    }

    pub(super) fn forms(&self) -> PasswordForms {
        self.forms
    }

    /// A digest under a key that nobody knows is looked up: what a comparison of digests betrays by its time is nothing of a
    /// token.
    pub(super) fn linked(&self, link: &Tag) -> Option<Mac> {
        self.links.get(link).copied()
    }

    /// How many of these devices are not among `others`.
    pub(super) fn missing_in(&self, others: &Self) -> usize {
        self.devices.keys().filter(|mac| !others.devices.contains_key(mac)).count()
    }

    /// Those that are blocked.
    pub(super) fn blocked(&self) -> Vec<Mac> {
        self.devices.iter().filter(|(_, packed)| packed.0 & BLOCKED != 0).map(|(mac, _)| *mac).collect()
    }

    /// The same set with these devices blocked, listed or not, and how many were not blocked before.
    pub(super) fn with_blocked(&self, blocked: &[Mac]) -> (Self, usize) {
        let mut set = self.clone();
        let mut fresh = 0;
        for mac in blocked {
            let packed = set.devices.entry(*mac).or_default();
            fresh += usize::from(packed.0 & BLOCKED == 0);
            packed.0 |= BLOCKED;
        }
        (set, fresh)
    }

    #[cfg(test)]
    pub(super) fn macs(&self) -> Vec<Mac> {
        let mut macs: Vec<Mac> = self.devices.keys().copied().collect();
        macs.sort_unstable();
        macs
    }

    fn extra(&self, mac: Mac) -> Option<&Extra> {
        at(&self.extras, self.devices.get(&mac)?.0 & PLACE)
    }

    /// Keeps the label and the password of a row, and tells the place: 0 where it has neither. Labels past 4 GiB of text
    /// are left out rather than mixed up.
    fn keep(&mut self, row: Row) -> u32 {
        let label = u32::try_from(self.labels.len()).ok().zip(u16::try_from(row.label.len()).ok());
        let (label_start, label_length) = label.unwrap_or_default();
        if label_length == 0 && row.passwords.is_empty() {
            return 0;
        }
        if label_length > 0 {
            self.labels.push_str(&row.label);
        }
        self.width = self.width.max(row.passwords.len());
        let passwords = u16::try_from(row.passwords.len()).unwrap_or_default();
        let (stored, forms): (Vec<Stored>, Vec<Form>) = row.passwords.into_iter().unzip();
        for form in forms {
            match form {
                Form::Plain => self.forms.plain += 1,
                Form::Ha1 => self.forms.ha1 += 1,
                Form::Argon2 => self.forms.argon2 += 1,
            }
        }
        raise(&mut self.costs, &stored);
        let mut password = 0;
        for stored in stored {
            self.forms.sha256 += usize::from(stored.can_digest(Algorithm::Sha256));
            self.forms.md5 += usize::from(stored.can_digest(Algorithm::Md5));
            let place = push(&mut self.passwords, stored);
            password = if password == 0 { place } else { password };
        }
        push(&mut self.extras, Extra { label_start, label_length, passwords, password })
    }
}

/// The digest under which the token of a link is kept.
pub(super) fn link_tag(token: &[u8]) -> Tag {
    tag(&[b"link", token])
}

/// Adds a value and tells its place, from 1.
fn push<T>(values: &mut Vec<T>, value: T) -> u32 {
    values.push(value);
    u32::try_from(values.len()).unwrap_or(0) & PLACE
}

fn at<T>(values: &[T], place: u32) -> Option<&T> {
    values.get(usize::try_from(place).ok()?.checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(number: u32) -> Mac {
        let [a, b, c, d] = number.to_be_bytes();
        Mac::from_octets([0x00, 0x04, a, b, c, d])
    }

    #[test]
    fn a_million_devices_are_small_and_all_found() {
        assert_eq!(size_of::<(Mac, Packed)>(), 12);
        assert_eq!(size_of::<Extra>(), 12);
        let rows = (0..1_000_000).map(|number| {
            let label = if number % 10 == 0 { number.to_string() } else { String::new() };
            (mac(number), Row { label, pinned: number % 2 == 0, blocked: number % 3 == 0, ..Row::default() })
        });
        let mut set = DeviceSet::default();
        rows.for_each(|(mac, row)| set.add(mac, row));
        set.shrink();
        assert_eq!(set.len(), 1_000_000);
        // One byte of control beside each entry, and room for twice as many at most.
        assert!(set.devices.capacity() * 13 < 30_000_000, "{}", set.devices.capacity());
        for number in [0, 1, 2, 3, 10, 999_990, 999_999] {
            let expected = DeviceRow { blocked: number % 3 == 0, pinned: number % 2 == 0 };
            assert_eq!(set.find(mac(number)), Some(expected), "{number}");
            let label = (number % 10 == 0).then(|| number.to_string());
            assert_eq!(set.label(mac(number)).map(str::to_owned), label, "{number}");
        }
        assert_eq!(set.find(mac(1_000_000)), None);
    }

    #[test]
    fn a_row_of_the_file_says_more_than_the_list() {
        let secret = Stored::read("secret", b"u", "r").unwrap_or_else(|error| panic!("{error}"));
        let next = Stored::read("another", b"u", "r").unwrap_or_else(|error| panic!("{error}"));
        let passwords = vec![secret.clone(), next.clone()];
        let row = Row { label: "lobby".into(), passwords, ..Row::default() };
        let mut set = DeviceSet::listing(&[mac(1), mac(2)]);
        set.add(mac(1), row);
        assert_eq!((set.len(), set.label(mac(1)), set.label(mac(2))), (2, Some("lobby"), None));
        assert_eq!((set.passwords(mac(1)), set.width()), (&[secret.0, next.0][..], 2));
        assert_eq!(set.passwords(mac(2)), []);
    }
}
