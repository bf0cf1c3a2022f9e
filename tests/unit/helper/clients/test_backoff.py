import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helper.clients.backoff import Backoff


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
