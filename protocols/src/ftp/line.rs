//! Command lines out of the bytes of a control connection, bounded from the first byte.
//!
//! A line ends with CR LF (RFC 959 section 5.3) or, from careless clients, with LF alone. Telnet's own sequences are
//! skipped (RFC 959 section 3.1 makes the control connection a telnet connection): ABOR often comes behind IAC IP and
//! IAC DM. Options are refused (RFC 1123 section 4.1.2.12). What the line says is the affair of `command.rs`.

/// How many bytes of one over-long line are passed over before the connection is given up.
const ENDLESS: usize = 64 * 1024;

/// Interpret as command, and what may stand behind it (RFC 854).
const IAC: u8 = 255;
const DONT: u8 = 254;
const DO: u8 = 253;
const WONT: u8 = 252;
const WILL: u8 = 251;
/// What stands between these two is of an option.
const SB: u8 = 250;
const SE: u8 = 240;

/// How many options of a connection are refused; whoever goes on is not answered.
const REFUSALS: usize = 32;

/// What came of the bytes up to a line feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A line without its end.
    Complete(Vec<u8>),
    /// A line over the limit. None of it is kept.
    TooLong,
    /// A line that goes on and on; its end is not waited for.
    Endless,
}

/// Collects a line. It never holds more than the limit that it is given.
#[derive(Debug, Default)]
pub struct LineReader {
    line: Vec<u8>,
    dropped: usize,
    telnet: Telnet,
    /// The refusal of an option that has just been read.
    refusal: Option<[u8; 3]>,
    refused: usize,
}

/// Where in a telnet sequence the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Telnet {
    #[default]
    Text,
    /// Behind IAC.
    Command,
    /// Behind IAC WILL, WONT, DO or DONT, which is refused so: an option follows.
    Option(Option<u8>),
    /// Behind IAC SB, up to IAC SE or the end of the line.
    Negotiation,
    /// Behind IAC in there.
    NegotiationCommand,
}

impl LineReader {
    /// Takes bytes until a line ends, or an option is refused: how many were taken, and the line, where one ended.
    pub fn take(&mut self, input: &[u8], limit: usize) -> (usize, Option<Line>) {
        for (index, byte) in input.iter().enumerate() {
            let line = self.telnet(*byte, limit);
            if line.is_some() || self.refusal.is_some() {
                return (index + 1, line);
            }
        }
        (input.len(), None)
    }

    /// What is to be sent in answer to an option.
    pub fn refusal(&mut self) -> Option<[u8; 3]> {
        let refusal = self.refusal.take()?;
        self.refused += 1;
        Some(refusal)
    }

    fn telnet(&mut self, byte: u8, limit: usize) -> Option<Line> {
        match (self.telnet, byte) {
            (Telnet::Text, IAC) => {
                self.telnet = Telnet::Command;
                None
            }
            (Telnet::Text, byte) => self.text(byte, limit),
            (Telnet::Command, WILL..=DONT) => {
                let refusal = match byte {
                    WILL => Some(DONT),
                    DO => Some(WONT),
                    _ => None,
                };
                self.telnet = Telnet::Option(refusal);
                None
            }
            (Telnet::Option(refusal), option) => {
                self.telnet = Telnet::Text;
                self.refusal = refusal.filter(|_| self.refused < REFUSALS).map(|refusal| [IAC, refusal, option]);
                None
            }
            (Telnet::Negotiation | Telnet::NegotiationCommand, b'\n') => {
                self.telnet = Telnet::Text;
                self.text(byte, limit)
            }
            (Telnet::Command, SB) | (Telnet::NegotiationCommand, SB..=IAC | ..SE) => {
                self.telnet = Telnet::Negotiation;
                None
            }
            (Telnet::Negotiation, IAC) => {
                self.telnet = Telnet::NegotiationCommand;
                None
            }
            (Telnet::Negotiation, _) => None,
            (Telnet::Command | Telnet::NegotiationCommand, SE..SB) => {
                self.telnet = Telnet::Text;
                None
            }
            // A client that names a file in Latin-1 does not double the byte: then both are text.
            (Telnet::Command, byte) => {
                self.telnet = Telnet::Text;
                let line = self.text(IAC, limit);
                if byte == IAC { line } else { line.or_else(|| self.text(byte, limit)) }
            }
        }
    }

    fn text(&mut self, byte: u8, limit: usize) -> Option<Line> {
        if byte == b'\n' {
            return Some(self.end());
        }
        if self.dropped == 0 && self.line.len() < limit {
            self.line.push(byte);
            return None;
        }
        self.dropped = self.dropped.saturating_add(1);
        self.line = Vec::new();
        (self.dropped >= ENDLESS).then_some(Line::Endless)
    }

    fn end(&mut self) -> Line {
        let mut line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.dropped) > 0 {
            return Line::TooLong;
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Line::Complete(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(mut input: &[u8], limit: usize) -> Vec<Line> {
        let mut reader = LineReader::default();
        let mut lines = Vec::new();
        while !input.is_empty() {
            let (taken, line) = reader.take(input, limit);
            lines.extend(line);
            input = input.get(taken..).unwrap_or_default();
        }
        lines
    }

    fn complete(text: &[u8]) -> Line {
        Line::Complete(text.to_vec())
    }

    #[test]
    fn lines_end_with_or_without_a_carriage_return() {
        let rows: [(&[u8], &[&[u8]]); 10] = [
            (b"NOOP\r\n", &[b"NOOP"]),
            (b"NOOP\nQUIT\r\n", &[b"NOOP", b"QUIT"]),
            (b"NOOP", &[]),
            (b"\r\n\n", &[b"", b""]),
            (b"\xff\xf4\xff\xf2ABOR\r\n", &[b"ABOR"]),
            (b"\xff\xfb\x01NOOP\r\n", &[b"NOOP"]),
            (b"\xff\xfa\x18\x00x\xff\xffterm\xff\xf0NOOP\r\n", &[b"NOOP"]),
            (b"\xff\xfa\x18\r\nNOOP\r\n", &[b"", b"NOOP"]),
            (b"RETR \xff\xff.cfg\r\n", &[b"RETR \xff.cfg"]),
            (b"RETR \xffa.cfg\r\n", &[b"RETR \xffa.cfg"]),
        ];
        for (input, expected) in rows {
            let expected: Vec<Line> = expected.iter().map(|line| complete(line)).collect();
            assert_eq!(lines(input, 64), expected, "{input:?}");
        }
    }

    #[test]
    fn options_are_refused_and_a_flood_of_them_only_at_first() {
        let refused = |input: &[u8]| {
            let (mut reader, mut rest) = (LineReader::default(), input);
            let mut refusals = Vec::new();
            while !rest.is_empty() {
                let (taken, _) = reader.take(rest, 64);
                refusals.extend(reader.refusal().into_iter().flatten());
                rest = rest.get(taken..).unwrap_or_default();
            }
            refusals
        };
        assert_eq!(refused(b"\xff\xfd\x06NO\xff\xfb\x01OP\r\n"), b"\xff\xfc\x06\xff\xfe\x01");
        assert_eq!(refused(b"\xff\xfe\x06\xff\xfc\x01"), b"");
        assert_eq!(refused(&b"\xff\xfd\x06".repeat(1000)).len(), 3 * REFUSALS);
    }

    #[test]
    fn an_over_long_line_is_passed_over_and_the_next_one_read() {
        let input = [&[b'x'; 65][..], b"\r\nNOOP\r\n"].concat();
        assert_eq!(lines(&input, 64), [Line::TooLong, complete(b"NOOP")]);
        assert_eq!(lines(&[&[b'x'; 63][..], b"\r\n"].concat(), 64), [complete(&[b'x'; 63])]);
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        assert!(lines(&vec![b'x'; ENDLESS + 64], 64).contains(&Line::Endless));
    }

    proptest::proptest! {
        #[test]
        fn no_more_than_the_limit_is_ever_held(input in proptest::collection::vec(0_u8.., 0..2000), limit in 1_usize..64) {
            let mut reader = LineReader::default();
            let mut rest: &[u8] = &input;
            while !rest.is_empty() {
                let (taken, line) = reader.take(rest, limit);
                proptest::prop_assert!(taken > 0);
                proptest::prop_assert!(reader.line.len() <= limit);
                if let Some(Line::Complete(line)) = line {
                    proptest::prop_assert!(line.len() <= limit);
                }
                rest = rest.get(taken..).unwrap_or_default();
            }
        }
    }
}
