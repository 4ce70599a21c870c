//! What was left off because a file was not read to its end, each with the reason, and how that is said at the end.

use std::collections::{BTreeMap, BTreeSet};

use crate::confined::Why;
use crate::record::closing::grouped;

/// Files that are remembered for a reason, and those of them that are named.
const FILES_MAX: usize = 64;
const NAMED: usize = 4;

/// What was left off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cut {
    /// Where call stacks end, by the reason, which follows the name of a file.
    ends: BTreeMap<String, Ends>,
    /// The program of which types and lines are missing, and why.
    pub(super) debug_info: Option<(String, Why)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ends {
    /// Call stacks that end in the middle of what a file says.
    stacks: u64,
    /// The files, by what they are shown as.
    files: BTreeSet<String>,
}

impl Cut {
    /// A file is not read.
    pub(super) fn file(&mut self, path: &[u8], why: &str) {
        self.ends(path, why);
    }

    /// A call stack ends in a file.
    pub(super) fn stack(&mut self, path: &[u8], why: &str) {
        self.ends(path, why).stacks += 1;
    }

    fn ends(&mut self, path: &[u8], why: &str) -> &mut Ends {
        let ends = self.ends.entry(why.to_owned()).or_default();
        if ends.files.len() < FILES_MAX {
            ends.files.insert(traces::tty(path));
        }
        ends
    }

    /// What to say of it.
    pub(super) fn remarks(&self) -> Vec<String> {
        let debug_info = self.debug_info.iter().map(|(program, why)| {
            let hint = match why {
                Why::TooMuch | Why::TooLong => {
                    format!(", and `llvm-dwarfdump --verify {program}` says what is wrong with it")
                }
                Why::Unread(_) => String::new(),
            };
            format!(
                "not recorded: types and lines of calls: the debug information of {program} {why}; no answer rests on \
                 it{hint}"
            )
        });
        let ends = self.ends.iter().map(|(why, ends)| ends.remark(why));
        debug_info.chain(ends).collect()
    }
}

impl Ends {
    fn remark(&self, why: &str) -> String {
        let mut named: Vec<&str> = self.files.iter().take(NAMED).map(String::as_str).collect();
        let more = format!("{} others", self.files.len().saturating_sub(NAMED));
        if self.files.len() > NAMED {
            named.push(&more);
        }
        let each = if self.files.len() == 1 { "it" } else { "each" };
        let stacks = match self.stacks {
            0 => "call stacks end there".to_owned(),
            1 => "a call stack ends early there".to_owned(),
            count => format!("{} call stacks end early there", grouped(count)),
        };
        format!(
            "not recorded: callers beyond {}, because {each} {why}: {stacks}; no answer rests on it",
            named.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_is_named_with_its_own_reason() {
        assert_eq!(Cut::default().remarks(), [] as [&str; 0]);
        let of = |why| Cut {
            debug_info: Some(("/x/program".to_owned(), why)),
            ..Cut::default()
        };
        assert_eq!(
            of(Why::TooMuch).remarks(),
            [
                "not recorded: types and lines of calls: the debug information of /x/program takes too much memory or \
                 time to read; no answer rests on it, and `llvm-dwarfdump --verify /x/program` says what is wrong with it"
            ]
        );
        assert_eq!(
            of(Why::Unread("was not read: no room".to_owned())).remarks(),
            [
                "not recorded: types and lines of calls: the debug information of /x/program was not read: no room; no \
                 answer rests on it"
            ]
        );
        let mut cut = Cut::default();
        for file in ["a", "b", "c", "d", "e", "f"] {
            cut.file(file.as_bytes(), "takes too long to read");
        }
        for _ in 0..1_200 {
            cut.stack(b"a", "takes too long to read");
        }
        cut.stack(b"g", "was not read: no room");
        assert_eq!(
            cut.remarks(),
            [
                "not recorded: callers beyond a, b, c, d, 2 others, because each takes too long to read: 1,200 call \
                 stacks end early there; no answer rests on it",
                "not recorded: callers beyond g, because it was not read: no room: a call stack ends early there; no \
                 answer rests on it",
            ]
        );
    }
}
