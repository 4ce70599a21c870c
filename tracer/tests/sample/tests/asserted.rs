//! Each bug in a scope of its own: every test here fails, with the screen of its assertion.

use sample::{cookies, rules};

macro_rules! asserted {
    ($($test:ident: $bug:path, $assertion:ident;)*) => {
        $(
            #[test]
            fn $test() {
                let scope = probe::scope();
                rules::for_scope(scope.handle());
                $bug();
                scope.$assertion();
            }
        )*
    };
}

asserted! {
    t01_unset_cookie: rules::t01_unset_cookie, assert_clean;
    t02_leftover_cookie: rules::t02_leftover_cookie, assert_clean;
    t03_stale_cookie: rules::t03_stale_cookie, assert_clean;
    t04_reused_identity: rules::t04_reused_identity, assert_clean;
    t05_cookie_in_flight_twice: rules::t05_cookie_in_flight_twice, assert_clean;
    t06_extra_completion: rules::t06_extra_completion, assert_clean;
    t07_reclaimed_in_flight: rules::t07_reclaimed_in_flight, assert_clean;
    t08_reclaimed_twice: cookies::reclaimed_twice, assert_balanced;
    t09_never_reclaimed: rules::t09_never_reclaimed, assert_no_leaks;
    t10_resumed_twice: rules::t10_resumed_twice, assert_resumed_once;
    t11_never_resumed: rules::t11_never_resumed, assert_resumed_once;
    t12_unknown_cookie: rules::t12_unknown_cookie, assert_clean;
    t13_wrong_owner: rules::t13_wrong_owner, assert_clean;
    t14_wrong_type: rules::t14_wrong_type, assert_clean;
    t15_ambiguous_cancel: rules::t15_ambiguous_cancel, assert_clean;
    t16_buffer_freed_in_flight: rules::t16_buffer_freed_in_flight, assert_clean;
    t17_overflow_stall: rules::t17_overflow_stall, assert_clean;
    t18_stranded_submission: rules::t18_stranded_submission, assert_clean;
    t19_buffer_id_lost: rules::t19_buffer_id_lost, assert_clean;
    t20_count_drift: rules::t20_count_drift, assert_balanced;
    t21_completion_read_twice: rules::t21_completion_read_twice, assert_clean;
    t22_owner_without_completion: rules::t22_owner_without_completion, assert_clean;
    t23_sentinel_clash: rules::t23_sentinel_clash, assert_clean;
    t24_result_lost: rules::t24_result_lost, assert_clean;
    t25_truncated_cookie: rules::t25_truncated_cookie, assert_clean;
    t26_overlapping_borrow: rules::t26_overlapping_borrow, assert_clean;
    t27_uninitialised_to_kernel: rules::t27_uninitialised_to_kernel, assert_clean;
}
