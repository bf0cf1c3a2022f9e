import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helper.clients.backoff import SPREAD, Backoff, Retry


@given(seed=st.integers(), tries=st.integers(1, 60))
def test_every_delay_is_above_zero_and_never_above_the_cap(seed: int, tries: int) -> None:
    backoff = Backoff(rng=random.Random(seed))
    assert all(0 < backoff.next() <= 45.0 for _ in range(tries))


@given(seed=st.integers())
def test_delays_double_until_they_reach_a_cap_that_stays_for_the_run(seed: int) -> None:
    backoff = Backoff(first=1.0, cap=(30.0, 45.0), rng=random.Random(seed))
    delays = [backoff.next() for _ in range(40)]
    for n, delay in enumerate(delays[:5]):
        assert 2**n / 2 <= delay <= 2**n
    late = delays[8:]
    assert max(late) <= 2 * min(late)  # all in the upper half below one cap


class Highest:
    def uniform(self, a: float, b: float, /) -> float:
        return max(a, b)


def test_begins_anew_after_a_reset() -> None:
    backoff = Backoff(first=0.8, cap=(2.0, 3.0), rng=Highest())
    assert [backoff.next() for _ in range(4)] == [0.8, 1.6, 3.0, 3.0]
    backoff.reset()
    assert backoff.next() == 0.8


def test_two_helpers_do_not_wait_alike() -> None:
    first, second = Backoff(rng=random.Random(1)), Backoff(rng=random.Random(2))
    assert [first.next() for _ in range(8)] != [second.next() for _ in range(8)]


@pytest.mark.parametrize(("first", "factor", "cap"), [(0.0, 2.0, (1.0, 1.0)), (1.0, 0.5, (1.0, 1.0)), (2.0, 2.0, (1.0, 1.0))])
def test_refuses_delays_that_would_not_grow(first: float, factor: float, cap: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="grows"):
        Backoff(first, factor, cap)


def test_after_a_success_the_first_delay_is_spread_and_the_next_ones_grow_from_there() -> None:
    backoff = Backoff(first=0.8, cap=(30.0, 30.0), rng=Highest(), spread=3.0)
    assert backoff.next() == 0.8
    backoff.succeeded()
    assert [backoff.next() for _ in range(3)] == [3.0, 6.0, 12.0]
    backoff.succeeded()
    backoff.reset()
    assert backoff.next() == 0.8


async def test_a_few_machines_come_back_at_once_and_thousands_spread_over_seconds() -> None:
    retry = Retry(Backoff(first=0.3, rng=Highest()))
    for machines, first in ((10, 0.3), (5000, SPREAD), (90_000, SPREAD)):
        retry.share_with(machines)
        retry.backoff.succeeded()
        assert retry.backoff.next() == first


@pytest.mark.parametrize(("stable", "delays"), [(0.0, [0.001, 0.001, 0.001]), (3600.0, [0.001, 0.002, 0.004])])
async def test_a_stream_that_is_taken_and_dropped_does_not_begin_the_delays_anew(
    monkeypatch: pytest.MonkeyPatch, stable: float, delays: list[float]
) -> None:
    monkeypatch.setattr("helper.clients.backoff.STABLE", stable)
    seen: list[float] = []

    class Noting(Backoff):
        def next(self) -> float:
            seen.append(super().next())
            return seen[-1]

    retry = Retry(Noting(first=0.001, cap=(1.0, 1.0), rng=Highest()))
    for _ in delays:
        retry.worked()
        await retry.pause()
    assert seen == delays


async def test_a_long_pause_ends_soon_when_another_stream_is_back_and_a_short_one_stays() -> None:
    async with asyncio.timeout(60.0):
        retry = Retry(Backoff(first=3600.0, cap=(3600.0, 7200.0)))
        pausing = asyncio.create_task(retry.pause())
        await asyncio.sleep(0)
        retry.follow()
        await pausing

        retry = Retry(Backoff(first=3600.0, cap=(3600.0, 7200.0)), rng=Highest())
        retry.share_with(10_000)
        retry.backoff = Backoff(first=2 * SPREAD, rng=Highest())
        pausing = asyncio.create_task(retry.pause())
        await asyncio.sleep(0)
        assert retry._pausing is not None
        begun, when = asyncio.get_running_loop().time(), retry._pausing.when()
        retry.follow()
        later = retry._pausing.when()
        assert when is not None
        assert later is not None
        assert later < when - SPREAD / 2
        assert later > begun
        for _ in range(3):
            retry.follow()
        assert retry._pausing.when() == later, "thousands do not gather at the beginning"
        pausing.cancel()
        await asyncio.wait([pausing])
        retry.follow()
