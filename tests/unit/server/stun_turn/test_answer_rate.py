"""Nobody is flooded by questions that were asked in its name, and nobody who has shown who it is waits for that."""

import os

from hypothesis import given
from hypothesis import strategies as st

from protocol.addresses import Address
from server.stun_turn import codec
from server.stun_turn.allocations import ClientId
from server.stun_turn.answer_rate import BURST, RATE, AnswerRate
from server.stun_turn.codec import Class, Message, Method
from server.stun_turn.turn import TurnServer
from tests.unit.server.stun_turn.client import CoreClient, config, error_of

SERVER = Address.of("203.0.113.1", 3478)


def client(host: str, port: int = 40000, protocol: str = "udp") -> ClientId:
    return ClientId(protocol, Address.of(host, port), SERVER)


def question(method: Method) -> bytes:
    return codec.build(Message(method, Class.REQUEST, os.urandom(12)))


def test_a_burst_is_answered_and_then_so_many_a_second_whatever_the_port() -> None:
    rate = AnswerRate()
    assert [rate.allows(client("192.0.2.1", port), 0.0) for port in range(1, BURST + 2)] == [True] * BURST + [False]
    assert sum(rate.allows(client("192.0.2.1"), 0.001 * n) for n in range(1, 10_001)) == int(10 * RATE)
    assert rate.allows(client("192.0.2.2"), 0.0)
    assert all(rate.allows(client("192.0.2.1", protocol="tcp"), 10.0) for _ in range(2 * BURST))


@given(st.lists(st.floats(0, 0.1), max_size=300), st.integers(1, 20), st.integers(1, 50))
def test_no_more_is_answered_than_the_burst_and_the_rate(pauses: list[float], burst: int, per_second: int) -> None:
    rate, now, answered = AnswerRate(float(per_second), burst), 0.0, 0
    for pause in pauses:
        now += pause
        answered += rate.allows(client("192.0.2.1"), now)
    assert answered <= burst + per_second * now + 0.5


def test_the_table_is_bounded_and_an_ipv6_network_is_one_source() -> None:
    rate = AnswerRate(burst=1, max_sources=10)
    for n in range(100):
        assert rate.allows(client(f"192.0.2.{n}"), 0.0)
    assert len(rate) == 10
    assert not rate.allows(client("192.0.2.99"), 0.0)
    assert rate.allows(client("2001:db8::1"), 0.0)
    assert not rate.allows(client("2001:db8::2"), 0.0)


def test_questions_in_anothers_name_and_challenges_end_and_signed_requests_go_on() -> None:
    server = TurnServer(config())
    known = CoreClient(server)
    known.allocate()
    forged = known.id._replace(remote=Address(known.id.remote.ip, 7))

    answers = [len(server.handle(question(method), forged, 0.0)) for method in (Method.BINDING, Method.ALLOCATE) * BURST]

    assert sum(answers) == BURST - 1  # one was the challenge that let the client in
    assert error_of(known.request(Method.REFRESH)) == 0
