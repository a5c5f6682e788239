//! Netascii (RFC 764, as RFC 1350 section 1 uses it): a line ends with CR LF on the wire and with LF in a file, and a
//! CR of the file is CR NUL on the wire. Both ways keep what hangs over the border of two pieces.

const CR: u8 = b'\r';
const LF: u8 = b'\n';
const NUL: u8 = 0;

/// Appends bytes of a file to `wire`, as the wire has them. It keeps no state: each byte stands for itself.
pub fn encode(bytes: &[u8], wire: &mut Vec<u8>) {
    for byte in bytes {
        match *byte {
            LF => wire.extend_from_slice(&[CR, LF]),
            CR => wire.extend_from_slice(&[CR, NUL]),
            other => wire.push(other),
        }
    }
}

/// Turns what came over the wire back into a file.
#[derive(Debug, Default)]
pub struct Decoder {
    /// A CR whose second half has not come yet.
    carriage: bool,
}

impl Decoder {
    /// Appends the next piece to `file`. A CR before anything but LF and NUL stands as it came.
    pub fn decode(&mut self, wire: &[u8], file: &mut Vec<u8>) {
        for byte in wire.iter().copied() {
            let after_carriage = std::mem::replace(&mut self.carriage, byte == CR);
            match (after_carriage, byte) {
                (true, NUL | CR) => file.push(CR),
                (true, LF) => file.push(LF),
                (true, other) => file.extend_from_slice(&[CR, other]),
                (false, CR) => {}
                (false, other) => file.push(other),
            }
        }
    }

    /// The end of the file: a CR without a second half stands as it came.
    pub fn finish(&mut self, file: &mut Vec<u8>) {
        if std::mem::take(&mut self.carriage) {
            file.push(CR);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(pieces: &[&[u8]]) -> Vec<u8> {
        let mut decoder = Decoder::default();
        let mut file = Vec::new();
        for piece in pieces {
            decoder.decode(piece, &mut file);
        }
        decoder.finish(&mut file);
        file
    }

    #[test]
    fn lines_and_returns_are_translated() {
        for (file, wire) in
            [(&b"a\nb"[..], &b"a\r\nb"[..]), (b"\r", b"\r\0"), (b"\r\n", b"\r\0\r\n"), (b"", b""), (b"\0", b"\0")]
        {
            let mut encoded = Vec::new();
            encode(file, &mut encoded);
            assert_eq!(encoded, wire);
            assert_eq!(decode(&[wire]), file);
        }
    }

    #[test]
    fn what_is_no_netascii_stands_as_it_came() {
        for (wire, file) in
            [(&b"a\nb"[..], &b"a\nb"[..]), (b"\rx", b"\rx"), (b"\r\r\n", b"\r\n"), (b"x\r", b"x\r"), (b"\r\r", b"\r\r")]
        {
            assert_eq!(decode(&[wire]), file, "{}", wire.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn any_file_comes_back_wherever_the_wire_is_cut(
            file in prop::collection::vec(prop_oneof![Just(CR), Just(LF), Just(NUL), any::<u8>()], 0..200),
            cut in 1_usize..9,
        ) {
            let mut wire = Vec::new();
            encode(&file, &mut wire);
            prop_assert_eq!(decode(&wire.chunks(cut).collect::<Vec<_>>()), file);
        }
    }
}
