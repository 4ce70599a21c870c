//! Owners that a slot may hold for good, in a program of which nothing but its functions is known.

use super::super::testing::check_rule;
use super::RULE;

#[test]
fn what_a_slot_holds_that_may_be_filled_once_is_asked_where_calls_are_all_that_is_known() {
    let of = |end: &str, arrow: &str, then: &str| {
        let process = "pid=77 start=9 capture";
        check_rule(
            &RULE,
            &format!(
                "
                process 0 {process}=preload {end}
                process 1 {process}=uprobes
                lane main tid=77
                lane calls process=1 tid=77
                1 main ring-create 0 sq=4 cq=8 in-place
                10 calls leak 0x1000 Op op.rs:8     {arrow}
                20 main submit 0 READ 0x1000 slot=0 addr=0x9000 len=64
                21 main complete 0 0x1000 64
                30 main submit 0 NOP 0x7 slot=1 fd=1
                31 main complete 0 0x7 0
                40 main submit 0 NOP 0x7 slot=2 fd=1
                41 main complete 0 0x7 0
                {then}
                "
            ),
        );
    };
    let taken = "its completion was taken";
    let (asked, told) = (format!("<? {taken}"), format!("<- [observed] {taken}"));
    let (killed, exits) = ("end=killed:9", "end=exit:0");
    of(killed, &asked, "");
    of(exits, &told, "50 main ring-drop 0");
    let round = "60 main submit 0 NOP 0x7 slot=1 fd=1\n61 main complete 0 0x7 0
        62 main submit 0 NOP 0x7 slot=2 fd=1\n63 main complete 0 0x7 0";
    let again = "50 main submit 0 READ 0x1000 slot=0 addr=0x9000 len=64 poisoned
        51 main complete 0 0x1000 64";
    let again = format!("{again}\n{round}");
    of(killed, &asked, &again);
    of(exits, &asked, &again);
    // Its slot was filled for another, or by itself once more.
    let other =
        format!("50 main submit 0 NOP 0x7 slot=0 fd=1 set\n51 main complete 0 0x7 0\n{round}");
    of(killed, &told, &other);
    let anew = again.replace("poisoned", "set");
    of(killed, &format!("<- [suspected] {taken}"), &anew);
}
