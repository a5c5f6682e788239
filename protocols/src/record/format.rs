//! The two forms of a record: a line of `key=value`, and a JSON object.

use std::fmt::Write as _;

use provost_tenants::LogFormat;
use serde_json::{Map, Value, json};

use super::Record;

/// A record as one line with its line feed.
pub(super) fn line(record: &Record, format: LogFormat) -> String {
    let fields = fields(record);
    let mut line = visible(&match format {
        LogFormat::Text => text(&fields),
        LogFormat::Json => Value::Object(fields).to_string(),
    });
    line.push('\n');
    line
}

/// JSON escapes of the control characters the first 32 alone. The others move a terminal's cursor too (U+009B begins a
/// sequence as ESC does), and format characters turn the reading direction or hide. They stand in quoted texts only.
fn visible(line: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
    };
    let mut visible = String::with_capacity(line.len());
    for c in line.chars() {
        if hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(visible, "\\u{unit:04x}");
            }
        } else {
            visible.push(c);
        }
    }
    visible
}

fn fields(record: &Record) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            fields.insert(key.to_owned(), value);
        }
    };
    put("time", json!(format!("{:.3}", record.time)));
    put("tenant", json!(record.tenant));
    put("listener", json!(record.listener));
    put("protocol", json!(record.protocol.name()));
    put("client", json!(record.client.to_string()));
    put("mac", json!(record.mac.map(|mac| mac.to_string())));
    put("proof", json!(record.proof));
    put("method", json!(record.method));
    put("path", json!(record.path));
    put("outcome", json!(record.outcome.code()));
    put("opening", json!(record.opening.map(provost_core::Opening::code)));
    put("reason", json!(record.reason));
    put("detail", json!(record.detail));
    put("alarm", json!(record.alarm.map(provost_tenants::guard::Alarm::code)));
    put("agent", json!(record.agent));
    put("left_out", if record.left_out == 0 { Value::Null } else { json!(record.left_out) });
    put("bytes", json!(record.bytes));
    put("duration_ms", json!(milliseconds(record)));
    fields
}

/// Milliseconds with microseconds behind the point.
fn milliseconds(record: &Record) -> f64 {
    (record.duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

fn text(fields: &Map<String, Value>) -> String {
    let mut line = String::with_capacity(256);
    for (key, value) in fields {
        let space = if line.is_empty() { "" } else { " " };
        // Writing to a String cannot fail.
        let _ = match value {
            Value::String(text) if is_plain(text) => write!(line, "{space}{key}={text}"),
            other => write!(line, "{space}{key}={other}"),
        };
    }
    line
}

/// Whether a text stands for itself in a line: anything else is quoted and escaped as JSON does.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'=' | b'\\'))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::net::SocketAddr;
    use std::time::Duration;

    use provost_core::{ClientAddr, Protocol};

    use super::*;
    use crate::record::{Outcome, text_of};

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
    fn long_texts_are_cut() {
        assert_eq!(text_of(&[b'a'; 5000]).chars().count(), 257);
        assert_eq!(text_of(b"short"), "short");
        assert_eq!(text_of(b"\xff"), "\u{fffd}");
    }
}
