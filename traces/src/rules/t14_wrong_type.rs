//! `wrong-type`: a pointer comes back as something else than it went out as.
//!
//! Fires on a reclaim as another kind of owner or as a type of another size or alignment; on one as a
//! type of another name (a warning, suspected); and on a submission whose cookie is a `Box` of nothing, which has
//! no address of its own, or one of a trait object, whose other half does not fit.
//! Stays silent where one of the types is not known, for owners of the program's own, and for wrappers
//! that change nothing: `ManuallyDrop`, `MaybeUninit`, cells, and a type with one parameter that is as large as what
//! it is filled with (`Traced<Conn>` and `Conn`), unless it is a pointer or a container, which only happens to be, or may
//! hold nothing (`Option<Conn>`); for slices and trait objects that a
//! pointer became, a full vector as a box, and owners of nothing, which share one address.
//! Points at the reclaim, or at the submission.

use wire::record::Owner;

use super::{Draft, History, Judge, Key, Rule};
use crate::event::{Pointer, TypeId};
use crate::finding::{Confidence, RuleId, Severity};
use crate::model::{Generation, Handled, Moment, Standing, Submitted, is_nowhere};

pub(super) static RULE: Rule = Rule {
    id: RuleId(14),
    name: "wrong-type",
    brief: "taken back as another owner, type, size or alignment than it was given away as",
    severity: Severity::Error,
    fires: "A pointer is taken back as another owner, or as a type of another size or alignment, than it \
            was given away as: it is dropped as what it is not. A Box of a type without bytes has the \
            same address as every other; one of a trait object loses its table in a 64-bit cookie.",
    silent: "Owner or type are not known, or owner is the program's own; the types differ only by a \
             wrapper that has the layout of what it wraps (Traced<Conn> and Conn, but not Box<Conn> or Option<Conn> and Conn); or it was leaked as both, as a count and its \
             weak counterpart are. A pointer may become one to a slice or a trait object on the way, and \
             the block of a full vector that of a box. Types with other names and one layout are a \
             warning, suspected: one may be a transparent wrapper of the other.",
    needs: "Leaks and reclaims with their types.",
    points_at: "The reclaim as something else, or the submission of what fits no cookie.",
    example: "A value that had been given to C came back as Box<c_void> and was freed as that: with the \
              wrong size, and without its destructor.",
    source: "newsboat/newsboat#610, rust-lang/rust-clippy#9690, georust/gdal#215",
    advice: "Write the owner and its type at both ends: into_raw::<Rc<T>> and from_raw::<Rc<T>>. Put a Box \
             around the Box of a trait object; what has no bytes needs an Rc, an Arc or a field to have an \
             address of its own.",
    check,
};

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    match moment {
        Moment::Handled(handled) if concerns(handled) => back(handled, judge),
        Moment::Submitted(submitted) => submission(submitted, judge),
        _ => {}
    }
}

/// Whether a handle came back as something else than the first one went out as: of nearly all, it did not.
#[inline(always)]
pub(super) fn concerns(handled: &Handled<'_>) -> bool {
    let Handled {
        pointer,
        generation,
        back,
        ..
    } = handled;
    *back && (pointer.owner, pointer.ty) != (generation.owner, generation.ty)
}

/// How a handle that came back differs from those that went out.
enum Difference {
    Owner,
    Layout,
    Name,
}

fn back(handled: &Handled<'_>, judge: &mut Judge<'_>) {
    let Handled {
        event,
        pointer,
        generation,
        brought_by,
        ..
    } = handled;
    let Some(difference) = difference(pointer, generation, judge) else {
        return;
    };
    let names = judge.names();
    let as_what = |owner: Owner, ty: TypeId| format!("{}<{}>", owner.name(), names.ty(ty));
    let (shape, confidence) = match difference {
        Difference::Owner => ("owner", Confidence::Observed),
        Difference::Layout => ("layout", Confidence::Observed),
        Difference::Name => ("name", Confidence::Suspected),
    };
    let (hint, severity) = match difference {
        Difference::Owner | Difference::Layout => ("", Severity::Error),
        // A wrapper that is `repr(transparent)` looks the same from here.
        Difference::Name => (
            ": of one layout, which is in order if one of them is only a transparent wrapper of the other",
            Severity::Warning,
        ),
    };
    let message = format!(
        "{} went out{} as {}{} and came back{} as {}{}{hint}",
        judge.generation(generation.id),
        judge.at(generation.leak_site),
        as_what(generation.owner, generation.ty),
        layout(judge, generation.ty),
        judge.at(pointer.site),
        as_what(pointer.owner, pointer.ty),
        layout(judge, pointer.ty),
    );
    let draft = Draft::new(generation.id.subject(), *event, *event)
        .scope(generation.scope)
        .confidence(confidence)
        .severity(severity)
        // It may have gone out a second time, as what it came back as: before, where there may be more than one of it.
        .history(if generation.is_sole_owner() {
            History::Since(generation.leaked)
        } else {
            History::Whole
        })
        .message(message)
        .evidence(generation.leaked, "as what it went out")
        .evidence(*event, "as what it came back")
        .key(generation.id)
        .keys(brought_by.map(Key::from))
        .shape(shape)
        .shape(names.ty(generation.ty))
        .shape(names.ty(pointer.ty))
        .shape(names.file(pointer.site));
    judge.say(draft);
}

fn difference(pointer: &Pointer, generation: &Generation, judge: &Judge<'_>) -> Option<Difference> {
    let back = (pointer.owner, pointer.ty);
    let first = (generation.owner, generation.ty);
    if generation.and_more || !is_plain(back.0) {
        return None;
    }
    // Another one of those that share the address of what has no block.
    if generation.nowhere && is_nowhere(judge.names().recording, pointer) {
        return None;
    }
    let out = std::iter::once(first).chain(generation.also);
    let mut least: Option<Difference> = None;
    for (owner, ty) in out {
        if !is_plain(owner) {
            return None;
        }
        let differs = if owner != back.0 && !are_one(owner, back.0) {
            Difference::Owner
        } else {
            types_differ(judge, ty, back.1)?
        };
        least = Some(match least {
            Some(before) if matches!(differs, Difference::Owner) => before,
            _ => differs,
        });
    }
    least
}

/// Owners whose meaning is known.
fn is_plain(owner: Owner) -> bool {
    matches!(
        owner,
        Owner::Box
            | Owner::Rc
            | Owner::Arc
            | Owner::RcWeak
            | Owner::ArcWeak
            | Owner::CString
            | Owner::Vec
    )
}

fn types_differ(judge: &Judge<'_>, out: TypeId, back: TypeId) -> Option<Difference> {
    if out == back {
        return None;
    }
    let recording = judge.names().recording;
    let (a, b) = (recording.ty(out), recording.ty(back));
    let is_laid_out = a.align != 0 && b.align != 0;
    if is_laid_out && (a.size, a.align) != (b.size, b.align) {
        return Some(Difference::Layout);
    }
    let (a, b) = (judge.names().ty(out), judge.names().ty(back));
    // On the way a pointer may lose its length, or become one to what its type can do.
    if ends_wide(&a) || ends_wide(&b) {
        return None;
    }
    let (a, b) = (bare(&a), bare(&b));
    let are_known = a != "?" && b != "?";
    // What is not known to be as large may hold more than what it wraps.
    let is_wrapper = is_laid_out && (wraps(a, b) || wraps(b, a));
    (are_known && a != b && !is_wrapper).then_some(Difference::Name)
}

/// Pointers and containers: where one is as large as what it holds, that is by chance. And what may hold nothing, which is
/// as large where what it may hold has words that it never is.
const HOLDERS: [&str; 22] = [
    "Box",
    "Rc",
    "Arc",
    "Weak",
    "NonNull",
    "AtomicPtr",
    "Cow",
    "Vec",
    "VecDeque",
    "LinkedList",
    "BinaryHeap",
    "BTreeMap",
    "BTreeSet",
    "HashMap",
    "HashSet",
    "PhantomData",
    "Sender",
    "Receiver",
    "Option",
    "OnceCell",
    "Poll",
    "Bound",
];

/// Whether one type is another with a name around it, as a transparent wrapper is. Both have one layout, so the wrapper
/// has nothing besides.
fn wraps(outer: &str, inner: &str) -> bool {
    /// As in [`ends_wide`].
    const DEEPEST: usize = 64;
    let mut name = outer;
    for _ in 0..DEEPEST {
        let Some((holder, parameters)) = name.split_once('<') else {
            return false;
        };
        let parameters = parameters.strip_suffix('>').unwrap_or_default();
        let holder = holder.rsplit("::").next().unwrap_or(holder);
        let is_holder = HOLDERS.contains(&holder) || holder.contains(['&', '*', '[', '(']);
        if is_holder || last_of(parameters) != parameters {
            return false;
        }
        name = bare(parameters);
        if name == inner {
            return true;
        }
    }
    false
}

/// Whether one owner's block may be freed by the other: a full vector's by a box of the slice.
fn are_one(a: Owner, b: Owner) -> bool {
    matches!((a, b), (Owner::Box, Owner::Vec) | (Owner::Vec, Owner::Box))
}

/// Whether a type's pointers are two words.
fn is_wide(name: &str) -> bool {
    let is_slice = name.starts_with('[') && !name.contains(';');
    is_slice || name.starts_with("dyn ") || name == "str"
}

/// Whether a type's pointers may be two words: as [`is_wide`], or a structure that ends with what its last
/// parameter says, `Header<dyn Future>`. A pointer's parameter is not a part of it.
fn ends_wide(mut name: &str) -> bool {
    /// Nobody nests types so deeply.
    const DEEPEST: usize = 64;
    for _ in 0..DEEPEST {
        if is_wide(name) {
            return true;
        }
        let Some((outer, parameters)) = name.split_once('<') else {
            return false;
        };
        let is_pointer =
            ["Box", "Rc", "Arc", "Weak", "NonNull"].contains(&outer) || outer.contains(['&', '*']);
        if is_pointer {
            return false;
        }
        name = last_of(parameters.strip_suffix('>').unwrap_or(parameters));
    }
    true
}

/// The last of several parameters, each with parameters of its own.
fn last_of(parameters: &str) -> &str {
    let mut depth = 0u32;
    let mut start = 0;
    for (at, byte) in parameters.bytes().enumerate() {
        match byte {
            b'<' | b'(' | b'[' => depth += 1,
            b'>' | b')' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => start = at + 1,
            _ => {}
        }
    }
    parameters.get(start..).unwrap_or_default().trim_start()
}

/// A type's name without wrappers that have the layout of what they wrap.
fn bare(name: &str) -> &str {
    for wrapper in ["ManuallyDrop<", "MaybeUninit<", "UnsafeCell<", "Cell<"] {
        let inner = name.strip_prefix(wrapper);
        if let Some(inner) = inner.and_then(|inner| inner.strip_suffix('>')) {
            return bare(inner);
        }
    }
    name
}

fn layout(judge: &Judge<'_>, ty: TypeId) -> String {
    match judge.names().recording.ty(ty) {
        ty if ty.align == 0 => String::new(),
        ty => format!(" ({} bytes, aligned to {})", ty.size, ty.align),
    }
}

fn submission(submitted: &Submitted<'_>, judge: &mut Judge<'_>) {
    let Submitted {
        operation,
        standing: Standing::Live(generation),
        sentinel: false,
        ..
    } = submitted
    else {
        return;
    };
    if generation.owner != Owner::Box || generation.also.is_some() {
        return;
    }
    let names = judge.names();
    let ty = names.recording.ty(generation.ty);
    let (shape, why) = if names.is_dyn(generation.ty) {
        ("wide", "a pointer to it is two words, and a cookie is one")
    } else if ty.align != 0 && ty.size == 0 {
        (
            "empty",
            "it has no bytes, so every Box of it has the same address",
        )
    } else {
        return;
    };
    // Of all that is submitted: its name is made only where it says something.
    let name = names.ty(generation.ty);
    let draft = Draft::new(operation.id.subject(), operation.submit, operation.submit)
        .scope(operation.scope)
        .severity(Severity::Warning)
        .confidence(Confidence::Suspected)
        .message(format!(
            "{} carries {}, leaked{}, a Box<{name}>: {why}",
            judge.operation(operation),
            judge.generation(generation.id),
            judge.at(generation.leak_site)
        ))
        .evidence(generation.leaked, "leaked here")
        .evidence(operation.submit, "submitted here")
        .key(operation.id)
        .key(generation.id)
        .shape(shape)
        .shape(name)
        .shape(names.file(generation.leak_site));
    judge.say(draft);
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::{RULE, ends_wide};

    #[test]
    fn a_header_with_a_trait_object_behind_it_is_silent() {
        check_rule(
            &RULE,
            r#"
            1 main leak 0x1000 type="RawOp<Recv<Vec<u8>>>" key.rs:8 owner=Box
            2 main reclaim 0x1000 type="RawOp<dyn OpCode>" key.rs:9 owner=Box
            3 main leak 0x1000 type="Task<Conn, Recv>" key.rs:8 owner=Box
            4 main reclaim 0x1000 type="Task<Conn, dyn OpCode>" key.rs:9 owner=Box
            5 main leak 0x1000 type="Task<Recv>" key.rs:8 owner=Box
            6 main reclaim 0x1000 type="Task<Box<dyn OpCode>>" key.rs:9 owner=Box   <- came back
            "#,
        );
    }

    #[test]
    fn another_layout() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Object size=24 align=8 ffi.rs:8
            20 main reclaim 0x1000 c_void size=1 align=1 ffi.rs:40    <- [observed since:0] Object#1 0x1000@1 went out at ffi.rs:8 as Box<Object> (24 bytes, aligned to 8) and came back at ffi.rs:40 as Box<c_void> (1 bytes, aligned to 1)
            ",
        );
    }

    #[test]
    fn another_owner() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Object ffi.rs:8 owner=Rc
            20 main reclaim 0x1000 Object ffi.rs:40 owner=Box     <- [observed whole] came back at ffi.rs:40 as Box<Object>
            ",
        );
    }

    #[test]
    fn another_name() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Read size=24 align=8 ffi.rs:8
            20 main reclaim 0x1000 Write size=24 align=8 ffi.rs:40    <- [warning suspected since:0] as Box<Write> (24 bytes, aligned to 8): of one layout
            ",
        );
    }

    #[test]
    fn what_fits_no_cookie() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1 () size=0 align=1 ffi.rs:8
            11 main submit 0 NOP 0x1                 <- [warning suspected whole] it has no bytes
            20 main leak 0x2000 type=\"dyn core::ops::Fn()\" ffi.rs:9
            21 main submit 0 NOP 0x2000              <- a pointer to it is two words
            30 main leak 0x3000 () size=0 align=1 ffi.rs:8 owner=Rc
            31 main submit 0 NOP 0x3000
            ",
        );
    }

    #[test]
    fn the_same_in_other_words_is_silent() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 app::Object size=24 align=8 ffi.rs:8
            20 main reclaim 0x1000 core::mem::ManuallyDrop<app::Object> size=24 align=8 ffi.rs:40
            # A count and its weak counterpart have one address.
            30 main leak 0x2000 Object ffi.rs:8 owner=Rc
            31 main leak 0x2000 Object ffi.rs:8 owner=rc::Weak
            32 main reclaim 0x2000 Object ffi.rs:8 owner=rc::Weak
            33 main reclaim 0x2000 Object ffi.rs:8 owner=Rc
            # Nobody said as what, or the program knows best.
            40 main leak 0x3000 ? ffi.rs:8
            41 main reclaim 0x3000 Object ffi.rs:8
            50 main leak 0x4000 Object ffi.rs:8 owner=custom
            51 main reclaim 0x4000 Other ffi.rs:8
            60 main leak 0x5000 Object ffi.rs:8
            61 main reclaim 0x5000 Object ffi.rs:8 owner=custom
            ",
        );
    }

    #[test]
    fn a_wrapper_of_one_layout_is_no_other_type() {
        check_rule(
            &RULE,
            r#"
            10 main leak 0x1000 app::Traced<app::Conn> size=24 align=8 ffi.rs:8
            11 main reclaim 0x1000 app::Conn size=24 align=8 ffi.rs:40
            20 main leak 0x2000 app::Conn size=24 align=8 ffi.rs:8 owner=Rc
            21 main reclaim 0x2000 app::Pinned<app::Traced<app::Conn>> size=24 align=8 ffi.rs:40 owner=Rc
            # One of several parameters, another one's wrapper, one that is larger than what it wraps, and names that
            # only look like it: nobody knows what they are.
            30 main leak 0x3000 type="Pair<Conn, u8>" size=24 align=8 ffi.rs:8
            31 main reclaim 0x3000 Conn size=24 align=8 ffi.rs:40     <- [warning suspected since:4] as Box<Conn>
            40 main leak 0x4000 Traced<Conn> size=24 align=8 ffi.rs:8
            41 main reclaim 0x4000 Other size=24 align=8 ffi.rs:40    <- [warning suspected since:6] as Box<Other>
            50 main leak 0x5000 Traced<Conn> size=32 align=8 ffi.rs:8
            51 main reclaim 0x5000 Conn size=24 align=8 ffi.rs:40     <- [observed since:8] as Box<Conn>
            60 main leak 0x6000 ConnWrapper size=24 align=8 ffi.rs:8
            61 main reclaim 0x6000 Conn size=24 align=8 ffi.rs:40     <- [warning suspected since:10] as Box<Conn>
            # A box too many, whose content happens to be as large as a pointer, and a vector for its element.
            70 main leak 0x7000 Box<Conn> size=8 align=8 ffi.rs:8
            71 main reclaim 0x7000 Conn size=8 align=8 ffi.rs:40      <- [warning suspected since:12] as Box<Conn>
            80 main leak 0x8000 alloc::vec::Vec<Conn> size=24 align=8 ffi.rs:8
            81 main reclaim 0x8000 Conn size=24 align=8 ffi.rs:40     <- [warning suspected since:14] as Box<Conn>
            90 main leak 0x9000 Traced<Box<Conn>> size=8 align=8 ffi.rs:8
            91 main reclaim 0x9000 Conn size=8 align=8 ffi.rs:40      <- [warning suspected since:16] as Box<Conn>
            # Perhaps none, perhaps not yet: as large as what it may hold, where a word of that can never be.
            92 main leak 0xa000 core::option::Option<Conn> size=24 align=8 ffi.rs:8
            93 main reclaim 0xa000 Conn size=24 align=8 ffi.rs:40     <- [warning suspected since:18] as Box<Conn>
            94 main leak 0xb000 Conn size=24 align=8 ffi.rs:8
            95 main reclaim 0xb000 core::task::poll::Poll<Conn> size=24 align=8 ffi.rs:40     <- [warning suspected since:20] as Box<Poll<Conn>>
            96 main leak 0xc000 core::ops::range::Bound<Conn> size=24 align=8 ffi.rs:8
            97 main reclaim 0xc000 Conn size=24 align=8 ffi.rs:40     <- [warning suspected since:22] as Box<Conn>
            98 main leak 0xd000 core::cell::once::OnceCell<Conn> size=24 align=8 ffi.rs:8
            99 main reclaim 0xd000 Conn size=24 align=8 ffi.rs:40     <- [warning suspected since:24] as Box<Conn>
            # Of one layout, for all that is known, which is not enough.
            100 main leak 0xe000 Traced<Conn> ffi.rs:8
            101 main reclaim 0xe000 Conn size=24 align=8 ffi.rs:40    <- [warning suspected since:26] as Box<Conn>
            "#,
        );
    }

    #[test]
    fn a_lost_leak_could_explain_it() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Object ffi.rs:8 owner=Rc
            15 main lost 1 removed
            20 main reclaim 0x1000 Object ffi.rs:40 owner=Box     <? came back
            ",
        );
    }

    #[test]
    fn owners_of_nothing_share_an_address() {
        check_rule(
            &RULE,
            "
            10 main leak 0x8 () size=0 align=8 a.rs:8
            11 main leak 0x8 Other size=0 align=8 b.rs:8
            12 main leak 0x8 u64 size=0 align=8 c.rs:8 owner=Vec
            20 main reclaim 0x8 () size=0 align=8 a.rs:9
            21 main reclaim 0x8 Other size=0 align=8 b.rs:9
            22 main reclaim 0x8 u64 size=0 align=8 c.rs:9 owner=Vec
            ",
        );
    }

    #[test]
    fn types_are_looked_through_however_deep_they_nest() {
        let nested = |depth: usize, inner: &str| {
            format!("{}{inner}{}", "A<u8, ".repeat(depth), ">".repeat(depth))
        };
        assert!(ends_wide(&nested(40, "dyn Future<Output = u8>")));
        assert!(!ends_wide(&nested(40, "u8")));
        assert!(!ends_wide(&nested(40, "Box<dyn Future>")));
        assert!(!ends_wide("Map<dyn Fn(u8), u8>"));
        // Of what nobody wrote nothing is said.
        assert!(ends_wide(&nested(500, "u8")));
    }

    #[test]
    fn pointers_that_became_wider_or_narrower_on_the_way() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 app::Conn size=24 align=8 ffi.rs:8 owner=Arc
            11 main reclaim 0x1000 type=\"dyn app::Speak\" size=24 align=8 ffi.rs:9 owner=Arc
            20 main leak 0x2000 type=\"[u8; 4]\" size=4 align=1 ffi.rs:8
            21 main reclaim 0x2000 type=\"[u8]\" size=4 align=1 ffi.rs:9
            30 main leak 0x3000 type=\"[u8]\" size=4 align=1 ffi.rs:8 owner=Vec
            31 main reclaim 0x3000 type=\"[u8]\" size=4 align=1 ffi.rs:9
            # The vector had room for more than its length.
            40 main leak 0x4000 type=\"[u8]\" size=8 align=1 ffi.rs:8 owner=Vec
            41 main reclaim 0x4000 type=\"[u8]\" size=4 align=1 ffi.rs:9    <- went out at ffi.rs:8 as Vec<[u8]> (8 bytes, aligned to 1) and came back at ffi.rs:9 as Box<[u8]> (4 bytes, aligned to 1)
            ",
        );
    }

    #[test]
    fn the_likest_of_several_that_went_out_counts() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 A a.rs:8 owner=Box
            11 main leak 0x1000 A a.rs:8 owner=Rc
            12 main reclaim 0x1000 B a.rs:9 owner=Rc     <- [suspected] came back at a.rs:9 as Rc<B>
            20 main leak 0x2000 A a.rs:8 owner=Rc
            21 main leak 0x2000 A a.rs:8 owner=Arc
            22 main reclaim 0x2000 B a.rs:9 owner=Rc     <- [suspected] came back at a.rs:9 as Rc<B>
            # As more than are kept; and going out as something else is no coming back.
            30 main leak 0x3000 A a.rs:8 owner=Rc
            31 main leak 0x3000 B a.rs:8 owner=Rc
            32 main leak 0x3000 C a.rs:8 owner=Rc
            33 main reclaim 0x3000 D a.rs:9 owner=Rc
            ",
        );
    }

    #[test]
    fn a_layout_that_nobody_knows_differs_from_none() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 A a.rs:8
            11 main reclaim 0x1000 B size=8 align=8 a.rs:9    <- [suspected] as Box<B>
            20 main leak 0x2000 C size=8 align=8 a.rs:8
            21 main reclaim 0x2000 D a.rs:9                   <- [suspected] as Box<D>
            30 main leak 0x3000 E size=8 align=8 a.rs:8
            31 main reclaim 0x3000 F size=8 align=1 a.rs:9    <- [observed] as Box<F>
            # As nobody knows what.
            40 main leak 0x4000 E size=8 align=8 a.rs:8
            41 main reclaim 0x4000 ? a.rs:9
            ",
        );
    }

    #[test]
    fn what_has_no_block_comes_back_as_another_of_its_kind_but_not_as_something() {
        check_rule(
            &RULE,
            r#"
            10 main leak 0x8 () size=0 align=8 a.rs:8
            11 main reclaim 0x8 Other size=0 align=8 b.rs:9
            20 main leak 0x8 () size=0 align=8 a.rs:8
            21 main reclaim 0x8 Big size=8 align=8 b.rs:9     <- [observed] as Box<Big>
            # Two of them at once, one that is declared to be nobody, and one whose size is not known.
            30 main leak 0x8 () size=0 align=8 a.rs:8
            31 main leak 0x8 Other size=0 align=8 a.rs:8
            32 main submit 0 NOP 0x8
            33 main scheme 1 sentinel 0x1
            34 main leak 0x1 () size=0 align=1 a.rs:8
            35 main submit 1 NOP 0x1
            36 main leak 0x2000 type="Task<dyn Fn>" a.rs:8
            37 main submit 0 NOP 0x2000
            "#,
        );
    }

    #[test]
    fn lengths_are_lost_on_the_way() {
        check_rule(
            &RULE,
            r#"
            10 main leak 0x1000 type="[u8]" size=4 align=1 ffi.rs:8
            11 main reclaim 0x1000 type="[u8; 4]" size=4 align=1 ffi.rs:9
            20 main leak 0x2000 type="str" size=4 align=1 ffi.rs:8
            21 main reclaim 0x2000 type="[u8; 4]" size=4 align=1 ffi.rs:9
            "#,
        );
    }
}
