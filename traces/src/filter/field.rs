//! What can be asked for: the fields, what they are called, and what their values are.

/// What a term looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// The line.
    Text,
    /// Rule of a finding.
    Rule,
    /// Severity of a finding.
    Severity,
    /// Confidence of a finding.
    Confidence,
    /// Fingerprint of a finding.
    Fingerprint,
    /// Kind of an event.
    Kind,
    /// Operation code.
    Op,
    /// Word that travels.
    Cookie,
    /// Any address.
    Address,
    /// Generation, by type, number, address.
    Object,
    /// Name of a type.
    Type,
    /// Place in the source.
    Site,
    /// Function of the call stack.
    Function,
    /// Time since the first event.
    Time,
    /// Thread, by name or id.
    Thread,
    /// Lane.
    Lane,
    /// Process, by id or program.
    Process,
    /// Ring.
    Ring,
    /// Submission slot.
    Slot,
    /// Sequence number of an operation.
    Operation,
    /// Coroutine, by number or name.
    Coroutine,
    /// Scope, by number or name.
    Scope,
    /// Result, by number or name of the error.
    Result,
    /// Descriptor.
    Fd,
    /// Number of an event.
    Event,
}

/// A field as people type it.
#[derive(Clone, Copy, Debug)]
pub struct FieldHelp {
    /// Which.
    pub field: Field,
    /// What it is called.
    pub name: &'static str,
    /// What it is called as well.
    pub aliases: &'static [&'static str],
    /// What it is, with an example.
    pub help: &'static str,
}

const fn field(
    field: Field,
    name: &'static str,
    aliases: &'static [&'static str],
    help: &'static str,
) -> FieldHelp {
    FieldHelp {
        field,
        name,
        aliases,
        help,
    }
}

/// Every field.
#[rustfmt::skip]
pub static FIELDS: &[FieldHelp] = &[
    field(Field::Rule, "rule", &[], "the rule of a finding, by number or name; of an event: a finding rests on it. rule:T02 rule:leftover-cookie rule:any"),
    field(Field::Severity, "severity", &["level"], "error, warning or note. severity>=warning"),
    field(Field::Confidence, "confidence", &[], "proved, observed or suspected. confidence:proved"),
    field(Field::Fingerprint, "fingerprint", &[], "the fingerprint of a finding, by its first digits. fingerprint:0x3fa2*"),
    field(Field::Kind, "kind", &["event-kind"], "what happened, by the first word of the line. kind:submit kind:leak,reclaim"),
    field(Field::Op, "op", &["opcode"], "the operation code of a submission and of its completions. op:recv"),
    field(Field::Cookie, "cookie", &["user-data"], "the word that travels: in submissions, completions, resumes, and as the leaked pointer. cookie:0x55d0c2e0 cookie:0x55d0*"),
    field(Field::Address, "address", &["addr"], "any address: cookies, blocks, buffers, cells. address:0x55d0c000..0x55d0cfff"),
    field(Field::Object, "object", &["generation"], "by type, number, address and generation, each of which may be left out. object:Conn#12 object:#12@3 object:0x55d0c2e0@3"),
    field(Field::Type, "type", &[], "the type of what is leaked, taken back or spawned. type:Conn"),
    field(Field::Site, "site", &["file"], "the place in the source. site:conn.rs site:conn.rs:88"),
    field(Field::Function, "function", &["fn"], "a function of the recorded call stack. function:serve"),
    field(Field::Time, "time", &["at"], "since the first event, with ns, us, ms, s or min. time:1ms..2ms time>1.5s"),
    field(Field::Thread, "thread", &[], "the thread, by name or id. thread:worker thread:4711"),
    field(Field::Lane, "lane", &[], "the number of the record stream. lane:3"),
    field(Field::Process, "process", &["pid"], "the process, by id or program. process:4711 process:server"),
    field(Field::Ring, "ring", &[], "the ring, as its program numbers it, whoever saw it; with a k the number that the kernel's view has for it. ring:0 ring:k3"),
    field(Field::Slot, "slot", &[], "the submission slot. slot:7"),
    field(Field::Operation, "operation", &["sequence", "seq"], "the number of the operation in its ring. operation:4812"),
    field(Field::Coroutine, "coroutine", &[], "the coroutine, by number or by the name of what was spawned. coroutine:9"),
    field(Field::Scope, "scope", &[], "the scope, by number or name. scope:2 scope:cancel_test"),
    field(Field::Result, "result", &["res"], "what the kernel answered, as a number or the name of the error. result<0 result:ECANCELED"),
    field(Field::Fd, "fd", &[], "the descriptor. fd:7"),
    field(Field::Event, "event", &[], "the number of the event, as dump has it. event:40..60"),
    field(Field::Text, "text", &[], "a text in the line, as a plain word is. text:\"timed out\""),
];

impl Field {
    /// The field of a name.
    pub(super) fn named(name: &str) -> Option<Self> {
        FIELDS
            .iter()
            .find(|field| field.name == name || field.aliases.contains(&name))
            .map(|field| field.field)
    }

    /// All names that a field can be typed as.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        FIELDS
            .iter()
            .flat_map(|field| std::iter::once(field.name).chain(field.aliases.iter().copied()))
    }

    /// Whether it asks for findings.
    pub(super) fn is_of_findings(self) -> bool {
        matches!(
            self,
            Self::Rule | Self::Severity | Self::Confidence | Self::Fingerprint
        )
    }
}
