//! Texts of strangers, where operators read them.

/// The text, with what is hidden in it escaped as in Rust: `\u{202e}`.
pub fn escaped(text: &str) -> String {
    text.chars().flat_map(|c| if is_hidden(c) { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

/// Whether a character is not seen, or turns the direction of what follows (Unicode, general categories Cc and Cf), so that one text
/// looks like another. It is to be escaped.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}
