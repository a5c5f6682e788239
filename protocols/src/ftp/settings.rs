//! TYPE, MODE, STRU, OPTS, ALLO, REST.
//!
//! > The following are the default values for transfer parameters: TYPE, ASCII Non-print; MODE, Stream; STRU, File.
//! > (RFC 959 section 5.1)
//!
//! Modes and structures of machines that are no more are refused by name (504).

use super::facts::{Fact, chosen};
use super::reply::Reply;
use super::session::Session;

/// How the bytes of a file stand on a data connection (RFC 959 section 3.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Representation {
    /// Lines end with CR LF.
    #[default]
    Ascii,
    /// As they are.
    Image,
}

/// What the peer has set.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) representation: Representation,
    /// The facts that MLST and MLSD give (RFC 3659 section 7.9).
    pub(super) facts: Vec<Fact>,
    restart: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { representation: Representation::default(), facts: Fact::ALL.to_vec(), restart: 0 }
    }
}

impl Settings {
    /// The offset of REST, which holds for one transfer.
    pub(super) fn take_restart(&mut self) -> u64 {
        std::mem::take(&mut self.restart)
    }
}

impl Session {
    /// TYPE (RFC 959 section 5.3.1, `<type-code>`).
    pub(super) fn set_type(&mut self, argument: &[u8]) -> Reply {
        self.settings.representation = match argument.to_ascii_uppercase().as_slice() {
            // Nothing here is printed, so T is as N (RFC 1123 section 4.1.2.2).
            b"A" | b"A N" | b"A T" => Representation::Ascii,
            b"I" | b"L 8" | b"L8" => Representation::Image,
            b"A C" | b"E" | b"E N" | b"E T" | b"E C" | b"L" => return Reply::PARAMETER_NOT_IMPLEMENTED,
            other if other.starts_with(b"L ") => return Reply::PARAMETER_NOT_IMPLEMENTED,
            _ => return Reply::BAD_PARAMETER,
        };
        match self.settings.representation {
            Representation::Ascii => Reply::fixed(200, "Type is ASCII."),
            Representation::Image => Reply::fixed(200, "Type is image."),
        }
    }

    /// MODE: S(tream), B(lock), C(ompressed).
    pub(super) fn set_mode(argument: &[u8]) -> Reply {
        match argument.to_ascii_uppercase().as_slice() {
            b"S" => Reply::fixed(200, "Mode is stream."),
            b"B" | b"C" | b"Z" => Reply::PARAMETER_NOT_IMPLEMENTED,
            _ => Reply::BAD_PARAMETER,
        }
    }

    /// STRU: F(ile), R(ecord), P(age).
    pub(super) fn set_structure(argument: &[u8]) -> Reply {
        match argument.to_ascii_uppercase().as_slice() {
            b"F" => Reply::fixed(200, "Structure is file."),
            b"R" | b"P" => Reply::PARAMETER_NOT_IMPLEMENTED,
            _ => Reply::BAD_PARAMETER,
        }
    }

    /// OPTS (RFC 2389 section 4): names are always UTF-8; MLST takes a list of facts (RFC 3659 section 7.9).
    pub(super) fn opts(&mut self, argument: &[u8]) -> Reply {
        let upper = argument.to_ascii_uppercase();
        let mut words = upper.splitn(2, |byte| *byte == b' ');
        match (words.next().unwrap_or_default(), words.next().unwrap_or_default()) {
            (b"UTF8" | b"UTF-8", b"" | b"ON") => Reply::fixed(200, "Names are UTF-8."),
            (b"MLST", list) => {
                self.settings.facts = chosen(list);
                let names: String = self.settings.facts.iter().flat_map(|fact| [fact.name(), ";"]).collect();
                let space = if names.is_empty() { "" } else { " " };
                Reply::with(200, format!("MLST OPTS{space}{names}"))
            }
            _ => Reply::BAD_PARAMETER,
        }
    }

    /// ALLO is needed by systems that this is none of: 202 (RFC 959 section 4.1.3).
    pub(super) fn allo(argument: &[u8]) -> Reply {
        let number = argument.split(|byte| *byte == b' ').next().unwrap_or_default();
        if decimal(number).is_some() { Reply::SUPERFLUOUS } else { Reply::BAD_PARAMETER }
    }

    /// REST in stream mode is an offset in bytes (RFC 3659 section 5).
    pub(super) fn rest(&mut self, argument: &[u8]) -> Reply {
        let Some(offset) = decimal(argument) else { return Reply::BAD_PARAMETER };
        self.settings.restart = offset;
        Reply::with(350, format!("Restarting at {offset}, send STOR or RETR."))
    }
}

/// A number in digits alone. One of more than 2^63 is none: no file is that long, and sums with it cannot overflow.
fn decimal(text: &[u8]) -> Option<u64> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    i64::try_from(number).is_ok().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_offset_is_digits_alone() {
        let rows: [(&[u8], Option<u64>); 8] = [
            (b"0", Some(0)),
            (b"500", Some(500)),
            (b"9223372036854775807", Some(i64::MAX.unsigned_abs())),
            (b"9223372036854775808", None),
            (b"-1", None),
            (b"+1", None),
            (b"", None),
            (b"1 2", None),
        ];
        for (text, number) in rows {
            assert_eq!(decimal(text), number, "{text:?}");
        }
    }
}
