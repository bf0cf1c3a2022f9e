import pytest

from helper.peer.handshake import HANDSHAKE_MAX_AGE, HandshakeAge

NOON = 1_800_000_000.0  # on the wall clock


@pytest.mark.parametrize("step", [-365 * 86400.0, -3600.0, -300.0, 300.0, 3600.0, 86400.0])
def test_a_step_of_the_wall_clock_ages_no_handshake(step: float) -> None:
    clock = HandshakeAge()
    assert clock.age(NOON, NOON, now=100.0) == 0.0
    assert clock.age(NOON, NOON + step, now=160.0) == 60.0
    # the next handshake is stamped by the clock that was set
    assert clock.age(NOON + 120 + step, NOON + 120 + step, now=220.0) == 0.0
    assert clock.age(NOON + 120 + step, NOON + 130, now=230.0) == 10.0


def test_a_handshake_from_before_our_time_is_as_old_as_it_is_and_never_from_the_future() -> None:
    assert HandshakeAge().age(NOON - 60, NOON, now=5.0) == 60.0
    assert HandshakeAge().age(NOON + 60, NOON, now=5.0) == 0.0
    assert HandshakeAge().age(0.0, NOON, now=5.0) is None


def test_a_sleep_ages_it_although_our_clock_stood_still() -> None:
    clock = HandshakeAge()
    clock.age(NOON, NOON, now=100.0)
    clock.slept(8 * 3600.0)
    age = clock.age(NOON, NOON + 8 * 3600, now=101.0)
    assert age is not None
    assert age > HANDSHAKE_MAX_AGE
