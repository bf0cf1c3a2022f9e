"""Sleep is told from a program that got no time, by two clocks, whoever else tells of it."""

from helper.netmon.wakefulness import FellAsleep, HeldUp, Moment, Sign, Wakefulness, Woke, sentence_of

HOUR = 3600.0


class Clocks:
    def __init__(self) -> None:
        self.boot, self.monotonic = 500.0, 400.0
        self.wakefulness = Wakefulness(self.now)

    @property
    def now(self) -> Moment:
        return Moment(self.boot, self.monotonic)

    def run(self, seconds: float) -> list[Sign]:
        """Time in which the machine is awake, and a look after it."""
        self.boot, self.monotonic = self.boot + seconds, self.monotonic + seconds
        return self.wakefulness.ticked(self.now)

    def sleep(self, seconds: float) -> None:
        self.boot += seconds

    def told(self, sleeps: bool) -> list[Sign]:
        return self.wakefulness.told(sleeps, self.now)


def test_a_night_of_sleep_is_noticed_by_the_clocks_alone() -> None:
    clocks = Clocks()
    assert clocks.run(1.0) == []
    clocks.sleep(8 * HOUR)
    assert clocks.run(0.25) == [Woke(8 * HOUR)]
    assert clocks.run(1.0) == []
    assert sentence_of(Woke(8 * HOUR)) == "The machine woke up after 8 h 0 min of sleep."


def test_clocks_and_logind_tell_of_one_awakening_once_whoever_is_first() -> None:
    clocks = Clocks()
    assert clocks.told(True) == [FellAsleep()]
    clocks.sleep(HOUR)
    assert clocks.run(0.25) == [Woke(HOUR)]
    assert clocks.told(False) == []
    for _ in range(10):
        assert clocks.run(1.0) == []
    clocks.told(True)
    clocks.sleep(HOUR)
    assert clocks.told(False) == [Woke(HOUR)]
    assert clocks.told(False) == []
    assert clocks.run(1.0) == []


def test_two_sleeps_in_a_row_are_two() -> None:
    clocks = Clocks()
    clocks.sleep(60.0)
    assert clocks.run(1.0) == [Woke(60.0)]
    clocks.sleep(90.0)
    assert clocks.run(1.0) == [Woke(90.0)]


def test_a_sleep_in_which_the_clocks_went_on_is_believed_where_logind_tells_of_both_ends() -> None:
    clocks = Clocks()
    clocks.told(True)
    assert clocks.run(60.0) == [HeldUp(59.0)]
    assert clocks.told(False) == [Woke(60.0)]


def test_a_program_that_got_no_time_was_held_up_and_did_not_sleep() -> None:
    clocks = Clocks()
    assert clocks.run(4.0) == []
    assert clocks.run(181.0) == [HeldUp(180.0)]
    assert clocks.run(1.0) == []
