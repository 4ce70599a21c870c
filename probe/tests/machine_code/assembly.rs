//! Assembly as the compiler writes it, function by function. x86-64 (AT&T) and aarch64.

use std::collections::{BTreeMap, HashSet, VecDeque};

/// The functions of a program, and the names that stand for others of them.
pub(crate) struct Assembly {
    functions: BTreeMap<String, Vec<String>>,
    aliases: BTreeMap<String, String>,
}

/// A way through a function.
pub(crate) struct Way {
    /// Conditional branches on it, taken or not.
    pub(crate) branches: usize,
    /// All instructions on it.
    pub(crate) path: Vec<String>,
}

impl Assembly {
    pub(crate) fn parse(text: &str) -> Self {
        let mut assembly = Self {
            functions: BTreeMap::new(),
            aliases: BTreeMap::new(),
        };
        let mut current: Option<(String, Vec<String>)> = None;
        for line in text
            .lines()
            .map(|line| line.split('#').next().unwrap_or("").trim_end())
        {
            let word = line.trim();
            if word.starts_with(".Lfunc_end") {
                assembly.functions.extend(current.take());
            } else if let Some((alias, of)) = alias(word) {
                assembly.aliases.insert(alias, of);
            } else if let Some(name) = word.strip_suffix(':').filter(|_| !line.starts_with('\t')) {
                match &mut current {
                    Some((_, body)) => body.push(format!("{name}:")),
                    // Local labels begin data, not functions.
                    None if !name.starts_with(".L") => {
                        current = Some((name.to_owned(), Vec::new()));
                    }
                    None => {}
                }
            } else if !word.is_empty()
                && !word.starts_with('.')
                && let Some((_, body)) = &mut current
            {
                body.push(word.replace('\t', " "));
            }
        }
        assembly
    }

    /// Functions that can be asked for.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let aliases = self.aliases.keys();
        self.functions.keys().chain(aliases).map(String::as_str)
    }

    fn body(&self, name: &str) -> Option<&[String]> {
        let name = self.aliases.get(name).map_or(name, String::as_str);
        self.functions.get(name).map(Vec::as_slice)
    }

    /// The instructions of a function, with names of the compiler's own making replaced by numbers.
    pub(crate) fn instructions(&self, name: &str) -> Vec<String> {
        let body = self
            .body(name)
            .unwrap_or_else(|| panic!("no function {name}"));
        let mut seen = Vec::new();
        body.iter().map(|line| renamed(line, &mut seen)).collect()
    }

    /// The way to a return with the fewest conditional branches: the one that a hook takes while nothing
    /// is recorded, since whoever records branches again. Goes into functions of this program that are
    /// called, and nowhere else: what calls into a library is no short way.
    pub(crate) fn shortest(&self, name: &str) -> Way {
        let mut ways = VecDeque::from([(0, vec![(name.to_owned(), 0)], Vec::<String>::new())]);
        let mut seen = HashSet::new();
        // Ways are taken up in the order of their branches: one more goes to the end, else to the front.
        while let Some((branches, mut stack, mut path)) = ways.pop_front() {
            let Some((function, at)) = stack.pop() else {
                return Way { branches, path };
            };
            if !seen.insert((stack.clone(), function.clone(), at)) {
                continue;
            }
            let body = self.body(&function).unwrap_or_default();
            let Some(line) = body.get(at) else { continue };
            let (mnemonic, operand) = line.split_once(' ').unwrap_or((line, ""));
            let operand = operand.trim().rsplit([' ', ',']).next().unwrap_or("");
            let label = body
                .iter()
                .position(|line| line.strip_suffix(':') == Some(operand));
            if !line.ends_with(':') {
                path.push(line.clone());
            }
            let mut go = |frames: &[(String, usize)], more: usize| {
                let way = (branches + more, [&stack[..], frames].concat(), path.clone());
                if more == 0 {
                    ways.push_front(way);
                } else {
                    ways.push_back(way);
                }
            };
            let next = (function.clone(), at + 1);
            match step(mnemonic) {
                Step::Return => go(&[], 0),
                Step::Call if self.body(operand).is_some() => {
                    go(&[next, (operand.to_owned(), 0)], 0);
                }
                Step::Call | Step::Trap => {}
                Step::Jump => match label {
                    Some(label) => go(&[(function, label)], 0),
                    None if self.body(operand).is_some() => go(&[(operand.to_owned(), 0)], 0),
                    None => {}
                },
                Step::Branch => {
                    go(&[next], 1);
                    if let Some(label) = label {
                        go(&[(function, label)], 1);
                    }
                }
                Step::On => go(&[next], 0),
            }
        }
        panic!("{name} never returns without a call into a library");
    }
}

enum Step {
    On,
    Branch,
    Jump,
    Call,
    Return,
    Trap,
}

fn step(mnemonic: &str) -> Step {
    match mnemonic {
        "ret" | "retq" => Step::Return,
        "ud2" | "brk" | "udf" => Step::Trap,
        "call" | "callq" | "bl" | "blr" => Step::Call,
        "jmp" | "jmpq" | "b" | "br" => Step::Jump,
        "cbz" | "cbnz" | "tbz" | "tbnz" => Step::Branch,
        _ if mnemonic.starts_with('j') || mnemonic.starts_with("b.") => Step::Branch,
        _ => Step::On,
    }
}

/// `.set a, b` and `a = b`: the compiler found two functions to be the same.
fn alias(line: &str) -> Option<(String, String)> {
    let (alias, of) = match line.strip_prefix(".set") {
        Some(rest) => rest.split_once(',')?,
        None => line.split_once(" = ")?,
    };
    Some((alias.trim().to_owned(), of.trim().to_owned()))
}

/// Replaces local labels and hashes, which differ from program to program, by the order of their coming.
fn renamed(line: &str, seen: &mut Vec<String>) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_.$".contains(c);
    let mut out = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(is_word) {
        let (before, from) = rest.split_at(start);
        let (word, after) = from.split_at(from.find(|c| !is_word(c)).unwrap_or(from.len()));
        out += before;
        let is_own = [".L", "_ZN", "_R", "GCC_except_table"];
        if is_own.iter().any(|prefix| word.starts_with(prefix)) {
            let known = seen.iter().position(|other| other == word);
            let number = known.unwrap_or_else(|| {
                seen.push(word.to_owned());
                seen.len() - 1
            });
            // A function keeps its name, all but the hash.
            let name = word.rsplit_once("17h").map_or("", |(name, _)| name);
            out += &format!("{name}<{number}>");
        } else {
            out += word;
        }
        rest = after;
    }
    out + rest
}
