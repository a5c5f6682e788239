//! A command is its verb in any case and what stands behind one space, and reads the same whatever telnet left before it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provost_protocols::ftp::command::{Command, Verb};
use provost_protocols::ftp::line::{Line, LineReader};

fuzz_target!(|input: (&[u8], &[u8])| {
    let (junk, bytes) = input;
    let (mut reader, mut rest) = (LineReader::default(), bytes);
    while !rest.is_empty() {
        let (taken, line) = reader.take(rest, 512);
        rest = &rest[taken..];
        let Some(Line::Complete(line)) = line else { continue };
        let command = Command::parse(&line);
        assert!(line.ends_with(&command.argument));
        let verb = &line[..line.len() - command.argument.len()];
        if command.verb != Verb::Unknown {
            assert!(verb.iter().filter(|byte| byte.is_ascii_alphabetic()).count() <= 4);
            assert!(verb.iter().filter(|byte| **byte == b' ').count() <= 1);
            let lower = [&verb.to_ascii_lowercase(), &*command.argument].concat();
            assert_eq!(Command::parse(&lower), command);
        }
        let junk: Vec<u8> = junk.iter().map(|byte| byte | 0x80).collect();
        assert_eq!(Command::parse(&[&junk, &*line].concat()), command);
        // A password never shows.
        let without = Command { verb: command.verb, argument: Vec::new() };
        assert_eq!(format!("{command:?}"), format!("{without:?}"));
    }
});
