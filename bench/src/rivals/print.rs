//! The table, as text and as Markdown.

use super::{Rival, WORKLOADS};

type Times = [f64; WORKLOADS.len()];

/// For people.
pub(super) fn text(rivals: &[Rival], best: &[Times]) {
    println!(
        "the same io_uring program under other tools: ns per operation, and ratio to the first"
    );
    print!("  {:<30}", "");
    for (_, title) in WORKLOADS {
        print!(" {title:>28}");
    }
    println!();
    for (rival, times) in rivals.iter().zip(best) {
        print!("  {:<30}", rival.name.replace('`', ""));
        match &rival.way {
            Ok(_) => {
                for (ns, bare) in times.iter().zip(&best[0]) {
                    print!(" {:>17.1} {:>10}", ns, ratio(ns / bare));
                }
            }
            Err(why) => print!(" {why}"),
        }
        println!();
    }
    println!();
}

/// For the README: ratios, and nanoseconds of the bare program.
pub(super) fn markdown(rivals: &[Rival], best: &[Times]) {
    print!("| |");
    for (_, title) in WORKLOADS {
        print!(" {title} |");
    }
    println!("\n|---|{}", "---|".repeat(WORKLOADS.len()));
    for (index, (rival, times)) in rivals.iter().zip(best).enumerate() {
        print!("| {} |", rival.name);
        match &rival.way {
            Ok(_) => {
                for (ns, bare) in times.iter().zip(&best[0]) {
                    if index == 0 {
                        print!(" {ns:.0} ns |");
                    } else {
                        print!(" {}× |", ratio(ns / bare));
                    }
                }
            }
            Err(why) => print!(" {why} |{}", " |".repeat(WORKLOADS.len() - 1)),
        }
        println!();
    }
    println!("\n{}", machine());
}

/// As many digits as mean something.
fn ratio(ratio: f64) -> String {
    if ratio < 10.0 {
        format!("{ratio:.2}")
    } else {
        format!("{ratio:.0}")
    }
}

/// What it ran on.
fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("an unnamed processor", |rest| {
            rest.trim_start_matches([' ', '\t', ':'])
        });
    let kernel = read("/proc/sys/kernel/osrelease");
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{model}, {count} processors, Linux {}", kernel.trim())
}
