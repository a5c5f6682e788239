//! A Digest that is read is written out in one plain way, and read back as the same; its response is as long as its algorithm's,
//! and for another method or password it would be another one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provost_protocols::https::digest::Digest;
use provost_tenants::passwords::Algorithm;

fuzz_target!(|text: &[u8]| {
    check(text);
    // 64 hex digits together with their algorithm are not found, even with a dictionary.
    let response = format!(",algorithm=SHA-256,response={}", "5a".repeat(32));
    check(&[text, response.as_bytes()].concat());
});

fn check(text: &[u8]) {
    let Ok(digest) = Digest::parse(text) else { return };
    let length = match digest.algorithm {
        Algorithm::Sha256 => 64,
        Algorithm::Md5 => 32,
    };
    assert!(digest.response.len() == length && digest.count() > 0 && !digest.cnonce.is_empty());
    let response = digest.expected("a", "GET");
    assert!(
        response.len() == length && response != digest.expected("b", "GET") && response != digest.expected("a", "PUT")
    );
    assert_eq!(Digest::parse(&written(&digest)).as_ref(), Ok(&digest));
    if let Ok(uri) = std::str::from_utf8(&digest.uri) {
        assert!(digest.is_for(uri));
    }
}

fn written(digest: &Digest) -> Vec<u8> {
    let algorithm: &[u8] = match digest.algorithm {
        Algorithm::Sha256 => b"SHA-256",
        Algorithm::Md5 => b"MD5",
    };
    let fields: [(&str, &[u8]); 9] = [
        ("username", &digest.user),
        ("realm", &digest.realm),
        ("nonce", &digest.nonce),
        ("uri", &digest.uri),
        ("algorithm", algorithm),
        ("cnonce", &digest.cnonce),
        ("nc", digest.nc.as_bytes()),
        ("qop", b"auth"),
        ("response", digest.response.as_bytes()),
    ];
    let mut written = Vec::new();
    for (name, value) in fields {
        written.extend_from_slice(name.as_bytes());
        written.extend_from_slice(b"=\"");
        for byte in value {
            written.extend([b'\\', *byte]);
        }
        written.extend_from_slice(b"\", ");
    }
    written
}
