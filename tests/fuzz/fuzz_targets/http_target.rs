//! A target is decoded once: no separator comes out of an encoding, and what is encoded whole is decoded back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provost_protocols::https::path_of;

fuzz_target!(|target: &str| {
    let Ok(path) = path_of(target) else { return };
    assert_eq!(path.first(), Some(&b'/'));
    let written = target.split(['?', '#']).next().unwrap_or_default();
    let slash = usize::from(!target.starts_with('/'));
    for separator in [b'/', b'\\'] {
        let count = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == separator).count();
        let added = if separator == b'/' { slash } else { 0 };
        assert_eq!(count(&path), count(written.as_bytes()) + added);
    }
    let encoded: String = path.iter().map(|byte| encoded(*byte)).collect();
    assert_eq!(path_of(&encoded).as_ref(), Ok(&path), "{encoded}");
});

fn encoded(byte: u8) -> String {
    match byte {
        b'/' | b'\\' => char::from(byte).to_string(),
        other => format!("%{other:02x}"),
    }
}
