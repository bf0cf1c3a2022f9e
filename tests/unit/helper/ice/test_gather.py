"""Gathering server-reflexive addresses, on a virtual clock."""

import ipaddress

from aioice import stun

from helper.ice import binding
from helper.ice.agent import SendStun
from helper.ice.candidates import Base
from helper.ice.gather import ASK_OTHERS, GIVE_UP_FOR, REFRESH, Gatherer
from helper.ice.stun_health import NO_WAY, SILENT
from protocol.addresses import Address

BASE = Base(ipaddress.ip_address("10.0.0.2"))
BASE6 = Base(ipaddress.ip_address("2001:db8::2"))
FIRST, SECOND = Address.of("198.51.100.1", 3478), Address.of("198.51.100.2", 3478)
MAPPED = Address.of("203.0.113.7", 4711)


def answer(question: SendStun, mapped: Address = MAPPED) -> stun.Message:
    message = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, binding.parse(question.data).transaction_id)
    message.attributes["XOR-MAPPED-ADDRESS"] = (mapped.host, mapped.port)
    return binding.parse(bytes(message))


def test_every_server_of_the_family_is_asked_at_once() -> None:
    gatherer = Gatherer()
    gatherer.configure({BASE, BASE6}, (FIRST, SECOND), 0.0)
    assert {(q.base, q.destination) for q in gatherer.advance(0.0)} == {(BASE, FIRST), (BASE, SECOND)}


def test_the_first_answer_tells_and_is_refreshed() -> None:
    gatherer = Gatherer()
    gatherer.configure({BASE}, (FIRST, SECOND), 0.0)
    first, second = sorted(gatherer.advance(0.0), key=lambda q: str(q.destination))
    assert gatherer.receive(answer(first), FIRST, BASE, 0.02)
    assert gatherer.mapped == {BASE: MAPPED}
    assert not gatherer.receive(answer(second), SECOND, BASE, 0.03)
    assert [q.destination for q in gatherer.advance(0.02 + REFRESH)] == [FIRST]


def test_another_mapping_is_told() -> None:
    gatherer = Gatherer()
    gatherer.configure({BASE}, (FIRST,), 0.0)
    (question,) = gatherer.advance(0.0)
    assert gatherer.receive(answer(question), FIRST, BASE, 0.02)
    (question,) = gatherer.advance(gatherer.deadline)
    assert not gatherer.receive(answer(question), FIRST, BASE, 21.0)
    (question,) = gatherer.advance(gatherer.deadline)
    assert gatherer.receive(answer(question, Address.of("203.0.113.8", 1)), FIRST, BASE, 42.0)


def test_silent_servers_are_noticed_and_asked_again_later() -> None:
    gatherer = Gatherer()
    gatherer.configure({BASE}, (FIRST,), 0.0)
    now = 0.0
    while not gatherer.servers_silent:
        now = gatherer.deadline
        gatherer.advance(now)
    assert now < 10
    assert gatherer.deadline == now + GIVE_UP_FOR
    assert gatherer.advance(now + GIVE_UP_FOR)


def test_silent_servers_are_asked_at_once_when_something_makes_success_likely() -> None:
    gatherer, now = Gatherer(), 0.0
    gatherer.configure({BASE}, (FIRST,), now)
    while not gatherer.servers_silent:
        now = gatherer.deadline
        gatherer.advance(now)
    assert gatherer.deadline == now + GIVE_UP_FOR
    gatherer.hurry(now)
    assert len(gatherer.advance(now)) == 1
    (question,) = gatherer.advance(gatherer.deadline)  # and again soon, as if anew
    assert gatherer.receive(answer(question), FIRST, BASE, now + 1.0)
    gatherer.hurry(now + 1.0)
    assert gatherer.advance(now + 1.0) == []


def test_servers_that_answered_are_asked_at_once_when_they_are_in_doubt() -> None:
    gatherer = Gatherer()
    gatherer.configure({BASE}, (FIRST, SECOND), 0.0)
    for question in gatherer.advance(0.0):
        gatherer.receive(answer(question), question.destination, BASE, 0.02)
    gatherer.prove(5.0)
    assert {q.destination for q in gatherer.advance(5.0)} == {FIRST, SECOND}


def test_when_the_keeper_falls_silent_the_others_take_over() -> None:
    gatherer = Gatherer()
    gatherer.configure({BASE}, (FIRST, SECOND), 0.0)
    first, second = sorted(gatherer.advance(0.0), key=lambda q: str(q.destination))
    gatherer.receive(answer(first), FIRST, BASE, 0.02)
    gatherer.receive(answer(second), SECOND, BASE, 0.02)
    now, asked = 0.0, set[Address]()
    while SECOND not in asked:
        now = gatherer.deadline
        assert now < 60
        asked = {q.destination for q in gatherer.advance(now)}


def test_each_servers_health_is_known_whether_it_keeps_the_mapping_or_not() -> None:
    # given    two servers that answer, and one of a family that we have no address of
    six = Address.of("2001:db8::53", 3478)
    gatherer = Gatherer()
    gatherer.configure({BASE}, (FIRST, SECOND, six), 0.0)
    health = gatherer.health.servers
    assert (health[six].is_available, health[six].error) == (False, NO_WAY)
    assert (health[FIRST].is_available, health[FIRST].since, health[FIRST].error) == (False, None, "")
    for question in gatherer.advance(0.0):
        gatherer.receive(answer(question), question.destination, BASE, 0.02)
    assert [(one.is_available, one.since, one.round_trip) for one in (health[FIRST], health[SECOND])] == [(True, 0.02, 0.02)] * 2

    # when     the one that keeps no mapping falls silent
    (keeper,) = gatherer.advance(0.02 + REFRESH)
    other = ({FIRST, SECOND} - {keeper.destination}).pop()
    now, asked = 0.02 + REFRESH, [keeper]
    while health[other].is_available:
        for question in asked:
            if question.destination == keeper.destination:
                gatherer.receive(answer(question), keeper.destination, BASE, now)
        now = gatherer.deadline
        asked = gatherer.advance(now)

    # then     that is known, and nothing about the mapping changes
    assert ASK_OTHERS < now < ASK_OTHERS + 10
    assert (health[other].error, health[other].since) == (SILENT, now)
    assert health[keeper.destination].since == 0.02
    assert gatherer.mapped == {BASE: MAPPED}


def test_an_answer_that_was_not_asked_for_is_nothing() -> None:
    gatherer = Gatherer()
    gatherer.configure({BASE}, (FIRST,), 0.0)
    (question,) = gatherer.advance(0.0)
    assert not gatherer.receive(answer(question), SECOND, BASE, 0.1)
    assert gatherer.mapped == {}
