//! The Content-Type of a file, by its extension. Phones hardly look at it; a browser that is shown a file must not take a log
//! for a page, so what is unknown is bytes.

/// The media type of a file of this name.
pub(super) fn of(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let is = |known: &str| extension.eq_ignore_ascii_case(known);
    match () {
        () if ["cfg", "txt", "log", "cnf", "conf", "boot", "csv"].iter().any(|known| is(known)) => "text/plain",
        () if is("xml") => "text/xml",
        () if is("htm") || is("html") => "text/html",
        () if is("json") => "application/json",
        () if is("jpg") || is("jpeg") => "image/jpeg",
        () if is("png") => "image/png",
        () if is("bmp") => "image/bmp",
        () if is("wav") => "audio/wav",
        () => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_say_what_a_file_is() {
        for (name, content_type) in [
            ("0004f2aabbcc.cfg", "text/plain"),
            ("0004F2AABBCC-APP.LOG", "text/plain"),
            ("SEP0004F2AABBCC.cnf.xml", "text/xml"),
            ("snom320.htm", "text/html"),
            ("sip.ld", "application/octet-stream"),
            ("T46.rom", "application/octet-stream"),
            ("term88.default.loads", "application/octet-stream"),
            ("cfg0004f2aabbcc", "application/octet-stream"),
            ("", "application/octet-stream"),
        ] {
            assert_eq!(of(name), content_type, "{name}");
        }
    }
}
