"""Times in the status: what did not change is told alike."""

from helper.engine.status import CLOCK_SET, Epoch


def test_what_did_not_change_has_the_same_time_each_time_it_is_told() -> None:
    epoch = Epoch()
    begun = epoch.begun(100.0, 1_800_000_100.0)
    assert begun == 1_800_000_000.0
    for number in range(1000):
        now = 100.0 + number
        assert epoch.begun(now, 1_800_000_000.0 + now + 0.0004 * (number % 3)) == begun


def test_a_clock_that_was_set_is_followed_at_once_and_one_that_drifts_in_time() -> None:
    epoch = Epoch()
    epoch.begun(100.0, 1_800_000_100.0)
    assert epoch.begun(101.0, 1_700_000_101.0) == 1_700_000_000.0
    drift = CLOCK_SET * 1.5
    assert epoch.begun(5000.0, 1_700_005_000.0 + drift) == 1_700_000_000.0 + drift
