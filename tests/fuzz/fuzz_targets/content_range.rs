//! A Content-Range says what it is read from: printed it is read back, and its numbers go together.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provost_core::upload::ContentRange;

fn printed(first: u64, last: u64, complete: Option<u64>) -> String {
    format!("bytes {first}-{last}/{}", complete.map_or_else(|| "*".to_owned(), |complete| complete.to_string()))
}

fuzz_target!(|input: (u64, u64, Option<u64>, &str)| {
    let (first, last, complete, text) = input;
    assert_eq!(printed(first, last, complete).parse(), ContentRange::new(first, last, complete));
    let Ok(range) = text.parse::<ContentRange>() else { return };
    assert!(range.first() <= range.last());
    assert!(range.complete().is_none_or(|complete| range.last() < complete));
    assert_eq!(range.first().checked_add(range.length() - 1), Some(range.last()));
    assert!(range.check_body(range.length()).is_ok());
    assert_eq!(printed(range.first(), range.last(), range.complete()).parse(), Ok(range));
});
