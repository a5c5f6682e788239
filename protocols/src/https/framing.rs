//! What a request says of its own form: where it ends, and what it expects before its body.
//!
//! hyper refuses most of what is malformed by itself. It takes a Content-Length beside a Transfer-Encoding for absent, which the
//! RFC allows: but whoever sends both lets two readers see two ends, and a phone never does.

use hyper::header::{EXPECT, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, StatusCode, Version};

/// Why a request is refused for its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FramingError {
    /// Both a Content-Length and a Transfer-Encoding (RFC 9112 section 6.3).
    #[error("the request has both Content-Length and Transfer-Encoding")]
    TwoLengths,
    /// A Transfer-Encoding, where it cannot be seen any more whether a Content-Length stood beside it.
    #[error("the request has a Transfer-Encoding and began together with the end of the body before it")]
    UnseenLengths,
    /// An Expect other than `100-continue` (RFC 9110 section 10.1.1).
    #[error("the request expects something other than `100-continue`")]
    Expectation,
}

impl FramingError {
    /// What the peer is told.
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::TwoLengths | Self::UnseenLengths => StatusCode::BAD_REQUEST,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
        }
    }

    /// A short fixed word for records.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::TwoLengths => "two_lengths",
            Self::UnseenLengths => "unseen_lengths",
            Self::Expectation => "expectation",
        }
    }
}

/// Checks a request. `head` is its header as it came, or nothing, or its end alone, where it began in the middle of a body's last bytes.
///
/// # Errors
/// - [`FramingError`]
pub(super) fn check(request: &Parts, head: &[u8]) -> Result<(), FramingError> {
    if request.headers.contains_key(TRANSFER_ENCODING) {
        if !begins_with(head, &request.method) {
            return Err(FramingError::UnseenLengths);
        }
        if says_length(head) {
            return Err(FramingError::TwoLengths);
        }
    }
    // HTTP/1.0 knows no Expect.
    if request.version >= Version::HTTP_11 && !expects_continue_at_most(&request.headers) {
        return Err(FramingError::Expectation);
    }
    Ok(())
}

fn expects_continue_at_most(headers: &HeaderMap) -> bool {
    headers.get_all(EXPECT).iter().all(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Whether a header, as it came, has a Content-Length that no body can have, such as a phone's -1 as an unsigned number. hyper takes it
/// for a header that is too large.
pub(super) fn says_more_than_any_body(head: &[u8]) -> bool {
    /// What hyper counts to: two numbers stand for other things with it.
    const MOST: u64 = u64::MAX - 2;
    let number = |value: &[u8]| std::str::from_utf8(value.trim_ascii()).ok()?.parse::<u64>().ok();
    content_lengths(head).filter_map(number).any(|length| length > MOST)
}

fn begins_with(head: &[u8], method: &Method) -> bool {
    let behind = head.trim_ascii_start().strip_prefix(method.as_str().as_bytes());
    behind.is_some_and(|behind| behind.starts_with(b" "))
}

/// Where a header ends, in bytes, if its end is there: behind the first line that is empty and not at the start (RFC 9112 section 2.2).
pub(super) fn end_of_head(head: &[u8]) -> Option<usize> {
    let mut end = 0;
    let mut has_begun = false;
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        end += line.len();
        match line.trim_ascii().is_empty() {
            true if has_begun => return line.ends_with(b"\n").then_some(end),
            true => {}
            false => has_begun = true,
        }
    }
    None
}

fn says_length(head: &[u8]) -> bool {
    content_lengths(head).next().is_some()
}

/// The values of the Content-Length fields of a header as it came. hyper has read it before: each line is a field, or the end.
fn content_lengths(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    const NAME: &[u8] = b"content-length";
    let lines = head.split(|byte| *byte == b'\n').skip_while(|line| line.trim_ascii().is_empty()).skip(1);
    let fields = lines.take_while(|line| !line.trim_ascii().is_empty());
    let named = fields.filter_map(|line| line.split_at_checked(NAME.len()));
    named.filter(|(name, _)| name.eq_ignore_ascii_case(NAME)).filter_map(|(_, value)| value.strip_prefix(b":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_length_is_seen_in_the_header_alone() {
        for (head, says) in [
            ("PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", true),
            ("\r\n\nPUT /a HTTP/1.1\nTransfer-Encoding: chunked\ncontent-LENGTH:3\n\n", true),
            (
                "PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n12\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
                false,
            ),
            ("PUT /content-length: HTTP/1.1\r\nX: Content-Length: 3\r\n\r\n", false),
            ("PUT /a HTTP/1.1\r\nX-Content-Length: 3\r\n\r\n", false),
            ("", false),
        ] {
            assert_eq!(says_length(head.as_bytes()), says, "{head:?}");
        }
    }

    #[test]
    fn a_header_ends_with_its_first_empty_line() {
        for (head, end) in [
            ("GET / HTTP/1.1\r\n\r\n", Some(18)),
            ("\r\n\nGET / HTTP/1.1\na: b\n\nPUT", Some(24)),
            ("GET / HTTP/1.1\r\n", None),
            ("GET / HTTP/1.1\r\n\r", None),
            ("\r\n\r\n", None),
            ("", None),
        ] {
            assert_eq!(end_of_head(head.as_bytes()), end, "{head:?}");
        }
    }

    #[test]
    fn nothing_but_100_continue_may_be_expected() {
        for (values, holds) in [
            (&[][..], true),
            (&["100-continue"], true),
            (&["100-Continue"], true),
            (&["200-ok"], false),
            (&[""], false),
            (&["100-continue", "x=1"], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(EXPECT, value.parse().unwrap_or_else(|error| panic!("{value}: {error}")));
            }
            assert_eq!(expects_continue_at_most(&headers), holds, "{values:?}");
        }
    }
}
