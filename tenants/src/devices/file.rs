//! The device file: comma-separated, with a header line that says which columns there are, in any order.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use provost_core::path::link;
use provost_core::{Mac, Oui};

use super::DevicesSettings;
use super::set::{DeviceSet, MAX_LABEL_BYTES, Row, link_tag};
use crate::passwords::{Costs, Stored, StoredError, Tag, raise};

/// What is wrong with a device file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: {problem}", file.display())]
pub struct DeviceFileError {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u64,
    /// What is wrong, with what was expected.
    pub problem: String,
}

/// What a file tells: the rows that parse, beside what is listed elsewhere, and what is wrong with the others.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) set: DeviceSet,
    /// Of the rows that parse, those that are blocked.
    pub(super) blocked: Vec<Mac>,
    pub(super) errors: Vec<DeviceFileError>,
    /// Whether it could be read to its end. Otherwise it says something else the next time, and is still the same file.
    pub(super) is_whole: bool,
}

/// Errors of one file that are told; a file of another format has one in every line.
const MAX_ERRORS: usize = 100;

/// Costs of argon2id that one file may have: each is paid for every check, since the work must not tell whose password it is.
const MAX_COSTS: usize = 4;

/// What one row has and no other may, or only so many.
#[derive(Debug, Default)]
struct Others {
    links: HashMap<Tag, u64>,
    costs: Costs,
}

/// In which line each device stands. Files are mostly sorted, and then so is this, at once.
#[derive(Debug, Default)]
struct Lines(Vec<(Mac, u32)>);

/// Where each column stands.
#[derive(Debug, Default)]
struct Columns {
    mac: usize,
    label: Option<usize>,
    password: Option<usize>,
    next_password: Option<usize>,
    link: Option<usize>,
    proof: Option<usize>,
    blocked: Option<usize>,
}

/// Reads the rows of the file at `path`, for which `content` stands. A row goes into the set as it is read: a million of them would
/// take several times the room of the set.
pub(super) fn parse(path: &Path, settings: &DevicesSettings, content: impl Read) -> Reading {
    let set = DeviceSet::listing(&settings.list);
    let mut reading = Reading { set, blocked: Vec::new(), errors: Vec::new(), is_whole: true };
    let mut csv = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(content);
    let error = |line, problem: String| DeviceFileError { file: path.to_owned(), line, problem };
    let header = csv.headers().map_err(|problem| {
        reading.is_whole = !problem.is_io_error();
        describe(problem)
    });
    let columns = match header.and_then(Columns::read) {
        Ok(columns) => columns,
        Err(problem) => {
            reading.errors.push(error(1, problem));
            return reading;
        }
    };
    let mut lines = Lines::default();
    let mut others = Others::default();
    let mut record = csv::StringRecord::new();
    // To its end, whatever is wrong: what is blocked counts.
    loop {
        reading.errors.truncate(MAX_ERRORS);
        match csv.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {}
            Err(problem) => {
                let line = problem.position().map_or(0, csv::Position::line);
                reading.is_whole = !problem.is_io_error();
                reading.errors.push(error(line, describe(problem)));
                if !reading.is_whole {
                    break;
                }
                continue;
            }
        }
        let line = record.position().map_or(0, csv::Position::line);
        let (row, problems) = columns.row(&record, &settings.realm);
        reading.errors.extend(problems.into_iter().map(|problem| error(line, problem)));
        let Some((mac, row)) = row else { continue };
        let problems = others.differs(&row, line);
        reading.errors.extend(problems.into_iter().map(|problem| error(line, problem)));
        reading.blocked.extend(row.blocked.then_some(mac));
        lines.note(mac, line);
        reading.set.add(mac, row);
    }
    reading.set.shrink();
    let twice = lines.twice().into_iter();
    let twice =
        twice.map(|(mac, first, line)| error(line, format!("`mac` is `{mac}`, which line {first} has already")));
    reading.errors.extend(twice);
    reading.errors.sort_by_key(|error| error.line);
    reading.errors.truncate(MAX_ERRORS);
    reading
}

impl Lines {
    fn note(&mut self, mac: Mac, line: u64) {
        self.0.push((mac, u32::try_from(line).unwrap_or(u32::MAX)));
    }

    /// Every device that has a second row: with the line of the row before, and its own.
    fn twice(mut self) -> Vec<(Mac, u32, u64)> {
        self.0.sort_unstable();
        let pairs = self.0.windows(2).filter_map(|pair| match pair {
            [(one, first), (other, line)] if one == other => Some((*other, *first, u64::from(*line))),
            _ => None,
        });
        pairs.collect()
    }
}

impl Columns {
    fn read(header: &csv::StringRecord) -> Result<Self, String> {
        let mut columns = Self::default();
        let mut mac = None;
        for (at, name) in header.iter().enumerate() {
            // Spreadsheets write a byte order mark.
            let name = name.trim_start_matches('\u{feff}').trim();
            let column = match name {
                "mac" => &mut mac,
                "label" => &mut columns.label,
                "password" => &mut columns.password,
                "next_password" => &mut columns.next_password,
                "link" => &mut columns.link,
                "proof" => &mut columns.proof,
                "blocked" => &mut columns.blocked,
                other => {
                    let other: String = other.escape_debug().take(40).collect();
                    return Err(format!(
                        "the header has `{other}`; expected mac, label, password, next_password, link, proof or blocked"
                    ));
                }
            };
            if column.replace(at).is_some() {
                return Err(format!("the header has `{name}` twice"));
            }
        }
        columns.mac =
            mac.ok_or("the header has no `mac`; expected a first line such as `mac,label,password,blocked`")?;
        Ok(columns)
    }

    /// The row, as far as it can be told whose it is, and everything that is wrong with it.
    fn row(&self, record: &csv::StringRecord, realm: &str) -> (Option<(Mac, Row)>, Vec<String>) {
        // A line end is left to be found: a double quote that is not closed takes all rows behind it into one field.
        let is_blank = |c: char| c.is_whitespace() && !matches!(c, '\n' | '\r');
        let field = |column: Option<usize>| {
            column.and_then(|column| record.get(column)).unwrap_or_default().trim_matches(is_blank)
        };
        let text = field(Some(self.mac));
        let mac = match text.parse::<Mac>() {
            Ok(mac) if mac.oui() == Oui::NONE => return (None, vec![wrong("mac", text, "the address of a device")]),
            Ok(mac) => mac,
            Err(_) => return (None, vec![wrong("mac", text, "a MAC address, such as 0004f2aabbcc")]),
        };
        let mut problems = Vec::new();
        let mut row = Row::default();
        for (name, column) in [("password", self.password), ("next_password", self.next_password)] {
            match field(column) {
                "" => {}
                password => match Stored::read(password, mac.to_string().as_bytes(), realm) {
                    Ok(stored) => row.passwords.push(stored),
                    // The value is a secret, or nearly one.
                    Err(StoredError::ControlCharacter) if password.contains(['\n', '\r']) => problems.push(format!(
                        "`{name}` is [redacted]; it holds a line end: is a double quote left open? A password that begins with one stands in double quotes, each of its own doubled"
                    )),
                    Err(error) => problems.push(format!("`{name}` is [redacted]; {error}")),
                },
            }
        }
        match field(self.label) {
            label if label.len() > MAX_LABEL_BYTES || label.chars().any(char::is_control) => {
                problems.push(wrong("label", label, "at most 255 bytes without control characters"));
            }
            label => label.clone_into(&mut row.label),
        }
        match field(self.link) {
            "" => {}
            token if link::is_token(token.as_bytes()) => row.link = Some(link_tag(token.as_bytes())),
            _ => problems.push(
                "`link` is [redacted]; expected 16 to 128 of a-z, A-Z, 0-9, - and _, random ones, or an empty field"
                    .into(),
            ),
        }
        match field(self.proof) {
            "" => {}
            "certificate" => row.pinned = true,
            proof => problems.push(wrong("proof", proof, "`certificate` or an empty field")),
        }
        match field(self.blocked).to_ascii_lowercase().as_str() {
            "" | "no" | "false" | "0" => {}
            "yes" | "true" | "1" => row.blocked = true,
            blocked => problems.push(wrong("blocked", blocked, "`yes`, `no` or an empty field")),
        }
        (Some((mac, row)), problems)
    }
}

impl Others {
    fn differs(&mut self, row: &Row, line: u64) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(first) = row.link.and_then(|link| self.links.insert(link, line)) {
            problems.push(format!("`link` is [redacted], which line {first} has already; expected a token of its own"));
        }
        let passwords: Vec<Stored> = row.passwords.iter().map(|(password, _)| password.clone()).collect();
        raise(&mut self.costs, &passwords);
        if self.costs.len() > MAX_COSTS {
            self.costs.truncate(MAX_COSTS);
            problems.push(format!("`password` has other costs (m, t and p) than those before it, which have {MAX_COSTS} already; expected one of theirs"));
        }
        problems
    }
}

fn wrong(column: &str, value: &str, expected: &str) -> String {
    let value: String = value.escape_debug().take(40).collect();
    format!("`{column}` is `{value}`; expected {expected}")
}

/// What is wrong, without the line, which is told elsewhere.
fn describe(error: csv::Error) -> String {
    match error.into_kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!(
                "the row has {len} fields; expected {expected_len}, as the header has; one that holds a comma stands in double quotes"
            )
        }
        csv::ErrorKind::Utf8 { .. } => "the row is not UTF-8".into(),
        csv::ErrorKind::Io(error) => format!("the file cannot be read: {error}"),
        _ => "the row is malformed".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<String>, Vec<String>) {
        let settings = DevicesSettings { realm: "acme".into(), ..DevicesSettings::default() };
        let Reading { set, blocked, errors, is_whole } = parse(Path::new("d.csv"), &settings, text.as_bytes());
        assert!(is_whole);
        let row = |mac: Mac| {
            let found = set.find(mac).unwrap_or_else(|| panic!("{mac}"));
            assert_eq!(found.blocked, blocked.contains(&mac), "{mac}");
            let has_password = !set.passwords(mac).is_empty();
            let flags = [(found.pinned, " pinned"), (found.blocked, " blocked"), (has_password, " password")];
            let flags: String = flags.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect();
            format!("{mac} {:?}{flags}", set.label(mac).unwrap_or_default())
        };
        (set.macs().into_iter().map(row).collect(), errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn columns_stand_in_any_order_and_most_may_be_missing() {
        let (rows, errors) = read(
            "\u{feff}blocked, label ,mac,proof,link,password\n\
             ,Lobby,00:04:F2:AA:BB:01,,,\n\
             # a remark\n\
             yes,\"Room 1, left\",0004f2aabb02,certificate,,secret\n\
             no,,0004.f2aa.bb03,,,\nTRUE,,0004f2aabb04,,,\n",
        );
        assert_eq!(errors, [""; 0]);
        let expected = [
            "0004f2aabb01 \"Lobby\"",
            "0004f2aabb02 \"Room 1, left\" pinned blocked password",
            "0004f2aabb03 \"\"",
            "0004f2aabb04 \"\" blocked",
        ];
        assert_eq!(rows, expected);
        assert_eq!(read("mac\n0004f2aabb01\n").0, ["0004f2aabb01 \"\""]);
    }

    #[test]
    fn a_disk_that_fails_is_told_from_rows_that_are_wrong() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::StaleNetworkFileHandle.into())
            }
        }
        for (text, blocked) in [("", 0), ("mac,blocked\n0004f2aabb01,yes\n0004f2", 1)] {
            let reading = parse(Path::new("d.csv"), &DevicesSettings::default(), text.as_bytes().chain(Broken));
            assert_eq!((reading.is_whole, reading.errors.len(), reading.blocked.len()), (false, 1, blocked), "{text}");
        }
    }

    #[test]
    fn every_error_is_told_with_its_line() {
        let (rows, errors) = read(
            "mac,link,proof,blocked,label\nnonsense,,,,\n0004f2aabb01,abc,password,maybe,\n0004f2aabb02,,,,\n\
             0004f2aabb03,,\n0004F2AABB02,,,yes,\n000000000001,,,,\n",
        );
        assert_eq!(
            errors,
            [
                "d.csv:2: `mac` is `nonsense`; expected a MAC address, such as 0004f2aabbcc",
                "d.csv:3: `link` is [redacted]; expected 16 to 128 of a-z, A-Z, 0-9, - and _, random ones, or an empty field",
                "d.csv:3: `proof` is `password`; expected `certificate` or an empty field",
                "d.csv:3: `blocked` is `maybe`; expected `yes`, `no` or an empty field",
                "d.csv:5: the row has 3 fields; expected 5, as the header has; one that holds a comma stands in double quotes",
                "d.csv:6: `mac` is `0004f2aabb02`, which line 4 has already",
                "d.csv:7: `mac` is `000000000001`; expected the address of a device",
            ]
        );
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn a_double_quote_that_is_left_open_swallows_no_row_unseen() {
        let left_open = "it holds a line end: is a double quote left open?";
        for (text, said) in [
            ("mac,password\n0004f2aabb01,\"secret\n0004f2aabb02,x\n0004f2aabb03,y\n", left_open),
            ("mac,password\r\n0004f2aabb01,\"secret\r\n", left_open),
            ("password,mac\n\"secret,0004f2aabb01\nx\",0004f2aabb02\n", left_open),
            ("mac,label\n0004f2aabb01,\"lobby\n", "expected at most 255 bytes without control characters"),
            ("mac,blocked\n0004f2aabb01,\"yes\n", "expected `yes`, `no` or an empty field"),
            ("mac\n\"0004f2aabb01\n", "expected a MAC address"),
        ] {
            let errors = read(text).1;
            assert!(matches!(&errors[..], [one] if one.contains(said)), "{errors:?}");
        }
        assert_eq!(read("mac,password\n0004f2aabb01,\"\"\"secret\"\n").1, [""; 0]);
    }

    #[test]
    fn headers_that_are_none_are_told() {
        for (text, problem) in [
            ("", "the header has no `mac`"),
            ("0004f2aabb01\n", "the header has `0004f2aabb01`"),
            ("label,password\n", "the header has no `mac`"),
            ("mac,mac\n", "the header has `mac` twice"),
            ("mac,Passwort\n", "the header has `Passwort`; expected mac, label"),
        ] {
            let errors = read(text).1;
            assert!(errors.iter().any(|error| error.contains(problem)), "{text:?} {errors:?}");
        }
    }

    #[test]
    fn each_row_beyond_the_first_of_a_device_is_told_with_the_one_before() {
        let (_, errors) =
            read("mac\n0004f2aabb02\n0004f2aabb01\n 00:04:f2:aa:bb:02 \nnonsense\n0004F2AABB02\n0004f2aabb01\n");
        let expected = [
            "d.csv:4: `mac` is `0004f2aabb02`, which line 2 has already",
            "d.csv:5: `mac` is `nonsense`; expected a MAC address, such as 0004f2aabbcc",
            "d.csv:6: `mac` is `0004f2aabb02`, which line 4 has already",
            "d.csv:7: `mac` is `0004f2aabb01`, which line 3 has already",
        ];
        assert_eq!(errors, expected);
        assert_eq!(read(&("mac\n".to_owned() + &"0004f2aabb01\n".repeat(1000))).1.len(), MAX_ERRORS);
    }

    #[test]
    fn a_file_of_another_format_does_not_tell_every_line() {
        let text = "mac\n".to_owned() + &"nonsense\n".repeat(1000);
        assert_eq!(read(&text).1.len(), MAX_ERRORS);
    }
}
