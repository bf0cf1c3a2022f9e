"""What makes a path better than another, and that noise does not."""

import random

import pytest

from helper.ice.quality import REMEMBERED, WINDOW, Quality, is_as_good_as_relay, is_better, relay_is_better, wilson


def measured(trips: list[float | None]) -> Quality:
    """A path on which these checks took so many seconds; None for one that got lost."""
    quality = Quality()
    for second, trip in enumerate(trips):
        quality.missed(second) if trip is None else quality.answered(second, trip)
    return quality


def steady(trip: float, *, lost: int = 0) -> Quality:
    return measured([trip] * (WINDOW - lost) + [None] * lost)


def test_a_path_of_half_the_round_trip_is_better() -> None:
    assert is_better(steady(0.05), steady(0.1))
    assert not is_better(steady(0.1), steady(0.05))


def test_a_few_milliseconds_are_not_worth_a_change() -> None:
    assert not is_better(steady(0.001), steady(0.005))


def test_nothing_is_said_of_a_path_that_was_hardly_measured() -> None:
    assert not is_better(measured([0.01] * 4), steady(0.1))


@pytest.mark.parametrize("seed", range(20))
def test_jitter_of_a_fifth_never_makes_one_of_two_equals_better(seed: int) -> None:
    chance = random.Random(seed)
    one, other = Quality(), Quality()
    for second in range(600):  # ten minutes
        one.answered(second, 0.1 * chance.uniform(0.8, 1.2))
        other.answered(second, 0.1 * chance.uniform(0.8, 1.2))
        assert not is_better(one, other)
        assert not is_better(other, one)


def test_a_relay_takes_over_where_the_direct_path_loses_much_and_not_where_both_do() -> None:
    assert relay_is_better(steady(0.05), steady(0.03, lost=12))
    assert not relay_is_better(steady(0.05, lost=10), steady(0.03, lost=12))
    assert not relay_is_better(steady(0.05), steady(0.03, lost=2))


def test_a_relay_takes_over_where_the_direct_path_is_much_slower() -> None:
    assert relay_is_better(steady(0.05), steady(0.3))
    assert not relay_is_better(steady(0.05), steady(0.07))


def test_a_direct_path_is_as_good_as_a_relay_though_somewhat_slower_and_not_where_it_loses_more() -> None:
    assert is_as_good_as_relay(steady(0.08), steady(0.05))
    assert not is_as_good_as_relay(steady(0.3), steady(0.05))
    assert not is_as_good_as_relay(steady(0.03, lost=3), steady(0.05))
    assert is_as_good_as_relay(steady(0.03, lost=3), steady(0.05, lost=3))


def test_what_was_lost_long_ago_counts_no_more() -> None:
    direct = steady(0.03, lost=30)
    assert relay_is_better(steady(0.05), direct)
    direct.forget(WINDOW + REMEMBERED)
    assert not relay_is_better(steady(0.05), direct)
    assert direct.loss_percent == 0


def test_the_range_of_a_share_holds_it_and_narrows() -> None:
    few, many = wilson(1, 10), wilson(10, 100)
    assert few[0] < many[0] < 0.1 < many[1] < few[1]
    assert wilson(0, 0) == (0.0, 1.0)
