import dataclasses
from collections import Counter

from google.protobuf.timestamp_pb2 import Timestamp

from protocol.errors import SessionExpired, UserBlocked
from server.management.network_map import AccountMap
from server.management.outbox import (
    MAP_INTERVAL,
    EndStream,
    Outbox,
    Refuse,
    SendConfig,
    SendFarewell,
    SendMap,
    SendSessionEnd,
    Step,
    Wait,
)
from server.management.renewal import Renewal
from server.store import Peer
from tests.unit.server.management.values import ACCOUNT, NOW, peer

DAY = 86400.0


def account_map(serial: int, *numbers: int) -> AccountMap:
    return AccountMap(dataclasses.replace(ACCOUNT, serial=serial), [peer(number) for number in numbers], NOW)


def outbox(renewal: Renewal | None = None) -> Outbox:
    return Outbox("id00001", renewal=renewal)


def is_map(step: Step, offered: AccountMap) -> bool:
    return isinstance(step, SendMap) and step.content.digest == offered.content("id00001").digest


def test_the_first_map_goes_at_once_and_with_the_configuration() -> None:
    box, alone, two = outbox(), account_map(1, 1), account_map(2, 1, 2)
    box.offer(alone)

    first = box.next_step(10.0)
    assert is_map(first, alone)
    assert isinstance(first, SendMap)
    assert first.with_config
    assert box.next_step(10.0) == Wait(None)

    box.offer(two)
    second = box.next_step(10.0 + MAP_INTERVAL)
    assert isinstance(second, SendMap)
    assert not second.with_config


def test_of_many_maps_in_a_second_only_the_newest_follows_when_it_is_over() -> None:
    box = outbox()
    box.offer(account_map(1, 1))
    box.next_step(10.0)

    for serial in range(2, 50):
        box.offer(account_map(serial, *range(1, serial + 1)))
        assert box.next_step(10.5) == Wait(10.0 + MAP_INTERVAL)

    assert is_map(box.next_step(11.0), account_map(49, *range(1, 50)))
    assert box.next_step(11.0) == Wait(None)


def test_after_a_quiet_time_a_change_goes_at_once() -> None:
    box = outbox()
    box.offer(account_map(1, 1))
    box.next_step(10.0)
    box.offer(account_map(2, 1, 2))
    assert is_map(box.next_step(100.0), account_map(2, 1, 2))


def test_a_map_that_says_nothing_new_is_not_sent_and_delays_no_other() -> None:
    box = outbox()
    box.offer(account_map(1, 1, 2))
    box.next_step(10.0)

    box.offer(account_map(2, 1, 2))
    assert box.next_step(20.0) == Wait(None)
    box.offer(account_map(3, 1, 2, 3))
    assert is_map(box.next_step(20.0), account_map(3, 1, 2, 3))


def test_an_older_map_that_comes_late_changes_nothing() -> None:
    box = outbox()
    box.offer(account_map(5, 1, 2))
    box.offer(account_map(4, 1))
    assert is_map(box.next_step(0.0), account_map(5, 1, 2))
    box.offer(account_map(3, 1))
    assert box.next_step(9.0) == Wait(None)


def test_credentials_are_renewed_in_time_even_while_maps_wait() -> None:
    box = outbox(Renewal(100.0, 100.0))
    box.offer(account_map(1, 1))
    box.next_step(0.0)
    assert box.next_step(1.0) == Wait(100.0)

    box.offer(account_map(2, 1, 2))
    assert box.next_step(100.0) == SendConfig()
    assert is_map(box.next_step(100.0), account_map(2, 1, 2))
    assert box.next_step(100.0) == Wait(200.0)


def test_five_thousand_streams_that_began_together_renew_their_credentials_apart() -> None:
    hours, dues = 3600.0, []
    for _ in range(5000):
        box = outbox(Renewal(6 * hours, 9 * hours))
        box.offer(account_map(1, 1))
        box.next_step(0.0)
        step = box.next_step(0.0)
        assert isinstance(step, Wait)
        dues.append(step.until or 0.0)

    assert 6 * hours <= min(dues)
    assert max(dues) <= 9 * hours
    seconds = Counter(int(due) for due in dues)
    assert max(seconds.values()) <= 10


def test_a_removed_peer_gets_a_farewell_without_waiting_and_then_the_end() -> None:
    box = outbox()
    box.offer(account_map(1, 1, 2))
    box.next_step(10.0)
    box.offer(account_map(2, 2))

    assert box.next_step(10.1) == SendFarewell(2)
    assert box.next_step(10.1) == EndStream()


def test_an_ended_stream_sends_nothing_more() -> None:
    box = outbox()
    box.offer(account_map(1, 1))
    box.end()
    assert box.next_step(0.0) == EndStream()


# ---- sessions


def map_at(now: float, *members: Peer, serial: int = 1) -> AccountMap:
    return AccountMap(dataclasses.replace(ACCOUNT, serial=serial), members, now)


def test_the_first_map_tells_when_the_session_ends_and_later_ones_only_what_is_new() -> None:
    box, alice = outbox(), peer(1, last_login=NOW)
    box.offer(map_at(NOW, alice))
    first = box.next_step(0.0)
    assert isinstance(first, SendMap)
    assert first.session_end == Timestamp(seconds=int(NOW + DAY))

    box.offer(map_at(NOW, alice, peer(2), serial=2))
    second = box.next_step(10.0)
    assert isinstance(second, SendMap)
    assert second.session_end is None

    again = peer(1, last_login=NOW + 60)
    box.offer(map_at(NOW + 60, again, peer(3), serial=3))
    third = box.next_step(20.0)
    assert isinstance(third, SendMap)
    assert third.session_end == Timestamp(seconds=int(NOW + DAY + 60))


def test_a_machine_of_a_setup_key_hears_that_nothing_ends() -> None:
    box = outbox()
    box.offer(map_at(NOW, peer(1)))
    first = box.next_step(0.0)
    assert isinstance(first, SendMap)
    assert first.session_end == Timestamp()


def test_an_extension_is_told_at_once_and_an_older_map_does_not_take_it_back() -> None:
    box, alice = outbox(), peer(1, last_login=NOW)
    box.offer(map_at(NOW, alice))
    box.next_step(0.0)

    box.extend(NOW + DAY + 60)
    assert box.next_step(0.1) == SendSessionEnd(Timestamp(seconds=int(NOW + DAY + 60)))
    assert box.next_step(0.1) == Wait(None)

    box.offer(map_at(NOW, alice, serial=2))  # read before the extension was written
    assert box.next_step(10.0) == Wait(None)


def test_a_machine_whose_session_ended_is_refused_though_the_serial_is_the_same() -> None:
    box, alice = outbox(), peer(1, last_login=NOW)
    box.offer(map_at(NOW, alice, peer(2)))
    box.next_step(0.0)
    box.offer(map_at(NOW + DAY, alice, peer(2)))
    step = box.next_step(0.1)
    assert isinstance(step, Refuse)
    assert isinstance(step.error, SessionExpired)
    assert box.next_step(0.1) == EndStream()


def test_a_machine_of_a_blocked_person_is_refused_with_that_reason() -> None:
    box = outbox()
    box.offer(map_at(NOW, peer(1, last_login=NOW)))
    box.next_step(0.0)
    box.offer(map_at(NOW, peer(1, last_login=NOW, is_blocked=True), serial=2))
    step = box.next_step(0.1)
    assert isinstance(step, Refuse)
    assert isinstance(step.error, UserBlocked)
