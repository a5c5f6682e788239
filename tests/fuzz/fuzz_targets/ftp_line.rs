//! A control connection's lines are the same wherever the bytes are cut, and none is longer than its limit.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provost_protocols::ftp::line::{Line, LineReader};

fn lines(input: &[u8], cut: usize, limit: usize) -> Vec<Line> {
    let (mut reader, mut lines) = (LineReader::default(), Vec::new());
    for mut piece in input.chunks(cut) {
        while !piece.is_empty() {
            let (taken, line) = reader.take(piece, limit);
            assert!((1..=piece.len()).contains(&taken));
            assert!(line.is_some() || taken == piece.len());
            piece = &piece[taken..];
            lines.extend(line);
        }
    }
    lines
}

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (cut, limit, bytes) = input;
    let limit = usize::from(limit);
    let whole = lines(bytes, bytes.len().max(1), limit);
    assert_eq!(lines(bytes, usize::from(cut) + 1, limit), whole);
    for line in &whole {
        if let Line::Complete(line) = line {
            assert!(line.len() <= limit && !line.contains(&b'\n'));
        }
    }
    // Without telnet's sequences a line is what stands before a line feed.
    if !bytes.contains(&255) && bytes.len() < 60_000 {
        let ends = bytes.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(whole.len(), ends);
        for (raw, line) in bytes.split(|byte| *byte == b'\n').zip(&whole) {
            let expected = raw.strip_suffix(b"\r").unwrap_or(raw);
            match line {
                Line::Complete(line) => assert_eq!(line, expected),
                Line::TooLong => assert!(raw.len() > limit),
                Line::Endless => panic!("so short an input has no endless line"),
            }
        }
    }
});
