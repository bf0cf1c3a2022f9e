"""What is known of relay servers that are not in use, and when they are asked."""

from helper.relay.errors import Reached
from helper.relay.health import ASK_FIRST, ASK_SILENT, SPREAD, Health
from helper.relay.servers import Transport, TurnServer


def way(host: str, transport: Transport = "udp", password: str = "secret") -> TurnServer:
    return TurnServer(host, 3478, transport, "u", password)


ONE, TCP, OTHER = way("192.0.2.1"), way("192.0.2.1", "tcp"), way("192.0.2.2")


def test_several_ways_to_a_server_are_one_server_that_is_there_if_one_of_them_works() -> None:
    health = Health()
    health.configure((TCP, ONE, OTHER), 0.0)
    assert [known.ways for known in health.servers] == [(ONE, TCP), (OTHER,)]
    health.fails(ONE, "no answer", 1.0)
    health.works(TCP, 0.05, 2.0)
    health.fails(ONE, "still no answer", 3.0)
    first, second = health.servers
    assert (first.is_available, first.way, first.error, first.since, first.round_trip) == (True, TCP, "", 2.0, 0.05)
    assert (second.is_available, second.error) == (False, "")
    health.fails(TCP, "gone", 9.0)
    assert (first.is_available, first.error, first.since) == (False, "gone", 9.0)


def test_of_several_ways_the_one_that_got_furthest_says_what_is_wrong() -> None:
    health = Health()
    health.configure((ONE, TCP), 0.0)
    health.fails(ONE, "it does not answer", 1.0, Reached.SILENT)
    health.fails(TCP, "there is no route", 2.0, Reached.NO_ROUTE)
    (known,) = health.servers
    assert (known.error, known.since) == ("it does not answer", 1.0)
    health.fails(TCP, "it is full", 3.0, Reached.ANSWERED)
    assert known.error == "it is full"
    health.fails(TCP, "there is no route", 60.0, Reached.NO_ROUTE)  # another round: this is how it is now
    assert (known.error, known.since) == ("there is no route", 1.0)


def test_those_not_in_use_are_asked_again_sooner_if_they_are_silent_and_never_in_step() -> None:
    health = Health()
    health.configure((ONE, OTHER), 0.0)
    assert health.due(None, ASK_FIRST - 0.1) == []
    assert [known.way for known in health.due(ONE.host, ASK_FIRST)] == [OTHER]
    health.fails(OTHER, "no answer", 10.0)
    low, high = (10.0 + ASK_SILENT * factor for factor in SPREAD)
    assert low <= health.deadline(ONE.host) <= high
    health.works(OTHER, None, 10.0)
    assert health.deadline(ONE.host) > high


def test_new_credentials_change_nothing_of_what_is_known_and_servers_that_left_are_forgotten() -> None:
    health = Health()
    health.configure((ONE, OTHER), 0.0)
    health.works(ONE, 0.01, 1.0)
    health.configure((way("192.0.2.1", password="newer"),), 2.0)
    (known,) = health.servers
    assert (known.is_available, known.since, known.way.password) == (True, 1.0, "newer")
