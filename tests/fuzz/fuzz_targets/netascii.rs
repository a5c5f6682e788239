//! A file comes back from the wire wherever that is cut, and what came once comes back again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provost_protocols::tftp::netascii::{Decoder, encode};

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let (mut decoder, mut file) = (Decoder::default(), Vec::new());
    pieces.into_iter().for_each(|piece| decoder.decode(piece, &mut file));
    decoder.finish(&mut file);
    file
}

fuzz_target!(|input: (u8, &[u8])| {
    let (cut, bytes) = input;
    let cut = usize::from(cut) + 1;
    let mut wire = Vec::new();
    bytes.chunks(cut).for_each(|piece| encode(piece, &mut wire));
    assert_eq!(decode(wire.chunks(cut)), bytes);
    // The same bytes as a peer's wire, which need not be netascii at all.
    let file = decode([bytes]);
    assert_eq!(decode(bytes.chunks(cut)), file);
    assert!(file.len() <= bytes.len());
});
