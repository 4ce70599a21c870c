//! The tools of the matrix: what each is called, what it looks at, and what it prints of itself.

/// A tool, and so a column.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Tool {
    /// No tool: the tests as they are.
    Plain,
    /// AddressSanitizer, with its search for leaks.
    Asan,
    /// LeakSanitizer alone.
    Lsan,
    /// ThreadSanitizer.
    Tsan,
    /// MemorySanitizer.
    Msan,
    /// The undefined-behaviour sanitizer of the C compiler, over C and C++ parts.
    Ubsan,
    /// Valgrind's Memcheck.
    Memcheck,
    /// Miri, an interpreter.
    Miri,
    /// The standard library with its debug assertions (`cargo careful`).
    Careful,
    /// `tracer record`, judged.
    Tracer,
}

impl Tool {
    /// As the command line writes it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Asan => "asan",
            Self::Lsan => "lsan",
            Self::Tsan => "tsan",
            Self::Msan => "msan",
            Self::Ubsan => "ubsan",
            Self::Memcheck => "memcheck",
            Self::Miri => "miri",
            Self::Careful => "careful",
            Self::Tracer => "tracer",
        }
    }

    /// The value of rustc's `-Zsanitizer`, and whether the standard library has to be built with it:
    /// current compilers refuse to mix the two where the tool has to see every access.
    pub(super) fn sanitizer(self) -> Option<(&'static str, bool)> {
        match self {
            Self::Asan => Some(("address", false)),
            Self::Lsan => Some(("leak", false)),
            Self::Tsan => Some(("thread", true)),
            Self::Msan => Some(("memory", true)),
            _ => None,
        }
    }

    /// The variable of a runtime, and what it is told beside what the user tells it. `leaks_apart` says
    /// that leaks have a column of their own.
    pub(super) fn runtime_options(self, leaks_apart: bool) -> Option<(&'static str, String)> {
        let (name, options) = match self {
            Self::Asan => (
                "ASAN_OPTIONS",
                format!(
                    "detect_stack_use_after_return=1:detect_leaks={}",
                    u8::from(!leaks_apart)
                ),
            ),
            Self::Tsan => ("TSAN_OPTIONS", "second_deadlock_stack=1".to_owned()),
            Self::Ubsan => ("UBSAN_OPTIONS", "print_stacktrace=1".to_owned()),
            _ => return None,
        };
        Some((name, options))
    }

    /// What a reader of the column has to know.
    pub(super) fn remark(self) -> Option<&'static str> {
        match self {
            Self::Ubsan => Some(
                "looks at C and C++ parts alone (CFLAGS, CXXFLAGS), as their crates build them: Rust has no \
                 such sanitizer",
            ),
            Self::Asan | Self::Tsan | Self::Lsan => Some(
                "C and C++ parts are built without it; of them only what they allocate is seen",
            ),
            Self::Msan => Some(
                "C and C++ parts are built without it: what they write counts as uninitialised",
            ),
            Self::Miri => {
                Some("knows neither io_uring nor code in C: tests that need them are `n/a`")
            }
            Self::Plain | Self::Memcheck | Self::Careful | Self::Tracer => None,
        }
    }
}

impl Tool {
    /// How many times as long a test takes under it as alone, where that is so many that a limit of time is met.
    pub(super) fn times_slower(self) -> Option<&'static str> {
        match self {
            Self::Memcheck => Some("20 to 50 times"),
            Self::Miri => Some("some hundred times"),
            Self::Tsan => Some("5 to 15 times"),
            Self::Asan | Self::Msan => Some("2 to 3 times"),
            Self::Plain | Self::Lsan | Self::Ubsan | Self::Careful | Self::Tracer => None,
        }
    }
}

/// Flags of Valgrind: only what is certainly lost is an error.
pub(super) const MEMCHECK: [&str; 8] = [
    "--quiet",
    "--error-exitcode=99",
    "--leak-check=full",
    "--show-leak-kinds=definite",
    "--errors-for-leak-kinds=definite",
    "--num-callers=30",
    // Whole paths, so that the program's own places can be told from the standard library's.
    "--fullpath-after=",
    "--child-silent-after-fork=yes",
];
