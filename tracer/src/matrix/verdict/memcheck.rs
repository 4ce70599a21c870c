//! Reports of Memcheck, from the file that Valgrind writes: paragraphs of lines that begin with
//! `==PID== `, the first naming the error, the next ones its stack.

use super::super::cell::Report;
use super::is_own;

/// All reports of a text.
pub(super) fn reports(text: &str) -> Vec<Report> {
    let lines: Vec<&str> = text.lines().filter_map(content).collect();
    let paragraphs = lines.split(|line| line.trim().is_empty());
    paragraphs.filter_map(report).collect()
}

/// A line without `==PID==`.
fn content(line: &str) -> Option<&str> {
    let (pid, content) = line.strip_prefix("==")?.split_once("==")?;
    pid.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(content)
}

fn report(paragraph: &[&str]) -> Option<Report> {
    let is_frame = |line: &&str| {
        line.trim_start().starts_with("at 0x") || line.trim_start().starts_with("by 0x")
    };
    // Without a stack it is a remark.
    let first_frame = paragraph.iter().position(is_frame)?;
    let head = paragraph[..first_frame]
        .iter()
        .rev()
        .find(|line| !line.starts_with("   "))?;
    let what = head.split(" in loss record").next().unwrap_or(head).trim();
    if what.starts_with("Warning:") {
        return None;
    }
    let frames = paragraph[first_frame..]
        .iter()
        .take_while(|line| is_frame(line));
    let mut places = frames.filter_map(|line| {
        let place = line.trim_end().strip_suffix(')')?.rsplit_once('(')?.1;
        is_own(place).then(|| place.to_owned())
    });
    Some(Report {
        what: what.to_owned(),
        at: places.next(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_paragraph_with_a_stack_is_a_report() {
        let text = "\
==17138== Invalid read of size 4
==17138==    at 0x12076F: core::ptr::read (/rustc/59807/library/core/src/ptr/mod.rs:1700)
==17138==    by 0x12076F: sample::uaf (/home/x/src/lib.rs:10)
==17138==  Address 0x4a60cf4 is 20 bytes inside a block of size 24 free'd
==17138==    at 0x48399AB: free (vg_replace_malloc.c:538)
==17138==
==17138== Warning: noted but unhandled ioctl 0x5441 with no size/direction hints.
==17138==
==17138== 2,208 bytes in 92 blocks are definitely lost in loss record 3 of 9
==17138==    at 0x48386: malloc (in /usr/lib/x/vgpreload_memcheck-amd64-linux.so)
==17138==    by 0x12076F: sample::leak (/home/x/src/lib.rs:33)
==17138==
";
        let found = reports(text);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0].what, "Invalid read of size 4");
        assert_eq!(found[0].at.as_deref(), Some("/home/x/src/lib.rs:10"));
        assert_eq!(
            found[1].what,
            "2,208 bytes in 92 blocks are definitely lost"
        );
        assert_eq!(found[1].at.as_deref(), Some("/home/x/src/lib.rs:33"));
    }
}
