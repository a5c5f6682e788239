//! Where a partial upload goes: one table for PUT with Content-Range, REST with STOR, and APPE.
//!
//! RFC 9110 section 14.5 leaves a partial PUT to private agreement; this is the agreement. S is the size of what
//! stands there. It never shortens in place.

use crate::rules::{Gap, Kind};

/// What a partial upload carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The offset of its first byte.
    pub first: u64,
    /// How many bytes; 0 only from FTP.
    pub length: u64,
    /// The length of the whole, where the peer said it.
    pub complete: Option<u64>,
}

/// What stands there, and how the part compares with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Its size S in bytes; `None` where there is no upload yet.
    pub size: Option<u64>,
    /// The part has the same range and bytes as the last one that was answered.
    pub repeats_last: bool,
    /// The part's bytes equal those that stand at its offset, all of them.
    pub equals_held: bool,
}

/// What to do with a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// There was no upload: these bytes are it. `gap` is the offset that they claimed, where it is not 0.
    Create {
        /// How many bytes before them are missing.
        gap: u64,
    },
    /// These bytes replace the upload as a whole, as a PUT without a range.
    Replace,
    /// Nothing changes: they stand there already.
    Keep,
    /// They go to the end. `gap` is how many bytes are missing before them.
    Append {
        /// How many bytes before them are missing.
        gap: u64,
    },
    /// They overwrite what stands at this offset, and make it longer where they reach past its end.
    InPlace {
        /// The offset.
        offset: u64,
    },
    /// A new log begins with them; the old one rotates.
    Rotate,
    /// Refused: they begin past the end of `size` bytes.
    Refuse {
        /// The size S.
        size: u64,
    },
}

/// Places a part.
pub fn place(kind: Kind, gap: Gap, part: Part, held: Held) -> Placement {
    let is_log = match kind {
        Kind::Log => true,
        Kind::Settings | Kind::File => false,
    };
    if held.repeats_last {
        return Placement::Keep;
    }
    let Some(size) = held.size else {
        return if is_log { Placement::Create { gap: part.first } } else { create_whole(part) };
    };
    if part.first > size {
        return match (is_log, gap) {
            (true, Gap::Append) => Placement::Append { gap: part.first - size },
            (true, Gap::Refuse) | (false, _) => Placement::Refuse { size },
        };
    }
    if part.first == size {
        return Placement::Append { gap: 0 };
    }
    if part.first > 0 {
        return Placement::InPlace { offset: part.first };
    }
    match (is_log, held.equals_held) {
        (true, false) => Placement::Rotate,
        (false, _) if part.complete == Some(part.length) => Placement::Replace,
        (true | false, true) => Placement::Keep,
        (false, false) => Placement::InPlace { offset: 0 },
    }
}

fn create_whole(part: Part) -> Placement {
    if part.first == 0 { Placement::Create { gap: 0 } } else { Placement::Refuse { size: 0 } }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row of the table: kind, gap policy, `first+length/complete`, what is held, what happens.
    fn row(kind: Kind, gap: Gap, first: u64, length: u64, complete: Option<u64>, held: Held) -> Placement {
        place(kind, gap, Part { first, length, complete }, held)
    }

    const fn held(size: u64) -> Held {
        Held { size: Some(size), repeats_last: false, equals_held: false }
    }

    const NONE: Held = Held { size: None, repeats_last: false, equals_held: false };
    const REPEAT: Held = Held { size: Some(20), repeats_last: true, equals_held: false };
    const EQUAL: Held = Held { size: Some(20), repeats_last: false, equals_held: true };

    #[test]
    fn logs() {
        use Placement::{Append, Create, InPlace, Keep, Refuse, Rotate};
        let log = |first, length, complete, held| row(Kind::Log, Gap::Append, first, length, complete, held);
        assert_eq!(log(0, 5, None, NONE), Create { gap: 0 });
        assert_eq!(log(500, 5, None, NONE), Create { gap: 500 });
        assert_eq!(log(20, 5, None, held(20)), Append { gap: 0 });
        assert_eq!(log(15, 5, None, REPEAT), Keep);
        assert_eq!(log(500, 5, None, REPEAT), Keep);
        assert_eq!(log(0, 5, None, EQUAL), Keep);
        assert_eq!(log(0, 5, None, held(20)), Rotate);
        assert_eq!(log(0, 5, Some(5), held(20)), Rotate);
        assert_eq!(log(0, 50, Some(50), held(20)), Rotate);
        assert_eq!(log(10, 5, None, held(20)), InPlace { offset: 10 });
        assert_eq!(log(10, 50, None, held(20)), InPlace { offset: 10 });
        assert_eq!(log(25, 5, None, held(20)), Append { gap: 5 });
        assert_eq!(row(Kind::Log, Gap::Refuse, 25, 5, None, held(20)), Refuse { size: 20 });
        assert_eq!(log(0, 5, None, held(0)), Append { gap: 0 });
    }

    #[test]
    fn settings_and_files() {
        use Placement::{Append, Create, InPlace, Keep, Refuse, Replace};
        for kind in [Kind::Settings, Kind::File] {
            let file = |first, length, complete, held| row(kind, Gap::Append, first, length, complete, held);
            assert_eq!(file(0, 5, None, NONE), Create { gap: 0 });
            assert_eq!(file(0, 5, Some(9), NONE), Create { gap: 0 });
            assert_eq!(file(5, 5, None, NONE), Refuse { size: 0 });
            assert_eq!(file(20, 5, None, held(20)), Append { gap: 0 });
            assert_eq!(file(15, 5, None, REPEAT), Keep);
            assert_eq!(file(0, 5, Some(5), held(20)), Replace);
            assert_eq!(file(0, 5, Some(5), EQUAL), Replace);
            assert_eq!(file(0, 5, None, EQUAL), Keep);
            assert_eq!(file(0, 5, None, held(20)), InPlace { offset: 0 });
            assert_eq!(file(0, 5, Some(9), held(20)), InPlace { offset: 0 });
            assert_eq!(file(10, 5, None, held(20)), InPlace { offset: 10 });
            assert_eq!(file(25, 5, None, held(20)), Refuse { size: 20 });
        }
    }
}
