//! A program whose functions are probed: what its file says of them, and what is made of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use anyhow::{Result, bail};

use super::super::look::functions::{Call, Function, Functions, Unfit, owned};
use super::super::look::pushes::{Layout, Pushes};
use super::super::look::{self, Look, Patience};
use crate::confined::Why;

/// A program's functions, and its lines.
#[derive(Debug)]
pub(in super::super) struct Program {
    /// Its path, as it is shown.
    pub(super) shown: String,
    /// The very file that was looked into: what lies under its name may be another one by now.
    pub(super) file: File,
    pub(in super::super) functions: Vec<Function>,
    /// Some of the functions whose first instruction cannot be probed.
    pub(super) refused: Vec<String>,
    /// There are more functions than are probed, or stretches of the standard library than are known.
    pub(super) is_capped: bool,
    /// Where it puts entries into submission queues, and how its arguments are read; nothing where it does not by the
    /// io-uring crate.
    pub(in super::super) pushes: Option<(Pushes, Layout)>,
    /// Why that is not probed although it uses the crate.
    pub(super) no_pushes: Option<String>,
    /// Where functions of the standard library lie that call these themselves: begin and end.
    shipped: BTreeMap<u64, u64>,
    /// Its file, which is asked for lines.
    file_says: RefCell<(Look, Patience)>,
}

/// What to do where there is nothing to probe.
const INSTEAD: &str = "build it without optimisation (`cargo build`, and no `opt-level` for its dependencies), or link \
                       the probe, which sees them in any build";

impl Program {
    /// Has a program's file looked into.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let shown = crate::safe::path(path);
        let file = match crate::symbols::file::open(path) {
            Ok(file) => file,
            Err(why) => bail!("{shown}: {why}"),
        };
        let (mut look, mut patience) = (Look::at(&file, look::ALL), Patience::default());
        let found = match look.functions(&mut patience) {
            Ok(Ok(found)) => found,
            Ok(Err(unfit)) => bail!("{}", refusal(unfit, &shown)),
            Err(why) => bail!("{shown}: {why}"),
        };
        let (pushes, no_pushes) = pushes(&found, &shown, &mut look, &mut patience);
        let Functions {
            mut functions,
            refused,
            shipped,
            has_symbols,
            is_capped,
            ..
        } = found;
        if functions.iter().all(|it| it.call == Call::Forget) && pushes.is_none() {
            let why = if !has_symbols {
                "it has no symbols (stripped)"
            } else if refused.is_empty() {
                "none of them is a function of its own in it: it never calls them, or was optimised, and has them in \
                 line"
            } else {
                "none of those that it has can be probed"
            };
            bail!(
                "{shown}: into_raw, from_raw and their kin cannot be probed, because {why}; {INSTEAD}"
            );
        }
        // Without them there are those of the symbols; that they are missing is said at the end.
        let _ = look.types(&mut functions, &mut patience);
        // Of every kind of value: only that of owners is of use.
        functions.retain_mut(owned);
        Ok(Self {
            shown,
            file,
            functions,
            refused,
            is_capped,
            pushes,
            no_pushes,
            shipped,
            file_says: RefCell::new((look, patience)),
        })
    }

    /// Whether a call was made by the standard library itself, on the way from one of these functions to another, or
    /// for ends of its own.
    pub(in super::super) fn is_shipped(&self, address: u64) -> bool {
        let before = self.shipped.range(..address).next_back();
        before.is_some_and(|(_, end)| address <= *end)
    }

    /// Why its debug information was not read to its end, so that types and lines are missing that it may say.
    pub(in super::super) fn failed(&self) -> Option<Why> {
        self.file_says.borrow().0.failed().cloned()
    }

    /// The line of a call, by where it returns to.
    pub(in super::super) fn line(&self, returns_to: u64) -> Option<(String, u32, u32)> {
        let mut file_says = self.file_says.borrow_mut();
        let (look, patience) = &mut *file_says;
        look.line(returns_to.checked_sub(1)?, patience)
    }
}

fn refusal(unfit: Unfit, shown: &str) -> String {
    match unfit {
        Unfit::NoElf => format!(
            "{shown} is no 64-bit ELF file: name the program itself, not a script or a tool that starts it"
        ),
        Unfit::Foreign => {
            "functions are probed on x86-64 only, by the registers that calls are made with"
                .to_owned()
        }
        Unfit::LinksProbe => format!(
            "{shown} links the probe, which sees who gives a pointer away and takes it back: record it without --uprobes"
        ),
    }
}

/// Where entries are put into queues, or why that cannot be probed although the program uses the crate.
fn pushes(
    found: &Functions,
    shown: &str,
    look: &mut Look,
    patience: &mut Patience,
) -> (Option<(Pushes, Layout)>, Option<String>) {
    let pushes = &found.pushes;
    if !pushes.uses_crate {
        return (None, None);
    }
    let why = if !pushes.functions.is_empty() {
        match look.layout(patience) {
            Ok(Some(layout)) => return (Some((pushes.clone(), layout)), None),
            Ok(None) => {
                "the program's debug information does not say where `SubmissionQueue` and `IoUring` of the io-uring \
                 crate have their fields (`tail`, `queue`, `sq`, `fd`): build it with debug information"
            }
            Err(why) => {
                let why = format!("the debug information of {shown} {why}: see below");
                return (None, Some(why));
            }
        }
    } else if pushes.is_refused {
        "the kernel refuses the first instruction of `SubmissionQueue::push_unchecked`"
    } else {
        "`SubmissionQueue::push_unchecked` of the io-uring crate is no function of its own in the program: it never \
         pushes, was optimised and has it in line, or has a version of the crate that takes entries by value"
    };
    (None, Some(why.to_owned()))
}
