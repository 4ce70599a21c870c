//! Events as a table: commas, quotes where they are needed (RFC 4180), a head that names the columns.

use std::io::{self, Write};

use crate::event::{Event, What};
use crate::filter::{Prepared, ring};
use crate::trace::Trace;

const HEAD: &str =
    "event,time_ns,pid,thread,kind,object,ring,operation,cookie,coroutine,result,site,text";

pub(super) fn write(trace: &Trace, filter: &Prepared, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{HEAD}")?;
    for event in trace.events() {
        if filter.event(trace, event) {
            let fields = fields(trace, event).map(|field| quoted(&field));
            writeln!(out, "{}", fields.join(","))?;
        }
    }
    Ok(())
}

fn fields(trace: &Trace, event: &Event) -> [String; 13] {
    let link = trace.link(event.id);
    let names = trace.names();
    let pid = trace
        .recording()
        .process(event.process)
        .map_or(0, |it| it.pid);
    let object = match link.generation {
        0 => String::new(),
        generation => names.generation(event.process, link.address, generation),
    };
    let (cookie, result) = match &event.what {
        What::Submit(submission) => (Some(submission.entry.cookie), None),
        What::Complete(completion) => (Some(completion.cookie), Some(completion.res)),
        What::Resume { by, .. } => (by.map(|(_, cookie)| cookie), None),
        What::Enter { result, .. } => (None, Some(*result)),
        _ => (None, None),
    };
    let coroutine = match &event.what {
        What::Spawn { coroutine, .. }
        | What::Resume { coroutine, .. }
        | What::Suspend { coroutine, .. }
        | What::Done { coroutine }
        | What::CoroutineDrop { coroutine }
        | What::Wake { coroutine } => Some(*coroutine),
        _ => link.coroutine,
    };
    let ring = link.operation.map(|it| it.0).or_else(|| ring(event));
    let site = match names.site(event.site()) {
        unknown if unknown == "?" => String::new(),
        site => site,
    };
    let or_nothing = |number: Option<String>| number.unwrap_or_default();
    [
        event.id.0.to_string(),
        event.at_ns.to_string(),
        pid.to_string(),
        names.thread(event.lane),
        event.what.kind().to_owned(),
        object,
        or_nothing(ring.map(|it| it.to_string())),
        or_nothing(link.operation.map(|it| it.1.to_string())),
        or_nothing(cookie.map(|cookie| format!("{cookie:#x}"))),
        or_nothing(coroutine.map(|it| it.to_string())),
        or_nothing(result.map(|it| it.to_string())),
        site,
        trace.describe(event),
    ]
}

/// A field as it stands in the file. What a spreadsheet would take for a formula is a text.
fn quoted(field: &str) -> String {
    let is_number = field.parse::<i64>().is_ok();
    let is_formula = field.starts_with(['=', '+', '-', '@']) && !is_number;
    let field = if is_formula {
        format!("'{field}")
    } else {
        field.to_owned()
    };
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn fields_stay_fields_and_formulas_texts() {
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(quoted("=1+1"), "'=1+1");
        assert_eq!(quoted("-125"), "-125");
        assert_eq!(quoted("-x"), "'-x");
    }
}
