"""The agent as a script: what it sends, whom it trusts, when it gives up."""

import ipaddress

from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from helper.ice import binding
from helper.ice.agent import (
    DIRECT_GRACE,
    FORGOTTEN_AFTER,
    MAX_PAIRS,
    MAX_REMOTE_CANDIDATES,
    Action,
    Agent,
    PairSelected,
    PathLost,
    PermitPeer,
    SendStun,
)
from helper.ice.binding import Credentials
from helper.ice.candidates import Base, Candidate, make_candidate
from helper.ice.pair import DEAD_MISSES, DEAD_THOUGH_HEARD
from protocol.addresses import Address
from protocol.stun import is_stun

OURS, THEIRS = Credentials("ours1234", "our-password"), Credentials("their123", "their-password")
LOCAL = ipaddress.ip_address("192.0.2.1")
RELAYED = Address.of("198.51.100.1", 40000)
HOST, RELAY = Base(LOCAL), Base(RELAYED.ip, RELAYED)
REMOTE = Address.of("203.0.113.9", 51820)


def make_agent(*, controlling: bool = True, bases: frozenset[Base] = frozenset({HOST})) -> Agent:
    agent = Agent(OURS, controlling=controlling, tie_breaker=1, source_for=lambda _ip: LOCAL)
    agent.set_bases(set(bases), 0.0)
    agent.set_remote(THEIRS, 0.0)
    return agent


def checks(actions: list[Action]) -> list[SendStun]:
    return [action for action in actions if isinstance(action, SendStun) and action.transaction]


def answer(check: SendStun, password: str = THEIRS.password) -> stun.Message:
    """What the other side says to a check that it got."""
    request = binding.parse(check.data)
    return binding.parse(binding.success(request, Address(LOCAL, 51000), password))


def their_check(
    *, password: str = OURS.password, username: str = "ours1234:their123", use_candidate: bool = False
) -> stun.Message:
    _, data = binding.check(username, password, controlling=False, tie_breaker=2, priority=7, use_candidate=use_candidate)
    return binding.parse(data)


def test_the_first_check_leaves_as_soon_as_a_candidate_is_known() -> None:
    agent = make_agent()
    (check,) = checks(agent.add_remote(make_candidate("host", REMOTE), 1.0))
    assert (check.base, check.destination) == (HOST, REMOTE)
    assert binding.is_authentic(binding.parse(check.data), THEIRS.password)


def test_a_neighbour_is_nominated_at_once_and_a_nat_after_a_short_wait() -> None:
    agent = make_agent()
    (check,) = checks(agent.add_remote(make_candidate("srflx", REMOTE), 1.0))
    assert not checks(agent.receive(answer(check), REMOTE, HOST, 1.02))
    nominating = checks(agent.advance(1.02 + DIRECT_GRACE))[-1]
    assert "USE-CANDIDATE" in binding.parse(nominating.data).attributes
    selected = agent.receive(answer(nominating), REMOTE, HOST, 1.2)
    assert isinstance(selected[0], PairSelected)

    neighbour = make_agent()
    (check,) = checks(neighbour.add_remote(make_candidate("host", REMOTE), 1.0))
    (nominating,) = checks(neighbour.receive(answer(check), REMOTE, HOST, 1.02))
    assert "USE-CANDIDATE" in binding.parse(nominating.data).attributes


def test_the_controlled_side_follows_the_last_use_candidate() -> None:
    agent = make_agent(controlling=False)
    agent.add_remote(make_candidate("host", REMOTE), 1.0)
    actions = agent.receive(their_check(use_candidate=True), REMOTE, HOST, 1.1)
    assert isinstance(actions[0], SendStun)  # the answer first
    assert isinstance(actions[-1], PairSelected)
    assert agent.receive(their_check(use_candidate=True), REMOTE, HOST, 1.2)[1:] == []


def test_a_check_from_an_unknown_address_makes_a_peer_reflexive_candidate() -> None:
    agent = make_agent()
    elsewhere = Address.of("203.0.113.9", 4444)
    reply, check = agent.receive(their_check(), elsewhere, HOST, 1.0)
    assert isinstance(reply, SendStun)
    assert isinstance(check, SendStun)
    assert check.destination == elsewhere
    assert agent.pairs[HOST, elsewhere].remote.kind == "prflx"


def test_strangers_get_no_answer() -> None:
    agent = make_agent()
    assert agent.receive(their_check(password="wrong"), REMOTE, HOST, 1.0) == []
    assert agent.receive(their_check(username="other:their123"), REMOTE, HOST, 1.0) == []
    assert not agent.pairs


def test_an_answer_counts_only_from_where_the_check_went_and_when_it_is_signed() -> None:
    agent = make_agent()
    (check,) = checks(agent.add_remote(make_candidate("host", REMOTE), 1.0))
    assert agent.receive(answer(check, "wrong"), REMOTE, HOST, 1.01) == []
    assert agent.receive(answer(check), Address.of("203.0.113.8", 51820), HOST, 1.01) == []
    assert not agent.pairs[HOST, REMOTE].is_valid


def test_the_relay_is_asked_to_let_a_public_peer_in_and_never_a_private_one() -> None:
    agent = make_agent(bases=frozenset({HOST, RELAY}))
    assert PermitPeer(REMOTE.ip) in agent.add_remote(make_candidate("srflx", REMOTE), 1.0)
    private = Address.of("10.0.0.7", 51820)
    assert not any(isinstance(action, PermitPeer) for action in agent.add_remote(make_candidate("host", private), 1.0))
    assert (RELAY, private) not in agent.pairs


def test_a_flood_of_candidates_is_bounded() -> None:
    agent = make_agent(bases=frozenset({HOST, RELAY}))
    for port in range(1, 1000):
        agent.add_remote(make_candidate("host", Address(REMOTE.ip, port)), 1.0)
    for port in range(2000, 3000):
        agent.receive(their_check(), Address(REMOTE.ip, port), HOST, 1.0)
    assert len({pair.remote.address for pair in agent.pairs.values()}) <= MAX_REMOTE_CANDIDATES
    assert len(agent.pairs) <= MAX_PAIRS


def test_a_selected_pair_that_falls_silent_is_lost_within_seconds() -> None:
    agent = make_agent()
    (check,) = checks(agent.add_remote(make_candidate("host", REMOTE), 1.0))
    (nominating,) = checks(agent.receive(answer(check), REMOTE, HOST, 1.01))
    agent.receive(answer(nominating), REMOTE, HOST, 1.02)
    now = 1.02
    lost_at = None
    while now < 20 and lost_at is None:
        now = max(now + 0.001, agent.deadline)
        if any(isinstance(action, PathLost) for action in agent.advance(now)):
            lost_at = now
    assert lost_at is not None
    assert 2 < lost_at - 1.02 < 7
    assert agent.selected is None


def test_data_that_arrives_puts_the_death_of_a_path_off_but_does_not_prove_the_way_out() -> None:
    agent = make_agent()
    (check,) = checks(agent.add_remote(make_candidate("host", REMOTE), 1.0))
    (nominating,) = checks(agent.receive(answer(check), REMOTE, HOST, 1.01))
    agent.receive(answer(nominating), REMOTE, HOST, 1.02)
    now, lost_at = 1.02, 0.0
    while not lost_at:
        now = max(now + 0.001, agent.deadline)
        agent.heard(now)
        if any(isinstance(action, PathLost) for action in agent.advance(now)):
            lost_at = now
    assert 1.02 + DEAD_THOUGH_HEARD <= lost_at < 10


def test_the_silence_of_a_time_in_which_we_were_held_up_is_not_the_paths() -> None:
    agent = make_agent()
    (check,) = checks(agent.add_remote(make_candidate("host", REMOTE), 1.0))
    (nominating,) = checks(agent.receive(answer(check), REMOTE, HOST, 1.01))
    agent.receive(answer(nominating), REMOTE, HOST, 1.02)
    now = 1.02
    while agent.selected is not None and agent.selected.missed < DEAD_MISSES:  # nobody answers, but not for long enough yet
        now = agent.deadline
        assert PathLost() not in agent.advance(now)
    now += 10  # stopped, and goes on
    assert PathLost() not in agent.advance(now)
    while agent.selected is not None:
        now = max(now + 0.001, agent.deadline)
        agent.advance(now)
    assert now < 25  # but what stays silent is dead all the same


def test_other_credentials_void_what_was_learnt() -> None:
    agent = make_agent()
    agent.add_remote(make_candidate("host", REMOTE), 1.0)
    agent.set_remote(Credentials("again123", "x"), 2.0)
    assert not agent.pairs


def test_pairs_of_an_address_that_went_go_too() -> None:
    agent = make_agent()
    (check,) = checks(agent.add_remote(make_candidate("host", REMOTE), 1.0))
    (nominating,) = checks(agent.receive(answer(check), REMOTE, HOST, 1.01))
    agent.receive(answer(nominating), REMOTE, HOST, 1.02)
    assert PathLost() in agent.set_bases(set(), 2.0)
    assert not agent.pairs


@given(st.binary(max_size=200))
def test_no_bytes_make_the_parser_raise_anything_but_value_error(data: bytes) -> None:
    for candidate in (data, b"\x00\x01\x00\x08" + b"\x21\x12\xa4\x42" + data):
        try:
            binding.parse(candidate)
        except ValueError:
            continue


def test_a_wireguard_handshake_is_never_taken_for_stun() -> None:
    initiation = b"\x01\x00\x00\x00" + b"\x21\x12\xa4\x42" + bytes(140)
    assert not is_stun(initiation)


def test_a_candidate_names_itself_for_people() -> None:
    assert str(Candidate("srflx", REMOTE, 1)) == "srflx 203.0.113.9:51820"


def test_a_check_that_came_through_the_tunnel_is_ignored() -> None:
    agent = make_agent()
    assert agent.receive(their_check(), REMOTE, Base(ipaddress.ip_address("100.92.0.1")), 1.0) == []


def test_a_pair_that_never_answered_us_lives_on_when_the_other_side_nominates_it() -> None:
    agent = make_agent(controlling=False)
    agent.add_remote(make_candidate("host", REMOTE), 1.0)
    now = 1.0
    while now < 30:
        now = agent.deadline
        agent.advance(now)
    assert isinstance(agent.receive(their_check(use_candidate=True), REMOTE, HOST, now + 1)[-1], PairSelected)
    assert PathLost() not in agent.advance(now + 1.1)
    assert agent.selected is not None


def test_a_relay_nomination_that_was_overtaken_by_the_direct_one_is_ignored() -> None:
    agent = make_agent(controlling=False, bases=frozenset({HOST, RELAY}))
    agent.add_remote(make_candidate("srflx", REMOTE), 1.0)
    agent.receive(their_check(use_candidate=True), REMOTE, HOST, 1.1)
    agent.receive(their_check(use_candidate=True), REMOTE, RELAY, 1.12)
    assert agent.selected is agent.pairs[HOST, REMOTE]
    agent.receive(their_check(use_candidate=True), REMOTE, RELAY, 2.0)
    assert agent.selected is agent.pairs[RELAY, REMOTE]


def test_a_storm_of_checks_does_not_make_a_storm_of_ours() -> None:
    agent = make_agent()
    sent = 0
    for number in range(1000):
        sent += len(checks(agent.receive(their_check(), REMOTE, HOST, 1.0 + number / 1000)))
    assert sent <= 60


def test_an_idle_pair_is_checked_seldom_and_a_used_one_within_a_second() -> None:
    agent = make_agent()
    (check,) = checks(agent.add_remote(make_candidate("host", REMOTE), 1.0))
    (nominating,) = checks(agent.receive(answer(check), REMOTE, HOST, 1.01))
    agent.receive(answer(nominating), REMOTE, HOST, 1.02)
    now, sent = 1.02, 0
    while now < 200:
        now = agent.deadline
        for action in checks(agent.advance(now)):
            sent += now > 100
            agent.receive(answer(action), REMOTE, HOST, now + 0.001)
    assert 8 <= sent <= 12
    agent.used(now)
    assert agent.deadline <= now + 1.0


def test_ports_that_a_nat_forgot_make_room_for_those_that_it_gives_later() -> None:
    agent = make_agent()
    for number in range(3 * MAX_REMOTE_CANDIDATES):
        now = number * (FORGOTTEN_AFTER + 1)
        seen = Address(REMOTE.ip, 20000 + number)
        (check,) = checks(
            [act for act in agent.receive(their_check(), seen, HOST, now) if getattr(act, "destination", None) == seen]
        )
        agent.receive(answer(check), seen, HOST, now + 0.01)
        assert agent.pairs[HOST, seen].is_valid
        agent.pairs[HOST, seen].died(now + 5)
    assert len(agent.pairs) <= MAX_REMOTE_CANDIDATES


def test_a_flood_of_addresses_takes_no_room_from_those_that_were_heard_just_now() -> None:
    agent = make_agent()
    for number in range(MAX_REMOTE_CANDIDATES + 9):
        agent.receive(their_check(), Address(REMOTE.ip, 20000 + number), HOST, number / 100)
    assert {address.port for _, address in agent.pairs} == set(range(20000, 20000 + MAX_REMOTE_CANDIDATES))
