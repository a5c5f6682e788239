//! TYPE A: between this system's line ends and those of the network.
//!
//! > The sender converts the data from an internal character representation to the standard 8-bit NVT-ASCII
//! > representation. […] the `<CRLF>` sequence should be used where necessary to denote the end of a line of text.
//! > (RFC 959 section 3.1.1.1)
//!
//! Both converters work on a stream that is cut anywhere.

/// LF becomes CR LF; a CR LF that stands there already is not doubled.
#[derive(Debug, Default)]
pub(super) struct ToNetwork {
    after_return: bool,
}

impl ToNetwork {
    pub(super) fn convert(&mut self, input: &[u8]) -> Vec<u8> {
        let mut output = Vec::with_capacity(input.len() + input.len() / 16);
        for byte in input {
            if *byte == b'\n' && !self.after_return {
                output.push(b'\r');
            }
            output.push(*byte);
            self.after_return = *byte == b'\r';
        }
        output
    }
}

/// CR LF becomes LF; a CR that stands alone stays.
#[derive(Debug, Default)]
pub(super) struct FromNetwork {
    held_return: bool,
}

impl FromNetwork {
    pub(super) fn convert(&mut self, input: &[u8]) -> Vec<u8> {
        let mut output = Vec::with_capacity(input.len() + 1);
        for byte in input {
            if std::mem::take(&mut self.held_return) && *byte != b'\n' {
                output.push(b'\r');
            }
            if *byte == b'\r' {
                self.held_return = true;
            } else {
                output.push(*byte);
            }
        }
        output
    }

    /// What was held back at the end of the stream.
    pub(super) fn finish(&mut self) -> &'static [u8] {
        if std::mem::take(&mut self.held_return) { b"\r" } else { b"" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_network(chunks: &[&[u8]]) -> Vec<u8> {
        let mut converter = FromNetwork::default();
        let mut output: Vec<u8> = chunks.iter().flat_map(|chunk| converter.convert(chunk)).collect();
        output.extend_from_slice(converter.finish());
        output
    }

    fn to_network(chunks: &[&[u8]]) -> Vec<u8> {
        let mut converter = ToNetwork::default();
        chunks.iter().flat_map(|chunk| converter.convert(chunk)).collect()
    }

    #[test]
    fn line_ends_are_converted_wherever_the_stream_is_cut() {
        assert_eq!(to_network(&[b"a\nb\r\nc\r", b"\n\n"]), b"a\r\nb\r\nc\r\n\r\n");
        assert_eq!(from_network(&[b"a\r\nb\r", b"\nc\rd\r\r\n\r"]), b"a\nb\nc\rd\r\n\r");
        assert_eq!(from_network(&[b"\n"]), b"\n");
    }

    proptest::proptest! {
        #[test]
        fn text_survives_both_ways(lines in proptest::collection::vec("[a-z]{0,8}", 0..20), cut in 0_usize..64) {
            let text = lines.join("\n").into_bytes();
            let (head, tail) = text.split_at(cut.min(text.len()));
            let wire = to_network(&[head, tail]);
            let (head, tail) = wire.split_at(cut.min(wire.len()));
            proptest::prop_assert_eq!(from_network(&[head, tail]), text);
        }
    }
}
