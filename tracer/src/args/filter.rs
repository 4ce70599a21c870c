//! Filters as several commands take them.

use traces::filter::Filter;

/// A filter; what is wrong with it is shown below it.
pub(crate) fn filter(text: &str) -> Result<Filter, String> {
    Filter::parse(text).map_err(|error| {
        let lines = error.pointed().replace('\n', "\n  ");
        format!("\n  {lines}")
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::args::Cli;

    #[test]
    fn a_wrong_filter_is_pointed_at() {
        let error = Cli::try_parse_from(["tracer", "dump", "x", "--filter", "op:recv kidn:leak"]);
        let said = error.unwrap_err().to_string();
        let shown = "\n  op:recv kidn:leak\n          ^^^^ there is no field `kidn`; did you mean `kind`?\n";
        assert!(said.contains(shown), "{said}");
    }
}
