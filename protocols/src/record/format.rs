//! The two forms of a record: a line of `key=value`, and a JSON object.
//!
//! Both are written straight into the line: at ten thousand requests a second a tree of values, made for each of them, was
//! what a record cost most.

use std::fmt::{self, Write as _};

use provost_core::text::is_hidden;
use provost_tenants::LogFormat;

use super::{KnownBy, Record};

/// Makes lines, one after the other in the same memory.
#[derive(Debug, Default)]
pub(super) struct Lines {
    text: String,
    /// A second since 1970, and how it is written up to its fraction: most records fall into that of the last one.
    second: Option<i64>,
    date: String,
}

impl Lines {
    /// A record as one line with its line feed.
    pub(super) fn of(&mut self, record: &Record, format: LogFormat) -> &str {
        let second = Some(record.time.as_second());
        if self.second != second {
            self.date.clear();
            // Writing to a String cannot fail.
            let _ = write!(self.date, "{}", record.time.strftime("%Y-%m-%dT%H:%M:%S"));
            self.second = second;
        }
        self.text.clear();
        let mut line = Line { text: &mut self.text, format, is_first: true };
        let _ = fields(&mut line, record, &self.date);
        line.end();
        &self.text
    }
}

fn fields(line: &mut Line<'_>, record: &Record, date: &str) -> fmt::Result {
    // What we write ourselves, from letters that stand for themselves in both forms.
    line.plain("time", format_args!("{date}.{:03}Z", record.time.subsec_millisecond()))?;
    line.text("tenant", &record.tenant)?;
    line.text("listener", &record.listener)?;
    line.text("protocol", record.protocol.name())?;
    line.plain("client", record.client)?;
    if let Some(mac) = record.mac {
        line.plain("mac", mac)?;
    }
    line.maybe("proof", record.proof.map(KnownBy::code))?;
    line.text("method", &record.method)?;
    line.text("path", &record.path)?;
    line.text("outcome", record.outcome.code())?;
    line.maybe("opening", record.opening.map(provost_core::Opening::code))?;
    line.maybe("reason", record.reason)?;
    line.maybe("detail", record.detail.as_deref())?;
    line.maybe("alarm", record.alarm.map(provost_tenants::guard::Alarm::code))?;
    line.maybe("agent", record.agent.as_deref())?;
    if record.left_out != 0 {
        line.number("left_out", record.left_out)?;
    }
    line.number("bytes", record.bytes)?;
    line.number("duration_ms", milliseconds(record))
}

/// Milliseconds with microseconds behind the point.
fn milliseconds(record: &Record) -> impl fmt::Display {
    let micros = record.duration.as_nanos().saturating_add(500) / 1000;
    let (whole, rest) = (micros / 1000, micros % 1000);
    fmt::from_fn(move |f| match (rest / 100, rest / 10 % 10, rest % 10) {
        (first, 0, 0) => write!(f, "{whole}.{first}"),
        (first, second, 0) => write!(f, "{whole}.{first}{second}"),
        (first, second, third) => write!(f, "{whole}.{first}{second}{third}"),
    })
}

/// A line that is being written.
struct Line<'l> {
    text: &'l mut String,
    format: LogFormat,
    is_first: bool,
}

impl Line<'_> {
    fn key(&mut self, key: &str) {
        let is_first = std::mem::replace(&mut self.is_first, false);
        let (before, behind) = match (self.format, is_first) {
            (LogFormat::Text, true) => ("", "="),
            (LogFormat::Text, false) => (" ", "="),
            (LogFormat::Json, true) => ("{\"", "\":"),
            (LogFormat::Json, false) => (",\"", "\":"),
        };
        for part in [before, key, behind] {
            self.text.push_str(part);
        }
    }

    fn end(self) {
        self.text.push_str(match self.format {
            LogFormat::Text => "\n",
            LogFormat::Json => "}\n",
        });
    }

    fn number(&mut self, key: &str, number: impl fmt::Display) -> fmt::Result {
        self.key(key);
        write!(self.text, "{number}")
    }

    fn plain(&mut self, key: &str, value: impl fmt::Display) -> fmt::Result {
        self.key(key);
        match self.format {
            LogFormat::Text => write!(self.text, "{value}"),
            LogFormat::Json => write!(self.text, "\"{value}\""),
        }
    }

    fn maybe(&mut self, key: &str, value: Option<&str>) -> fmt::Result {
        value.map_or(Ok(()), |value| self.text(key, value))
    }

    /// A text that a peer or an operator chose. In a line of pairs it stands for itself where it is plain, else as in JSON.
    fn text(&mut self, key: &str, value: &str) -> fmt::Result {
        self.key(key);
        match self.format {
            LogFormat::Text if is_plain(value) => self.text.push_str(value),
            LogFormat::Text | LogFormat::Json => quote(self.text, value)?,
        }
        Ok(())
    }
}

/// Whether a text stands for itself in a line: anything else is quoted and escaped as JSON does.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'=' | b'\\'))
}

/// A JSON string (RFC 8259 section 7). It escapes control characters beyond the first 32, too: they move a terminal's cursor
/// (U+009B begins a sequence as ESC does), and format characters turn the reading direction or hide.
fn quote(line: &mut String, text: &str) -> fmt::Result {
    line.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                line.push('\\');
                line.push(c);
            }
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c if is_hidden(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(line, "\\u{unit:04x}")?;
                }
            }
            c => line.push(c),
        }
    }
    line.push('"');
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::net::SocketAddr;
    use std::time::Duration;

    use provost_core::{ClientAddr, Protocol};

    use serde_json::{Value, json};

    use super::{LogFormat, Record};
    use crate::record::{KnownBy, Outcome, text_of};

    fn line(record: &Record, format: LogFormat) -> String {
        super::Lines::default().of(record, format).to_owned()
    }

    fn record(path: &str) -> Record {
        Record {
            time: jiff::Timestamp::UNIX_EPOCH,
            tenant: "acme".into(),
            listener: "phones".into(),
            protocol: Protocol::Https,
            client: ClientAddr::from(SocketAddr::from(([10, 0, 0, 2], 4711))),
            mac: None,
            proof: None,
            method: Cow::Borrowed("GET"),
            path: text_of(path.as_bytes()),
            outcome: Outcome::Denied,
            opening: None,
            reason: Some("not_own"),
            detail: None,
            alarm: None,
            agent: None,
            bytes: 0,
            left_out: 0,
            duration: Duration::from_micros(1500),
        }
    }

    #[test]
    fn a_text_line_has_one_pair_a_field() {
        assert_eq!(
            line(&record("/a.cfg"), LogFormat::Text),
            "time=1970-01-01T00:00:00.000Z tenant=acme listener=phones protocol=https client=10.0.0.2:4711 method=GET \
             path=/a.cfg outcome=denied reason=not_own bytes=0 duration_ms=1.5\n"
        );
    }

    #[test]
    fn what_a_peer_sent_cannot_forge_a_field_or_a_line() {
        for hostile in
            ["/a outcome=served", "/a\noutcome=served", "/a\"", "", "/\u{1b}[2J", "/a\u{85}b", "/\u{202e}gfc"]
        {
            let line = line(&record(hostile), LogFormat::Text);
            assert_eq!(line.matches(" outcome=denied").count(), 1, "{line}");
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            assert!(line.contains(" path=\""), "{line}");
            assert!(!line.contains('\u{1b}'), "{line}");
        }
    }

    #[test]
    fn what_would_move_a_cursor_or_hide_is_escaped_in_both_forms() {
        for hostile in
            ['\u{1b}', '\u{7f}', '\u{85}', '\u{9b}', '\u{ad}', '\u{2028}', '\u{202e}', '\u{2066}', '\u{e0041}']
        {
            let path = format!("/a{hostile}b\u{fc}");
            for format in [LogFormat::Text, LogFormat::Json] {
                let line = line(&record(&path), format);
                assert!(!line.contains(hostile) && line.contains("\\u") && line.contains('\u{fc}'), "{line}");
            }
            let json: Value = serde_json::from_str(&line(&record(&path), LogFormat::Json)).unwrap_or_default();
            assert_eq!(json.get("path"), Some(&json!(path)));
        }
    }

    #[test]
    fn every_field_of_a_record_is_in_its_line_once() {
        let full = Record {
            mac: "0004f2aabbcc".parse().ok(),
            proof: Some(KnownBy::Certificate),
            opening: Some(provost_core::Opening::Own),
            detail: Some("why \"not\"\t\\".into()),
            agent: Some("Poly UA/5.9".into()),
            bytes: 12,
            left_out: 3,
            duration: Duration::from_nanos(2_000_400),
            ..record("/a b.cfg")
        };
        let expected = json!({
            "time": "1970-01-01T00:00:00.000Z", "tenant": "acme", "listener": "phones", "protocol": "https",
            "client": "10.0.0.2:4711", "mac": "0004f2aabbcc", "proof": "certificate", "method": "GET",
            "path": "/a b.cfg", "outcome": "denied", "opening": "own", "reason": "not_own",
            "detail": "why \"not\"\t\\", "agent": "Poly UA/5.9", "left_out": 3, "bytes": 12, "duration_ms": 2.0,
        });
        let json = line(&full, LogFormat::Json);
        assert_eq!(serde_json::from_str::<Value>(&json).ok(), Some(expected), "{json}");
        let text = line(&full, LogFormat::Text);
        assert!(text.contains(r#" path="/a b.cfg" "#) && text.contains(r#" detail="why \"not\"\t\\" "#), "{text}");
    }

    #[test]
    fn durations_are_milliseconds_with_microseconds_behind_the_point() {
        for (nanos, shown) in [
            (0, "0.0"),
            (499, "0.0"),
            (500, "0.001"),
            (1_500_000, "1.5"),
            (12_345_678, "12.346"),
            (60_000_000_000, "60000.0"),
        ] {
            let record = Record { duration: Duration::from_nanos(nanos), ..record("/") };
            let line = line(&record, LogFormat::Text);
            assert!(line.ends_with(&format!(" duration_ms={shown}\n")), "{line}");
        }
    }

    #[test]
    fn lines_that_follow_each_other_have_their_own_times() {
        let mut lines = super::Lines::default();
        for (milliseconds, shown) in [
            (1_764_232_872_007, "time=2025-11-27T08:41:12.007Z "),
            (1_764_232_872_999, "time=2025-11-27T08:41:12.999Z "),
            (1_764_232_873_000, "time=2025-11-27T08:41:13.000Z "),
            (1_764_232_872_100, "time=2025-11-27T08:41:12.100Z "),
        ] {
            let time = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or_default();
            let line = lines.of(&Record { time, ..record("/") }, LogFormat::Text);
            assert!(line.starts_with(shown), "{line}");
        }
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(text_of(&[b'a'; 5000]).chars().count(), 257);
        assert_eq!(text_of(b"short"), "short");
        assert_eq!(text_of(b"\xff"), "\u{fffd}");
    }
}
