//! What makes output pleasant on a terminal and plain elsewhere. Streams of anstream drop the colours where they do not
//! belong: no terminal, or `NO_COLOR`.

use std::fmt;
use std::io::IsTerminal as _;

use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, presets};

/// What is wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What is right.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// What deserves a look.
pub(crate) const CARE: Style = AnsiColor::Yellow.on_default().bold();
/// What stands beside the point.
pub(crate) const FAINT: Style = Style::new().dimmed();
/// What heads a part.
pub(crate) const HEADING: Style = Style::new().bold();

/// A text in a style.
pub(crate) fn paint(style: Style, text: impl fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// A table: ruled on a terminal, plain columns elsewhere.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    let style = if std::io::stdout().is_terminal() { presets::UTF8_FULL_CONDENSED } else { presets::NOTHING };
    table.load_style(style);
    // A cell that is broken over lines can be neither read nor copied; a long line can.
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.trim_fmt()
}
