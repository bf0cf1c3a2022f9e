import itertools

import pytest
from aioice import stun
from hypothesis import given, settings
from hypothesis import strategies as st

from helper.relay import turn_messages as turn
from helper.relay.channels import AT_ONCE
from helper.relay.errors import RelayRefused, RelayUnreachable
from helper.relay.permissions import BATCH
from helper.relay.turn_actions import Allocated, Bound, Doubtful, Failed, Received, Released, Transmit, Unbound
from helper.relay.turn_core import ANSWER_DUE, DOUBT_AFTER, KEEPALIVE_AFTER, State, TurnCore
from protocol.addresses import Address
from protocol.stun import MAGIC_COOKIE, long_term_key
from tests.unit.helper.relay.turn_script import (
    MAPPED,
    OTHER,
    PASSWORD,
    PEER,
    RELAYED,
    RELAYED_V6,
    allocated,
    bound,
    challenged,
    grant,
    key_of,
    only,
    permitted,
    refuse,
    requests,
    succeed,
)


def test_allocates_with_the_realm_and_nonce_of_the_first_refusal() -> None:
    core = TurnCore("relay.test", "alice", PASSWORD, reliable=False)
    first = only(core.start(0.0))
    assert first.message_method == stun.Method.ALLOCATE
    assert first.attributes == {"REQUESTED-TRANSPORT": 0x11000000}

    second = only(core.receive(refuse(first, 401, nonce=b"n1", realm="covey"), 0.1))
    assert second.attributes["NONCE"] == b"n1"
    assert second.check_message_integrity(long_term_key("alice", "covey", PASSWORD))
    assert core.receive(grant(second), 0.2) == [Allocated(RELAYED, MAPPED)]
    assert (core.state, core.relayed) == (State.ALLOCATED, RELAYED)


def test_repeats_an_unanswered_request_and_gives_up_after_three_seconds() -> None:
    core = TurnCore("relay.test", "alice", PASSWORD, reliable=False)
    (sent,) = core.start(0.0)
    times = []
    while core.deadline is not None and core.deadline < 3.0:
        times.append(round(core.deadline, 3))
        assert core.time_passed(core.deadline) == [sent]
    assert times == [0.1, 0.3, 0.7, 1.5]
    (failed,) = core.time_passed(3.0)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, RelayUnreachable)
    assert core.deadline is None


def test_repeats_nothing_on_a_stream() -> None:
    core = TurnCore("relay.test", "alice", PASSWORD, reliable=True)
    core.start(0.0)
    assert core.deadline == 8.0


def test_takes_a_new_nonce_but_not_for_ever() -> None:
    core, request = challenged()
    for number in itertools.count():
        actions = core.receive(refuse(request, 438, nonce=b"n%d" % number, realm="covey"), 0.0)
        if isinstance(actions[0], Failed):
            assert number == 2
            return
        request = only(actions)
        assert request.attributes["NONCE"] == b"n%d" % number


@pytest.mark.parametrize("code", [401, 403, 486, 508, 500, 699])
def test_a_refused_allocation_is_told_with_its_code(code: int) -> None:
    core, request = challenged()
    (failed,) = core.receive(refuse(request, code, nonce=b"n1", realm="covey"), 0.0)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, RelayRefused)
    assert failed.error.stun_error == code
    assert PASSWORD not in str(failed.error)
    assert not failed.is_mismatch


def test_a_mismatch_asks_for_another_port() -> None:
    core, request = challenged()
    (failed,) = core.receive(refuse(request, 437), 0.0)
    assert isinstance(failed, Failed)
    assert failed.is_mismatch


def test_asks_for_ipv6_where_there_is_no_ipv4() -> None:
    core, request = challenged()
    (sent,) = core.receive(refuse(request, 440), 0.0)
    assert isinstance(sent, Transmit)
    assert turn.IPV6_FAMILY in sent.data
    assert core.receive(grant(turn.parse(sent.data), relayed=RELAYED_V6), 0.0) == [Allocated(RELAYED_V6, MAPPED)]
    core.permit(PEER.ip, 0.0)  # of the other family
    assert core.time_passed(0.0) == []


def test_an_answer_with_a_wrong_signature_changes_nothing() -> None:
    core, request = challenged()
    forged = succeed(request, "guessed", LIFETIME=600, XOR_RELAYED_ADDRESS=("6.6.6.6", 6), XOR_MAPPED_ADDRESS=("6.6.6.6", 6))
    assert core.receive(forged, 0.0) == []
    assert core.receive(grant(request), 0.0) == [Allocated(RELAYED, MAPPED)]
    assert core.receive(grant(request), 0.0) == []  # a late double


def test_an_allocation_without_an_address_is_none() -> None:
    core, request = challenged()
    (failed,) = core.receive(succeed(request, LIFETIME=600), 0.0)
    assert isinstance(failed, Failed)


@pytest.mark.parametrize(("lifetime", "refreshed_at"), [(600, 540.0), (100, 50.0)])
def test_refreshes_before_the_lifetime_ends_although_data_comes(lifetime: int, refreshed_at: float) -> None:
    core = allocated(lifetime=lifetime)
    core.heard_at = 1000.0
    assert core.deadline == refreshed_at
    assert only(core.time_passed(refreshed_at)).message_method == stun.Method.REFRESH


def test_an_answer_to_a_request_that_was_sent_twice_measures_nothing() -> None:
    core = allocated()
    request = only(core.check(10.0))
    assert core.deadline is not None
    core.time_passed(core.deadline)
    core.receive(succeed(request, LIFETIME=600), 11.0)
    assert core.round_trip == 0.0


def test_silence_is_answered_by_a_refresh_and_its_silence_by_giving_up() -> None:
    core = allocated()
    assert core.deadline == KEEPALIVE_AFTER
    request = only(core.time_passed(KEEPALIVE_AFTER))
    assert request.message_method == stun.Method.REFRESH
    core.receive(succeed(request, LIFETIME=600), KEEPALIVE_AFTER + 0.25)
    assert core.round_trip == 0.25 * 0.25, "beside that of the allocation, which was at once"
    again = 2 * KEEPALIVE_AFTER + 0.25
    assert core.deadline == again
    core.time_passed(again)
    actions = [action for tenths in range(1, 40) for action in core.time_passed(again + tenths / 10)]
    assert actions.count(Doubtful()) == 1
    assert isinstance(actions[-1], Failed)
    assert core.state is State.ENDED


def test_a_relay_that_carries_nothing_back_is_asked_soon_and_doubted_long_before_it_is_given_up() -> None:
    core = allocated()
    permitted(core)
    core.heard_at = 10.0
    core.send(PEER, b"data", 11.0)
    core.send(PEER, b"data", 11.2)
    assert core.deadline == 11.0 + ANSWER_DUE
    assert only(core.time_passed(core.deadline)).message_method == stun.Method.REFRESH
    actions = [action for tenths in range(1, 10) for action in core.time_passed(11.0 + ANSWER_DUE + tenths / 10)]
    assert actions.count(Doubtful()) == 1
    assert not any(isinstance(action, Failed) for action in actions)


def test_a_relay_that_carries_something_back_is_not_doubted() -> None:
    core = allocated()
    permitted(core)
    core.heard_at = 10.0
    core.send(PEER, b"data", 11.0)
    core.time_passed(11.0 + ANSWER_DUE)
    core.heard_at = 11.4  # a peer's data, of which the shell tells
    assert Doubtful() not in core.time_passed(11.0 + ANSWER_DUE + DOUBT_AFTER)


def test_an_allocation_that_the_server_forgot_is_lost() -> None:
    core = allocated()
    (failed,) = core.receive(refuse(only(core.time_passed(KEEPALIVE_AFTER)), 437), KEEPALIVE_AFTER)
    assert isinstance(failed, Failed)


def test_icmp_is_believed_when_it_lasts() -> None:
    core = allocated()
    assert only(core.unreachable(1.0)).message_method == stun.Method.REFRESH
    assert core.unreachable(1.1) == []
    assert isinstance(core.unreachable(1.3)[0], Failed)


def test_icmp_is_not_believed_against_an_answer() -> None:
    core = allocated()
    request = only(core.unreachable(1.0))
    core.receive(succeed(request, LIFETIME=600), 1.05)
    assert only(core.unreachable(1.3)).message_method == stun.Method.REFRESH
    assert core.state is State.ALLOCATED


def test_many_permissions_go_in_few_requests_and_are_renewed_together() -> None:
    core = allocated()
    ips = [Address.parse(f"192.0.2.{number}:1").ip for number in range(BATCH + 5)]
    for ip in ips * 2:
        core.permit(ip, 0.0)
    sent = requests(core.time_passed(0.0))
    assert [message.message_method for message in sent] == [stun.Method.CREATE_PERMISSION] * 2
    for message in sent:
        core.receive(succeed(message), 0.0)
    core.forget(ips[0])
    core.heard_at = 239.0
    assert core.deadline == 240.0
    assert len(requests(core.time_passed(240.0))) == 2


def test_one_forbidden_address_does_not_take_the_others_with_it() -> None:
    core = allocated()
    core.permit(PEER.ip, 0.0)
    core.permit(OTHER.ip, 0.0)
    assert core.receive(refuse(only(core.time_passed(0.0)), 403), 0.0) == []
    first, second = requests(core.time_passed(0.0))
    core.receive(refuse(first, 403), 0.0)
    core.receive(succeed(second), 0.0)
    assert (core.permissions.is_granted(PEER.ip), core.permissions.is_granted(OTHER.ip)) == (False, True)
    core.heard_at = 1.0
    assert core.time_passed(1.0) == []  # no storm
    assert core.permissions.deadline == 60.0


def test_credentials_that_ran_out_cost_new_peers_and_nothing_else() -> None:
    core = allocated()
    core.permit(PEER.ip, 0.0)
    core.permit(OTHER.ip, 0.0)
    both = only(core.time_passed(0.0))
    first, second = requests(core.receive(refuse(both, 401, nonce=b"n1", realm="covey"), 1.0))
    core.receive(succeed(first), 1.0)
    assert core.receive(refuse(second, 401, nonce=b"n1", realm="covey"), 1.0) == []
    assert core.state is State.ALLOCATED
    assert [core.permissions.is_granted(peer.ip) for peer in (PEER, OTHER)].count(True) == 1


def test_what_is_sent_too_early_waits_for_the_permission() -> None:
    core = allocated()
    for number in range(10):
        assert core.send(PEER, bytes((number,)), 0.0) == []
    core.permit(PEER.ip, 0.0)
    sent = requests(core.receive(succeed(only(core.time_passed(0.0))), 0.1))
    assert [message.attributes["DATA"] for message in sent] == [bytes((number,)) for number in range(2, 10)]
    assert {message.attributes["XOR-PEER-ADDRESS"] for message in sent} == {(PEER.host, PEER.port)}
    assert {message.message_class for message in sent} == {stun.Class.INDICATION}
    assert core.send(Address.parse("[2001:db8::9]:1"), b"x", 0.1) == []


def test_sends_by_the_channel_once_it_is_bound() -> None:
    core = allocated()
    permitted(core)
    core.bind(PEER, 0.0)
    request = only(core.time_passed(0.0))
    assert core.send(PEER, b"abc", 0.0)[0] != Transmit(b"\x40\x00\x00\x03abc")
    assert core.receive(succeed(request), 0.0) == [Bound(PEER, 0x4000)]
    assert core.send(PEER, b"abc", 0.0) == [Transmit(b"\x40\x00\x00\x03abc")]
    assert core.channels.peer_of(0x4000) == PEER


def test_binds_a_channel_again_in_time() -> None:
    core = allocated()
    bound(core)
    core.heard_at, core.permissions = 479.0, type(core.permissions)()
    assert core.deadline == 480.0
    request = only(core.time_passed(480.0))
    assert request.message_method == stun.Method.CHANNEL_BIND
    assert core.receive(refuse(request, 400), 480.0) == [Unbound(PEER)]


def test_a_channel_given_up_comes_back_with_its_number() -> None:
    core = allocated()
    number = bound(core)
    core.unbind(PEER)
    assert core.channels.number_of(PEER) is None
    assert core.bind(PEER, 10.0) == [Bound(PEER, number)]
    assert bound(core, OTHER) == number + 1


def test_after_a_new_allocation_channels_are_bound_a_few_at_a_time() -> None:
    core = allocated()
    for port in range(1, AT_ONCE + 11):
        core.bind(Address(PEER.ip, port), 0.0)
    sent = requests(core.time_passed(0.0))
    assert len(sent) == AT_ONCE
    core.receive(succeed(sent[0]), 0.0)
    assert core.deadline == 0.0
    assert len(requests(core.time_passed(0.0))) == 1


def test_data_indications_count_only_from_permitted_addresses() -> None:
    core = allocated()
    indication = stun.Message(stun.Method.DATA, stun.Class.INDICATION)
    indication.attributes.update({"XOR-PEER-ADDRESS": (PEER.host, PEER.port), "DATA": b"hello"})
    assert core.receive(bytes(indication), 0.0) == []
    permitted(core)
    assert core.receive(bytes(indication), 0.0) == [Received(PEER, b"hello")]
    del indication.attributes["DATA"]
    assert core.receive(bytes(indication), 0.0) == []


def test_a_new_password_is_used_from_the_next_request() -> None:
    core = allocated()
    core.offer_credentials("alice", "changed")
    request = only(core.time_passed(KEEPALIVE_AFTER))
    assert request.check_message_integrity(key_of(request, "changed"))


def test_another_user_name_waits_until_the_server_refuses_the_old_one() -> None:
    core = allocated()
    core.offer_credentials("bob", "changed")
    request = only(core.time_passed(KEEPALIVE_AFTER))
    assert request.attributes["USERNAME"] == "alice"
    again = only(core.receive(refuse(request, 401, nonce=b"n2", realm="covey"), KEEPALIVE_AFTER))
    assert again.attributes["USERNAME"] == "bob"
    (failed,) = core.receive(refuse(again, 441), KEEPALIVE_AFTER)
    assert isinstance(failed, Failed)


def test_releases_with_lifetime_zero() -> None:
    core = allocated()
    request = only(core.release(1.0))
    assert request.attributes["LIFETIME"] == 0
    again = only(core.receive(refuse(request, 438, nonce=b"n2", realm="covey"), 1.0))
    assert core.receive(succeed(again, LIFETIME=0), 1.0) == [Released()]
    assert core.release(1.0) == []


def test_a_release_without_an_answer_ends_too() -> None:
    core = allocated()
    core.release(0.0)
    assert core.time_passed(3.0) == [Released()]
    assert TurnCore("x", "u", "p", reliable=False).release(0.0) == [Released()]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_bytes_from_the_network_raise(data: st.DataObject) -> None:
    core = allocated()
    core.permit(PEER.ip, 0.0)
    core.bind(PEER, 0.0)
    template = data.draw(st.sampled_from([bytes((1, 4)), bytes((1, 0x18)), bytes((0, 0x17)), bytes((1, 1))]))
    sent = requests(core.time_passed(5.0))
    attributes = data.draw(
        st.lists(st.tuples(st.sampled_from(sorted(stun.ATTRIBUTES_BY_TYPE)), st.binary(max_size=24)), max_size=5)
    )
    body = b"".join(
        kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + bytes(-len(value) % 4) for kind, value in attributes
    )
    for message in sent:
        header = template + len(body).to_bytes(2, "big") + MAGIC_COOKIE + message.transaction_id
        core.receive(header + body, 5.0)
        core.receive(data.draw(st.binary(max_size=60)), 5.0)
    core.time_passed(6.0)
