//! Every test of plain sockets once more, over TLS.

use crate::tls_files::over_tls;

macro_rules! again {
    ($($module:ident: $($test:ident)+;)+) => {
        $(mod $module {
            $(#[test]
            fn $test() {
                super::over_tls(super::super::$module::$test);
            })+
        })+
    };
}

again! {
    closing:
        a_close_is_echoed_with_code_and_reason
        what_came_before_a_close_is_answered_and_nothing_after
        a_session_closes_behind_what_it_sent
        a_close_frame_arrives_although_the_client_goes_on_sending
        a_client_that_ignores_the_close_is_left_within_two_seconds
        a_session_that_stops_without_a_word_closes_with_1011
        a_panic_ends_one_session_only
        a_vanished_client_stops_its_session;
    flow:
        a_session_lives_on_and_resets_a_client_that_does_not_read
        the_hard_bound_resets_without_the_session
        a_close_that_can_not_be_flushed_is_a_reset_in_two_seconds
        the_kernel_cuts_a_client_that_never_reads
        a_slow_client_gets_everything_in_order_and_the_session_learns_of_it
        a_ping_flood_is_a_breach
        pongs_do_not_pile_up
        a_paused_session_reads_nothing_until_it_resumes;
    fragments:
        endless_empty_fragments_end_soon
        endless_small_fragments_end_soon
        a_message_has_no_more_room_than_a_frame;
    framing:
        a_frame_may_come_byte_by_byte_and_many_in_one_packet
        pings_are_answered_with_their_payload
        an_oversize_frame_ends_at_its_header;
    handshake:
        every_refusal_has_its_status
        good_upgrades_pass
        listed_origins_are_the_only_ones
        rest_answers_beside_it
        a_first_frame_may_ride_with_the_handshake
        a_slow_handshake_is_closed_in_time
        over_the_limit_there_is_503_until_somebody_leaves;
    headers:
        handshakes_that_do_not_match
        what_may_stand_once_does_not_stand_twice
        handshakes_that_are_unusual_but_good;
    stopping:
        a_drain_refuses_the_new_and_waits_for_the_old
        stopping_ends_sessions_that_stayed;
}
