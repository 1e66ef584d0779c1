"""Bad inputs of reliability §5 that are no single request over HTTP: the test that has each, and what is not for us.

Framing and slow clients are met at the edge (tests/edge/), which is where they are stopped.
"""

from tests.bad_inputs import Elsewhere

_ODD, _SLOW = "edge/test_framing.py", "edge/test_slow.py"
_ONCE = "test_odd_framing_is_answered_once_and_smuggles_nothing"
_FORGED = "test_oauth.py"

ELSEWHERE = [
    *[Elsewhere(number, "framing", _ODD, _ONCE)
      for number in (*range(1, 15), 17, 19, *range(23, 28), 29, 31, 40, 41, 42, 43, 50, 51, 52)],
    Elsewhere(15, "a body shorter than its length", _ODD, "test_a_body_shorter_than_its_length_stores_nothing"),
    Elsewhere(16, "a body longer than its length", _ODD, "test_a_body_longer_than_its_length_is_its_own_request_and_no_more"),
    *[Elsewhere(number, "chunks", _ODD, "test_chunked_uploads_are_read_and_trailers_ignored") for number in (18, 20, 21)],
    Elsewhere(21, "chunks, without nginx", "test_receiver_stranger.py", "test_receiver_reads_chunks_and_refuses_what_is_too_large"),
    Elsewhere(22, "bare LF", _ODD, "test_bare_line_feeds_are_read_as_nginx_reads_them_and_split_nothing"),
    Elsewhere(28, "TLS on the plain port", _ODD, "test_tls_on_the_plain_port_is_answered_or_closed_at_once"),
    Elsewhere(30, "101 headers", _ODD, "test_101_headers_are_answered"),
    Elsewhere(32, "100 at once", _ODD, "test_a_hundred_requests_at_once_are_answered_in_order"),
    *[Elsewhere(number, "slow headers", _SLOW, "test_slow_headers_hold_nobody_up_and_are_cut") for number in (33, 34)],
    Elsewhere(35, "slow body", _SLOW, "test_slow_bodies_hold_nobody_up_and_those_that_stop_are_cut"),
    Elsewhere(36, "slow reader", _SLOW, "test_slow_readers_hold_nobody_up"),
    *[Elsewhere(number, "Expect", _ODD, "test_expect_is_handled") for number in (37, 38)],
    Elsewhere(39, "cut in the middle", _ODD, "test_a_connection_cut_in_the_middle_of_a_body_stores_nothing"),
    *[Elsewhere(number, "headers that lie", _ODD, "test_headers_by_which_a_client_could_lie_do_not_arrive") for number in (55, 56, 57, 58)],
    *[Elsewhere(number, "syntax", "test_bad_inputs.py", "test_every_case_of_json_is_answered_on_one_connection") for number in (125, 126)],
    *[Elsewhere(number, "escaped on pages", "test_admin.py", "test_hostile_words_of_cpos_ndw_and_operators_are_escaped_everywhere")
      for number in (156, 160)],
    Elsewhere(161, "formulas", "test_clock.py", "test_proof_has_no_formulas"),
    Elsewhere(223, "REMOVED comes back", "test_documents.py", "test_documents_a_removed_evse_that_comes_back_is_judged_by_what_the_cpo_sent"),
    Elsewhere(226, "many PUTs at once", "test_receive_locations.py", "test_many_puts_of_one_new_location_at_once_leave_the_newest"),
    Elsewhere(227, "many PATCHes at once", "test_receive_locations.py", "test_many_patches_of_different_evses_at_once_are_all_applied"),
    Elsewhere(228, "PUT while DELETE", "test_bad_inputs.py", "test_put_and_delete_of_one_tariff_at_once_are_one_after_the_other"),
    Elsewhere(262, "revoked", "test_authentication.py", "test_token_is_refused_from_the_moment_it_is_revoked"),
    Elsewhere(262, "expired", "test_authentication.py", "test_token_is_refused_once_it_has_expired"),
    Elsewhere(262, "tenant switched off", "test_authentication.py", "test_token_of_an_inactive_tenant_is_refused_and_comes_back_with_it"),
    Elsewhere(266, "every door", "test_isolation_matrix.py", "test_matrix_of_attempts_gets_no_byte_of_a_rival"),
    Elsewhere(268, "no algorithm", _FORGED, "test_forged_without_an_algorithm_is_refused"),
    Elsewhere(269, "our public key as a secret", _FORGED, "test_forged_with_our_public_key_as_a_secret_is_refused"),
    Elsewhere(270, "keys it brings along", _FORGED, "test_forged_with_a_key_the_token_brings_along_is_refused"),
    *[Elsewhere(number, "headers", _FORGED, "test_forged_header_under_a_genuine_signature_is_refused") for number in (271, 272)],
    *[Elsewhere(number, "claims", _FORGED, "test_forged_claims_under_a_genuine_signature_are_refused") for number in (273, 274, 275)],
    Elsewhere(276, "a client that is gone", _FORGED, "test_pull_ends_with_the_client"),
    Elsewhere(276, "before not_before", _FORGED, "test_pull_tokens_from_before_not_before_are_refused"),
    Elsewhere(277, "JWE", _FORGED, "test_forged_signature_or_body_that_was_touched_is_refused"),
    Elsewhere(278, "signatures", _FORGED, "test_forged_signature_or_body_that_was_touched_is_refused"),
    Elsewhere(284, "any depth", "test_serve.py", "test_pages_of_a_crawl"),
    Elsewhere(287, "more connections than one may have", _SLOW, "test_more_connections_than_an_address_may_have_are_429"),
    Elsewhere(288, "guessing", "test_limits.py", "test_token_endpoint_counts_wrong_clients_with_the_rest_and_takes_a_third_of_them"),
    Elsewhere(288, "odd characters", _FORGED, "test_token_endpoint_odd_characters_are_a_4xx"),
    Elsewhere(288, "https only", _FORGED, "test_token_endpoint_over_https_only_when_we_are_known_by_https"),
    Elsewhere(288, "operators' URLs", "test_addresses.py", "test_check_refuses_everything_else"),
    Elsewhere(288, "URLs of CPOs", "test_addresses.py", "test_check_source_refuses_everything_else"),
    Elsewhere(288, "names that lead inside", "test_addresses.py", "test_check_source_refuses_a_name_that_leads_inside"),
    Elsewhere(288, "rebinding", "test_sources.py", "test_a_resolver_that_answers_otherwise_the_next_time_changes_nothing"),
    Elsewhere(288, "redirects", "test_ndw.py", "test_ndw_redirect_is_not_followed"),
    Elsewhere(288, "redirects of CPOs", "test_sources.py", "test_no_redirect_is_followed"),
]  # fmt: skip
